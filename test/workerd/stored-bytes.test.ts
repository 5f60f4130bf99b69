/**
 * The bytes that a task stores: exact through restarts, and counted once for tasks of releases that
 * kept no sum, a part of their frames at a time.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { runDailyJobs } from "../../src/daily-jobs.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import {
  alarmOf,
  claim,
  complete,
  later,
  lease,
  rendered,
  requeue,
  ring,
  stubOf,
  submit,
  view,
} from "./chaos-tasks.ts";
import { newRegistry, report, rowsOf } from "./registry-client.ts";
import { rowsWhile } from "./statements.ts";

afterEach(() => vi.useRealTimers());

/** Alarms that are set on this clock ring when a test rings them, and not by themselves. */
const DAY_MS = 86_400_000;

const registry = (): RegistryRpc => registryStub(env) as unknown as RegistryRpc;

/** What the registry lists of a task. */
async function listed(id: number): Promise<number | null | undefined> {
  const page = await registry().listTasks({ limit: 100 });
  if (!page.ok) throw new Error(page.error.detail);
  return page.value.tasks.find((task) => task.id === id)?.stored_bytes;
}

/** Bring the rows of a task into the form of a release that keeps no sum, with one done frame for each of `sizes`. */
async function ofEarlierRelease(id: number, sizes: readonly number[]): Promise<void> {
  await runInDurableObject(stubOf(id), async (_, { storage }) => {
    const [row] = storage.sql.exec<{ json: string }>("SELECT json FROM record").toArray();
    const record = JSON.parse(row!.json) as { ledger: Record<string, unknown> };
    const { stored: _stored, ...ledger } = record.ledger;
    const done = sizes.length;
    Object.assign(ledger, {
      // Above every version of the write-ahead log, so that nothing of it is read.
      version: 1_000_000,
      attempt: done,
      cursor: done,
      counts: { leased: 0, done, failed: 0, skipped: 0 },
      tally: { done, errors: 0, lost: 0, seconds: done, squares: done },
    });
    storage.sql.exec("UPDATE record SET json = ?", JSON.stringify({ ...record, ledger }));
    storage.sql.exec("DELETE FROM pages");
    let page: Record<string, object> = {};
    for (const [i, size] of sizes.entries()) {
      const frame = i + 1;
      page[frame] = {
        state: "done",
        attempt: frame,
        worker: 1,
        seconds: 1,
        at_ms: 1,
        files: [
          { name: `frame_${frame}.png`, size, sha256: "ab".repeat(32) },
          { name: `frame_${frame}.png.preview.jpg`, size: 1, sha256: "cd".repeat(32), kind: "preview" },
        ],
        failures: [],
        error: null,
      };
      if ((frame + 1) % 16 === 0 || frame === sizes.length) {
        storage.sql.exec(
          "INSERT INTO pages (page, failed, json) VALUES (?, 0, ?)",
          Math.floor(frame / 16),
          JSON.stringify(page),
        );
        page = {};
      }
    }
    await storage.deleteAlarm();
  });
  await evictDurableObject(stubOf(id));
}

test("P1: what a task stores is told with every commit and requeue, and survives a restart", async () => {
  const id = await submit("1-4");
  expect((await view(id)).stored_bytes).toBe(0);
  for (let i = 0; i < 3; i++) expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  expect((await view(id)).stored_bytes).toBe(27);
  await evictDurableObject(stubOf(id));
  expect((await view(id)).stored_bytes).toBe(27);
  expect(await requeue(id, "2")).toMatchObject({ ok: true });
  await evictDurableObject(stubOf(id));
  expect((await view(id)).stored_bytes).toBe(18);
  for (let given = (await claim(id, 1)).lease; given; given = (await claim(id, 1)).lease) {
    const done = await rendered(given);
    for (const { receipts } of done) for (const claims of receipts) claims.size = 1_000;
    expect((await complete(given, 1, done)).ok).toBe(true);
  }
  expect(await view(id)).toMatchObject({ status: "completed", stored_bytes: 2_018 });
  await ring(id);
  expect(await listed(id)).toBe(2_018);
  expect(await requeue(id, "all")).toMatchObject({ ok: true });
  await evictDurableObject(stubOf(id));
  expect((await view(id)).stored_bytes).toBe(0);
});

test("P1: a task of a release without the sum is read, counted by its alarm, and reported, without a call that changes it", async () => {
  later(DAY_MS);
  const id = await submit("1-40");
  const sizes = Array.from({ length: 33 }, (_, i) => 100 + i);
  await ofEarlierRelease(id, sizes);
  expect((await view(id)).stored_bytes).toBeNull();
  expect(await alarmOf(id)).not.toBeNull();
  await ring(id);
  const sum = sizes.reduce((all, size) => all + size + 1, 0);
  expect((await view(id)).stored_bytes).toBe(sum);
  expect(await listed(id)).toBe(sum);
  await evictDurableObject(stubOf(id));
  expect((await view(id)).stored_bytes).toBe(sum);
  // The count does not go on, and does not begin again.
  await ring(id);
  const rows = await runInDurableObject(
    stubOf(id),
    async (instance, { storage }) =>
      await rowsWhile(storage, () => (instance as unknown as { alarm(): Promise<void> }).alarm()),
  );
  expect(rows).toEqual({ read: 0, written: 0 });
});

