/** History through its routes, on D1 as workerd has it. */
import { env as bindings } from "cloudflare:workers";
import { createExecutionContext } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { drainOutbox } from "../../src/history/outbox.ts";
import { batchRows } from "../../src/protocol/history-rows.ts";
import { writeRows } from "../../src/history/store.ts";
import { listHistory, listDays, listWorkerTotals } from "../../src/http/routes/history.ts";
import type { Route } from "../../src/http/server/route.ts";
import { runRoute } from "../../src/http/server/run-route.ts";
import type { Env } from "../../src/rpc/env.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";

const env = bindings as unknown as Env;
const DAY_MS = 86_400_000;
const NOON_MS = Date.UTC(2026, 10, 2, 12);

function event(task: number, seq: number, more: Partial<HistoryEvent> = {}): HistoryEvent {
  return {
    task_id: task,
    seq,
    at_ms: NOON_MS + seq * 1_000,
    kind: "done",
    type: "blender_render",
    worker_id: 1,
    attempt: 1,
    frames: `${seq}`,
    frame_count: 1,
    seconds: 2,
    detail: null,
    ...more,
  };
}

async function ask(route: Route, query: string): Promise<Response> {
  const url = new URL(`https://farm.example/history?${query}`);
  const principal = { role: "viewer", id: 1, name: "vera" } as const;
  const context = { request: new Request(url), url, env, ctx: createExecutionContext() };
  return await runRoute(route, context, {}, { principal, credential: "access", untilMs: null });
}

async function page(query: string): Promise<{ events: HistoryEvent[]; cursor: string | null }> {
  const response = await ask(listHistory, query);
  expect(response.status, await response.clone().text()).toBe(200);
  return await response.json();
}

async function all(query: string, limit: number): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const next: { events: HistoryEvent[]; cursor: string | null } = await page(
      `${query}&limit=${limit}${cursor && `&cursor=${cursor}`}`,
    );
    expect(next.events.length).toBeLessThanOrEqual(limit);
    events.push(...next.events);
    cursor = next.cursor;
  }
  return events;
}

function newestFirst(events: HistoryEvent[]): HistoryEvent[] {
  return events.toSorted((a, b) => b.at_ms - a.at_ms || b.task_id - a.task_id || b.seq - a.seq);
}

describe("writing", () => {
  test("P7: a repeated, a longer and a late write leave each event once", async () => {
    const events = Array.from({ length: 30 }, (_, i) => event(100, i + 1, { worker_id: (i % 3) + 1 }));
    const short = batchRows(events.slice(0, 10));
    await writeRows(env.HISTORY, short);
    await writeRows(env.HISTORY, short);
    await writeRows(env.HISTORY, batchRows(events));
    await writeRows(env.HISTORY, short);
    expect(await all("task_id=100", 7)).toEqual(newestFirst(events));
  });

  test("P7: an outbox reaches D1 after an outage, with every event and every column unchanged", async () => {
    const events = [
      event(101, 1, {
        kind: "submitted",
        worker_id: null,
        attempt: null,
        frames: null,
        frame_count: 3,
        seconds: null,
        detail: 'ana "\\\n絵\u0000',
      }),
      event(101, 2, { seconds: 1.25 }),
      event(101, 3, { kind: "error", detail: "Error: Build without OpenImageDenoiser" }),
      event(101, 4, { kind: "completed", worker_id: null, attempt: null, seconds: null }),
    ];
    const waiting = [...events];
    let away = true;
    const deps = {
      read: (limit: number) => waiting.slice(0, limit),
      remove: (through: number) => void waiting.splice(0, waiting.findLastIndex((e) => e.seq <= through) + 1),
      drop: () => expect.unreachable("nothing may be dropped"),
      waitingBytes: () => 0,
      write: async (rows: Parameters<typeof writeRows>[1]) => {
        await writeRows(env.HISTORY, rows);
        if (away) throw new Error("the reply was lost");
      },
      nowMs: () => NOON_MS,
    };
    const failed = await drainOutbox({ failures: 0 }, deps);
    expect([failed.failures, waiting.length]).toEqual([1, 4]);
    away = false;
    expect(await drainOutbox(failed, deps)).toEqual({ failures: 0, retryAtMs: null, drained: 4, refusal: null });
    expect(await all("task_id=101", 100)).toEqual(newestFirst(events));
  });

  test("no statement exceeds the limits of D1, however long the texts", async () => {
    const detail = "絵".repeat(4_000);
    const events = Array.from({ length: 200 }, (_, i) => event(102, i + 1, { kind: "error", detail }));
    const sizes: number[] = [];
    const measured = new Proxy(env.HISTORY, {
      get: (db, name) => {
        if (name === "batch") return db.batch.bind(db);
        return (sql: string) => ({
          bind: (json: string) => {
            sizes.push(new TextEncoder().encode(json).length);
            return db.prepare(sql).bind(json);
          },
        });
      },
    });
    await writeRows(measured, batchRows(events));
    // Three with events, and one that counts them.
    expect(sizes.length).toBe(4);
    expect(Math.max(...sizes)).toBeLessThan(1_000_001);
    expect((await all("task_id=102", 90)).map((e) => e.seq)).toEqual(newestFirst(events).map((e) => e.seq));
  });

  test("a drained batch costs a row per worker and its index entry", async () => {
    const rows = batchRows(
      Array.from({ length: 60 }, (_, i) => event(103, i + 1, { worker_id: (i % 3) + 1, at_ms: NOON_MS + i })),
    );
    expect(rows.length).toBe(3);
    await writeRows(env.HISTORY, rows);
    const { results } = await env.HISTORY.prepare("SELECT name FROM pragma_index_list('history')").all<{
      name: string;
    }>();
    expect(results.map((index) => index.name).toSorted()).toEqual(["history_by_time", "sqlite_autoindex_history_1"]);
  });
});

