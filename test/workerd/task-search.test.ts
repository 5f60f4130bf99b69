/** Lists of tasks on a farm that has more of them than one page reads: order, search, paging, cost. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { farmMessageSchema, LIVE_ENDED_TASKS, LIVE_OPEN_TASKS, type FarmMessage } from "../../src/protocol/live.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { MAX_ROWS_READ } from "../../src/registry/task-list.ts";
import { newRegistry, report, rowsOf, type Registry } from "./registry-client.ts";
import { until } from "./wait.ts";

type Query = Parameters<RegistryRpc["listTasks"]>[0];

async function pageOf(registry: RegistryRpc, query: Query): Promise<{ ids: number[]; cursor: string | null }> {
  const page = await registry.listTasks(query);
  if (!page.ok) throw new Error(JSON.stringify(page.error));
  return { ids: page.value.tasks.map(({ id }) => id), cursor: page.value.cursor };
}

/** All pages of a list, and how many there are. */
async function allOf(registry: RegistryRpc, query: Query): Promise<{ ids: number[]; pages: number }> {
  const ids: number[] = [];
  let pages = 0;
  for (let cursor: string | null = null; pages === 0 || cursor !== null; pages++) {
    const page = await pageOf(registry, cursor === null ? query : { ...query, cursor });
    ids.push(...page.ids);
    cursor = page.cursor;
  }
  return { ids, pages };
}

/**
 * Copies of task 1, with the ids from 2 to `last`: in the rows, because so many reports would take a
 * minute. The first report has made the columns right.
 */
async function fill(registry: Registry, last: number, columns: Record<string, string> = {}): Promise<void> {
  await runInDurableObject(registry, (_, { storage: { sql } }) => {
    const names = sql.exec("SELECT * FROM tasks WHERE id = 1").columnNames.filter((name) => name !== "id");
    const values = names.map((name) => columns[name] ?? name).join(", ");
    sql.exec(
      `INSERT INTO tasks (id, ${names.join(", ")})
       WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ${last})
       SELECT n, ${values} FROM n, tasks WHERE id = 1`,
    );
  });
}

const SUMMARY = "json_set(summary, '$.id', n, '$.ended_ms', 100000 - n)";
const ENDED = { status: "completed", ended_ms: 99_999, name: "shot" } as const;

describe("task lists", () => {
  it("are in the order of the end, the last ended first, whatever the ids are", async () => {
    const registry = newRegistry();
    const ends = [50, 20, 70, null, 20, 60];
    for (const [index, ended_ms] of ends.entries())
      await registry.report(
        report(index + 1, { task: ended_ms === null ? {} : { status: "completed", ended_ms, updated_ms: 999 } }),
      );
    expect(await allOf(registry, { order: "ended", limit: 2 })).toEqual({ ids: [3, 6, 1, 5, 2], pages: 3 });
    expect((await allOf(registry, { order: "ended", status: "failed", limit: 2 })).ids).toEqual([]);
    expect((await allOf(registry, { state: "open", limit: 2 })).ids).toEqual([4]);
    expect((await allOf(registry, { state: "ended", limit: 2 })).ids).toEqual([6, 5, 3, 2, 1]);
    // Requeued, a task is no ended one; a task of 0.1 does not say when it ended.
    await registry.report(report(3, { task: { status: "queued", ended_ms: null } }));
    await registry.report(report(7, { task: { status: "failed", updated_ms: 55 } }));
    expect((await allOf(registry, { order: "ended", limit: 9 })).ids).toEqual([6, 7, 1, 5, 2]);
  });

  it("find words in number, name, type, owner and status, with all filters", async () => {
    const registry = newRegistry();
    await registry.report(report(1, { task: { name: "KITE sh010", owner: "ana#3", status: "failed" } }));
    await registry.report(report(2, { task: { name: "kite sh020", owner: "bob#4" } }));
    await registry.report(report(3, { task: { name: "turntable", owner: "ana#3", type: "exec" } }));
    const found = async (query: Omit<Query, "limit">): Promise<number[]> =>
      (await allOf(registry, { limit: 1, ...query })).ids;
    expect(await found({ search: "kite" })).toEqual([2, 1]);
    expect(await found({ search: "KITE failed" })).toEqual([1]);
    expect(await found({ search: "ana#3 exec" })).toEqual([3]);
    expect(await found({ search: "#2" })).toEqual([2]);
    expect(await found({ search: "kite", state: "open" })).toEqual([2]);
    expect(await found({ search: "sh0", owner: "ana#3" })).toEqual([1]);
    expect(await found({ search: "% _ '" })).toEqual([]);
  });

  it("read 1,000 tasks a page, however rare the match: the registry is never held for longer", async () => {
    const registry = newRegistry();
    await registry.report(report(1, { task: { ...ENDED, name: "zebra" } }));
    await fill(registry, 3_500, {
      summary: "json_set(json_set(summary, '$.id', n, '$.ended_ms', 100000 - n), '$.name', 'shot')",
      ended_ms: "100000 - n",
    });
    const queries: Omit<Query, "limit">[] = [
      { search: "zebra" },
      { search: "zebra", order: "ended" },
      { search: "zebra", state: "ended" },
      { search: "zebra", owner: "ada" },
      { search: "zebra", status: "completed" },
      { search: "nothing like it" },
      { type: "exec" },
      { state: "open" },
      { order: "ended", status: "failed" },
      { status: "completed", owner: "ada", type: "exec" },
    ];
    for (const query of queries) {
      let cursor: string | null = null;
      const ids: number[] = [];
      let pages = 0;
      do {
        let page: Awaited<ReturnType<typeof pageOf>> | undefined;
        const { read } = await rowsOf(registry, async (object) => {
          page = await pageOf(object, { ...query, limit: 50, ...(cursor !== null && { cursor }) });
        });
        // A row that is found through an index counts twice.
        expect(read, JSON.stringify(query)).toBeLessThanOrEqual(2 * MAX_ROWS_READ + 20);
        ids.push(...page!.ids);
        ({ cursor } = page!);
        pages++;
      } while (cursor !== null);
      expect(ids, JSON.stringify(query)).toEqual(query.search === "zebra" ? [1] : []);
      expect(pages).toBeLessThanOrEqual(4);
    }
    // A page that is full at once reads little.
    const { read } = await rowsOf(registry, (object) => pageOf(object, { search: "shot", limit: 5 }));
    expect(read).toBeLessThanOrEqual(600);
  });

  it.each([
    [{ limit: 1, order: "ended", cursor: "12" }, "cursor"],
    [{ limit: 1, cursor: "12.3" }, "cursor"],
    [{ limit: 1, order: "ended", state: "open" }, "order"],
    [{ limit: 1, order: "ended", status: "queued" }, "order"],
  ] as [Query, string][])("P10: refuse %j", async (query, field) => {
    expect(await newRegistry().listTasks(query)).toMatchObject({ error: { code: "invalid", errors: [{ field }] } });
  });
});