test("P1: a long task is counted 20,000 frames at a time, and frames that are committed meanwhile are counted once", async () => {
  later(DAY_MS);
  const id = await submit("1-50010");
  const sizes = Array.from({ length: 50_000 }, (_, i) => 1 + (i % 97));
  await ofEarlierRelease(id, sizes);
  const alarm = async (): Promise<number> => {
    const rows = await runInDurableObject(
      stubOf(id),
      async (instance, { storage }) =>
        await rowsWhile(storage, () => (instance as unknown as { alarm(): Promise<void> }).alarm()),
    );
    return rows.read;
  };
  const sum = sizes.reduce((all, size) => all + size + 1, 0);
  expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  expect((await view(id)).stored_bytes).toBeNull();
  // A page is a row of 16 frames; reading begins with a few rows and ends within 64 of the last one.
  expect(await alarm()).toBeLessThan(20_000 / 16 + 200);
  // Frame 5 is counted already, frame 45,000 is not.
  expect(await requeue(id, "5,45000")).toMatchObject({ ok: true });
  for (let i = 0; i < 2; i++) expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  await evictDurableObject(stubOf(id));
  expect((await view(id)).stored_bytes).toBeNull();
  await alarm();
  await alarm();
  const changed = sizes[4]! + 1 + sizes[44_999]! + 1;
  expect((await view(id)).stored_bytes).toBe(sum - changed + 3 * 9);
});

describe("the registry", () => {
  const task = (id: number, owner: string, bytes: number | null | undefined) =>
    report(id, { task: { owner, ...(bytes !== undefined && { stored_bytes: bytes }) } });

  test("adds up what tasks store, by owner, and says how many have not counted; removed tasks are in no sum", async () => {
    const farm = newRegistry();
    for (const one of [
      task(1, "admin", 500),
      task(2, "ada#3", 70),
      task(3, "ada#3", null),
      task(4, "bo#4", undefined),
      task(5, "ada#3", 1_000),
      task(6, "admin", 9),
    ])
      await farm.report(one);
    await farm.report({ ...task(6, "admin", 9), gone: true });
    expect(await farm.storage(null)).toEqual({
      outputs: { tasks: 5, bytes: 1_570, uncounted_tasks: 2 },
      owners: [
        { owner: "ada#3", tasks: 3, bytes: 1_070, uncounted_tasks: 1 },
        { owner: "admin", tasks: 1, bytes: 500, uncounted_tasks: 0 },
        { owner: "bo#4", tasks: 1, bytes: 0, uncounted_tasks: 1 },
      ],
      owners_left_out: 0,
    });
    expect(await farm.storage("ada#3")).toMatchObject({
      outputs: { tasks: 3, bytes: 1_070, uncounted_tasks: 1 },
      owners: [{ owner: "ada#3" }],
    });
    expect((await farm.metrics()).stored).toEqual({ bytes: 1_570, uncounted: 2 });
    expect((await farm.uncountedTasks()).toSorted()).toEqual([3, 4]);
  });

  test("lists the largest tasks first, page by page, each once, also those of the same size", async () => {
    const farm = newRegistry();
    const sizes = [5, 0, 70, 70, 70, 1, null, 70, 3_000_000_000];
    for (const [i, size] of sizes.entries()) await farm.report(task(i + 1, i === 2 ? "bo#4" : "ada#3", size));
    const ids = async (owner?: string): Promise<number[]> => {
      const seen: number[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<RegistryRpc["largestTasks"]>> = await farm.largestTasks({
          limit: 2,
          ...(owner !== undefined && { owner }),
          ...(cursor !== null && { cursor }),
        });
        if (!page.ok) throw new Error(page.error.detail);
        expect(page.value.tasks.length).toBeLessThanOrEqual(2);
        seen.push(...page.value.tasks.map(({ id }) => id));
        ({ cursor } = page.value);
      } while (cursor !== null && seen.length < 20);
      return seen;
    };
    expect(await ids()).toEqual([9, 8, 5, 4, 3, 1, 6]);
    expect(await ids("ada#3")).toEqual([9, 8, 5, 4, 1, 6]);
    expect(await ids("nobody#9")).toEqual([]);
    for (const cursor of ["x", "1", "-1-2", "1-0", "1-2-3"])
      expect(await farm.largestTasks({ limit: 2, cursor })).toMatchObject({
        ok: false,
        error: { code: "invalid" },
      });
  });

  test("reads each task's row once for the sums, and writes nothing", async () => {
    const farm = newRegistry();
    for (let id = 1; id <= 40; id++) await farm.report(task(id, "admin", id));
    const rows = await rowsOf(farm, async (registry) => await registry.storage(null));
    expect(rows.written).toBe(0);
    // The row, and its entry in the index of owners.
    expect(rows.read).toBeLessThanOrEqual(80);
  });
});

test("P1: the daily jobs have tasks that were never called count what they store", async () => {
  later(DAY_MS);
  const id = await submit("1-3");
  await ofEarlierRelease(id, [10, 20, 30]);
  // As a registry of the earlier release has it.
  await runInDurableObject(registryStub(env), (_, { storage }) => {
    storage.sql.exec("UPDATE tasks SET summary = json_remove(summary, '$.stored_bytes') WHERE id = ?", id);
  });
  expect(await listed(id)).toBeUndefined();
  expect(await registry().uncountedTasks()).toContain(id);
  await runDailyJobs(env, Date.now());
  await ring(id);
  expect(await listed(id)).toBe(63);
  expect(await registry().uncountedTasks()).not.toContain(id);
});