describe("reading", () => {
  const START_MS = Date.UTC(2027, 0, 1, 9);
  const since = `since=${START_MS}&until=${START_MS + DAY_MS}`;
  const events: HistoryEvent[] = [];

  beforeAll(async () => {
    for (let task = 1; task <= 4; task++) {
      const type = task === 4 ? "print_string" : "blender_render";
      const own = Array.from({ length: 80 }, (_, i) => {
        const kind =
          i === 0 ? "submitted" : i === 79 ? "completed" : i % 9 === 0 ? "error" : i % 13 === 0 ? "lost" : "done";
        const worker_id = kind === "submitted" || kind === "completed" ? null : ((i * task) % 5) + 1;
        return event(task, i + 1, { kind, type, worker_id, at_ms: START_MS + Math.floor(i / 2) * (7_000 + task) });
      });
      events.push(...own);
      for (let start = 0; start < own.length; start += 11)
        await writeRows(env.HISTORY, batchRows(own.slice(start, start + 11)));
    }
  });

  test.each([1, 7, 13, 64, 500])(
    "pages of %i hold every event once, newest first, also while new ones arrive",
    async (limit) => {
      const seen: HistoryEvent[] = [];
      let cursor: string | null = "";
      for (let pages = 0; cursor !== null; pages++) {
        const next: { events: HistoryEvent[]; cursor: string | null } = await page(
          `since=${START_MS}&until=${START_MS + 3_600_000}&limit=${limit}${cursor && `&cursor=${cursor}`}`,
        );
        seen.push(...next.events);
        cursor = next.cursor;
        if (pages < 3)
          await writeRows(
            env.HISTORY,
            batchRows([event(900 + limit, pages + 1, { at_ms: START_MS + 3_500_000 + pages, type: "sleep_simple" })]),
          );
      }
      expect(seen.filter((e) => e.task_id < 900)).toEqual(newestFirst(events));
    },
  );

  test.each<[string, (e: HistoryEvent) => boolean]>([
    ["task_id=2", (e) => e.task_id === 2],
    ["worker_id=3", (e) => e.worker_id === 3],
    ["worker_id=3&kind=error", (e) => e.worker_id === 3 && e.kind === "error"],
    ["kind=lost", (e) => e.kind === "lost"],
    ["status=completed", (e) => e.kind === "completed"],
    ["type=print_string", (e) => e.type === "print_string"],
    ["task_id=4&type=blender_render", () => false],
  ])("%s finds these and no others", async (query, wanted) => {
    const expected = newestFirst(events.filter(wanted));
    expect(await all(`${since}&${query}`, 9).then((found) => found.filter((e) => e.task_id < 900))).toEqual(expected);
  });

  test("since and until are inclusive, inside rows as well as between them", async () => {
    const times = newestFirst(events).map((e) => e.at_ms);
    const [until, from] = [times[40]!, times[200]!];
    expect(await all(`since=${from}&until=${until}`, 50)).toEqual(
      newestFirst(events).filter((e) => e.at_ms >= from && e.at_ms <= until),
    );
  });

  test("days sum up what happened on each UTC day", async () => {
    const midnightMs = Date.UTC(2027, 5, 2);
    const across = [
      event(50, 1, { at_ms: midnightMs - 2, worker_id: 8, seconds: 1.5, frame_count: 4 }),
      event(50, 2, { at_ms: midnightMs - 1, worker_id: 9, kind: "error", seconds: 2 }),
      event(50, 3, { at_ms: midnightMs, worker_id: 8, seconds: 3 }),
      event(50, 4, { at_ms: midnightMs, worker_id: 8, kind: "lost", frame_count: 5, seconds: null }),
      event(50, 5, { at_ms: midnightMs, worker_id: null, kind: "completed", seconds: null }),
    ];
    await writeRows(env.HISTORY, batchRows(across));
    await writeRows(
      env.HISTORY,
      batchRows([event(51, 1, { at_ms: midnightMs + DAY_MS - 1, worker_id: 8, seconds: 10 })]),
    );
    const response = await ask(listDays, `since=${midnightMs - 1}&until=${midnightMs + 5}`);
    expect(await response.json()).toEqual({
      days: [
        { day: "2027-06-01", frames: 4, errors: 1, lost: 0, seconds: 3.5, workers: 2, tasks: 1 },
        { day: "2027-06-02", frames: 2, errors: 0, lost: 5, seconds: 13, workers: 1, tasks: 2 },
      ],
    });
  });

  test.each([
    ["limit=0", "limit"],
    ["limit=501", "limit"],
    ["limit=ten", "limit"],
    ["task_id=", "task_id"],
    ["task_id=-1", "task_id"],
    ["worker_id=1.5", "worker_id"],
    ["kind=finished", "kind"],
    ["status=done", "status"],
    ["kind=failed&status=failed", "status"],
    ["type=", "type"],
    ["since=yesterday", "since"],
    ["since=5&until=4", "until"],
    ["cursor=", "cursor"],
    ["cursor=abc", "cursor"],
    ["task=1", "task"],
    ["limit=1&limit=2", "limit"],
  ])("P10: %s is a 422 that names %s", async (query, field) => {
    const response = await ask(listHistory, query);
    const body = await response.json<{ errors: { field: string }[] }>();
    expect([response.status, body.errors.map((error) => error.field)]).toEqual([422, [field]]);
  });

  test.each([
    [`since=0&until=${366 * DAY_MS}`, "since"],
    ["until=x", "until"],
    ["limit=1", "limit"],
  ])("P10: days?%s is a 422 that names %s", async (query, field) => {
    const response = await ask(listDays, query);
    const body = await response.json<{ errors: { field: string }[] }>();
    expect([response.status, body.errors.map((error) => error.field)]).toEqual([422, [field]]);
  });
});