describe("the farm's live view of more tasks than it lists", () => {
  it("has the last ended tasks, says that there are more, and counts the open ones as they change", async () => {
    const registry = newRegistry();
    await registry.report(report(1, { task: { status: "queued" } }));
    const open = LIVE_OPEN_TASKS + 300;
    await fill(registry, open, { summary: "json_set(summary, '$.id', n)" });
    // Ended long ago, with ids that are higher than that of the task which ended last.
    await registry.report(report(open + 1, { task: { ...ENDED, ended_ms: 1 } }));
    await runInDurableObject(registry, (_, { storage: { sql } }) => {
      const names = sql.exec("SELECT * FROM tasks WHERE id = 1").columnNames.filter((name) => name !== "id");
      const values = names.map((name) => (name === "summary" ? SUMMARY.replace("100000 - n", "n") : name)).join(", ");
      sql.exec(
        `INSERT INTO tasks (id, ${names.join(", ")})
         WITH RECURSIVE n (n) AS (SELECT ${open + 2} UNION ALL SELECT n + 1 FROM n WHERE n < ${open + LIVE_ENDED_TASKS + 50})
         SELECT n, ${values} FROM n, tasks WHERE id = ${open + 1}`,
      );
      sql.exec("UPDATE tasks SET ended_ms = id WHERE ended_ms IS NOT NULL");
    });
    await registry.report(report(2, { task: { ...ENDED, ended_ms: 1_000_000 } }));
    const messages = await watch(registry);
    await until(
      () => messages.length > 0,
      () => "the snapshot",
    );
    const snapshot = messages[0]!;
    if (snapshot.type !== "snapshot") throw new Error("no snapshot");
    expect(snapshot).toMatchObject({ open_tasks: open - 1, tasks_left_out: open - 1 - LIVE_OPEN_TASKS });
    expect(snapshot.ended_left_out).toBe(true);
    const ended = snapshot.tasks.filter(({ status }) => status === "completed");
    expect(ended).toHaveLength(LIVE_ENDED_TASKS);
    expect(ended[0]!.id).toBe(2);
    // A task that was left out changes; another one ends, one is removed, one is new.
    const counted = async (openTasks: number): Promise<void> =>
      await until(
        () => messages.at(-1)!.type === "delta" && messages.at(-1)!.open_tasks === openTasks,
        () => `${openTasks} open tasks, after ${JSON.stringify(messages.at(-1))},`,
      );
    await registry.report(report(open, { task: { status: "paused" } }));
    await counted(open - 1);
    await registry.report(report(open - 1, { task: { status: "canceled", ended_ms: 5 } }));
    await counted(open - 2);
    await registry.report(report(open - 2, { gone: true }));
    await counted(open - 3);
    await registry.report(report(90_000));
    await counted(open - 2);
  });
});

/** A page that watches this registry: the messages that it gets, each checked against its schema. */
async function watch(registry: Registry): Promise<FarmMessage[]> {
  const headers = { Upgrade: "websocket", "Tablao-Viewer": JSON.stringify({ token: 0, share: null, untilMs: null }) };
  const response = await registry.fetch("https://farm.example/live", { headers });
  const socket = response.webSocket;
  if (!socket) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  const messages: FarmMessage[] = [];
  socket.addEventListener("message", ({ data }) => {
    if (data !== "pong") messages.push(farmMessageSchema.parse(JSON.parse(String(data))));
  });
  socket.accept();
  return messages;
}