describe("exports", () => {
  test("workers have totals of the requested days, the busiest first, with frames per hour of rendering", async () => {
    const at_ms = Date.UTC(2027, 0, 5, 12);
    const of = (seq: number, worker_id: number, more: Partial<HistoryEvent> = {}) =>
      event(900, seq, { at_ms: at_ms + seq, worker_id, ...more });
    await writeRows(
      env.HISTORY,
      batchRows([of(1, 7, { frame_count: 3, seconds: 30 }), of(2, 7, { kind: "error", seconds: null })]),
    );
    await writeRows(
      env.HISTORY,
      batchRows([of(3, 8, { frame_count: 5, seconds: 10 }), of(4, 9, { kind: "lost", frame_count: 2, seconds: null })]),
    );
    await writeRows(env.HISTORY, batchRows([event(901, 1, { at_ms: at_ms + 86_400_000, worker_id: 7 })]));
    const query = `since=${at_ms}&until=${at_ms}`;
    expect(await (await ask(listWorkerTotals, query)).json()).toEqual({
      workers: [
        {
          worker_id: 8,
          name: "",
          frames: 5,
          errors: 0,
          lost: 0,
          seconds: 10,
          frames_per_hour: 1_800,
          tasks: 1,
          last_ms: at_ms + 3,
        },
        {
          worker_id: 7,
          name: "",
          frames: 3,
          errors: 1,
          lost: 0,
          seconds: 30,
          frames_per_hour: 360,
          tasks: 1,
          last_ms: at_ms + 1,
        },
        {
          worker_id: 9,
          name: "",
          frames: 0,
          errors: 0,
          lost: 2,
          seconds: 0,
          frames_per_hour: null,
          tasks: 1,
          last_ms: at_ms + 4,
        },
      ],
    });
    const csv = await (await ask(listWorkerTotals, `${query}&format=csv`)).text();
    expect(csv.split("\r\n").slice(0, 2)).toEqual([
      "worker_id,frames,errors,lost,seconds,frames_per_hour,tasks,last_ms,name",
      `8,5,0,0,10,1800,1,${at_ms + 3},`,
    ]);
  });

  test("CSV has every matching event once, over pages, with texts that no spreadsheet runs", async () => {
    const at_ms = Date.UTC(2027, 1, 5, 12);
    const events = Array.from({ length: 1_234 }, (_, n) =>
      event(910, n + 1, { at_ms: at_ms + n, kind: "error", detail: n === 7 ? '=cmd|"x"' : null }),
    );
    await writeRows(env.HISTORY, batchRows(events));
    const answer = await ask(listHistory, "task_id=910&format=csv");
    expect(answer.headers.get("Content-Type")).toBe("text/csv; charset=utf-8");
    const lines = (await answer.text()).trimEnd().split("\r\n");
    expect(lines[0]).toBe("task_id,seq,at,kind,type,worker_id,attempt,frames,frame_count,seconds,detail,blender");
    expect(lines.slice(1).map((line) => Number(line.split(",")[1]))).toEqual(events.map(({ seq }) => seq).toReversed());
    expect(lines.find((line) => line.startsWith("910,8,"))).toBe(
      `910,8,${new Date(at_ms + 7).toISOString()},error,blender_render,1,1,8,1,2,"'=cmd|""x""",`,
    );
    expect((await ask(listHistory, "format=csv&cursor=abc")).status).toBe(422);
    expect((await ask(listDays, "format=xml")).status).toBe(422);
  });
});
