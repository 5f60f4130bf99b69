/**
 * The free plan allows 50 queries to D1 in a request, or in a run of a cron trigger
 * (`test/platform/limits/d1-queries.ts`). What needs many queries must come to its end all the same,
 * or go on in the next run.
 */
import { createExecutionContext } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { runDailyJobs } from "../../src/daily-jobs.ts";
import { sweepAtNight, type SweepProgress } from "../../src/files/input-sweep.ts";
import { recordNotes } from "../../src/files/fill-input-index.ts";
import { sweepInputs } from "../../src/files/input-sweep.ts";
import { QueryBudget } from "../../src/files/query-budget.ts";
import { sizesOfInputs } from "../../src/files/stored-inputs.ts";
import { putUseNote } from "../../src/files/use-notes.ts";
import { sweepDependencies } from "../../src/http/unused-inputs.ts";
import worker from "../../src/index.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import type { Env } from "../../src/rpc/env.ts";
import { limitedEnv } from "../platform/workerd/bindings.ts";
import { beginEvent, bites, switchTo } from "../platform/workerd/switches.ts";
import { sha256, text } from "./files-call.ts";
import { ADMIN_TOKEN, HOST, okJson, send } from "./http-client.ts";
import { hashOfNumber, VirtualBucket } from "./input-storage.ts";

const env = bindings as unknown as Env;
const { HISTORY } = env;
const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 0, 1);

/** The bindings of one invocation of the free plan. */
function free(other: Partial<Env> = {}): Env {
  const invocation = {};
  beginEvent(invocation);
  return limitedEnv({ ...env, ...other }, invocation);
}

async function ask(path: string, init: RequestInit = {}, other: Partial<Env> = {}): Promise<Response> {
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}`, ...(init.headers as Record<string, string>) };
  return await worker.fetch(new Request(HOST + path, { ...init, headers }), free(other), createExecutionContext());
}

const REGISTRY = {
  getByName: () => ({ isRestoring: async () => ({ ok: true, value: null }) }),
} as unknown as DurableObjectNamespace;

async function count(table: string): Promise<number> {
  return (await HISTORY.prepare(`SELECT count(*) AS n FROM ${table}`).first<{ n: number }>())!.n;
}

/**
 * Rows of one event each, `stepMs` apart: the task was changed, and each `nth` time paused. Nobody
 * counts them.
 */
async function fillHistory(rows: number, { nth = rows + 1, stepMs = 1_000 } = {}): Promise<void> {
  await HISTORY.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO history (task_id, seq, through_seq, from_ms, worker_id, type, frames_done, frames_error, frames_lost, seconds, events)
     SELECT 1, i, i, ?2 + i * ?4, NULL, 'demo_render', 0, 0, 0, 0,
       json_array(json_object('task_id', 1, 'seq', i, 'at_ms', ?2 + i * ?4, 'kind', iif(i % ?3 = 0, 'paused', 'changed'),
         'type', 'demo_render', 'worker_id', NULL, 'attempt', NULL, 'frames', NULL, 'frame_count', 0, 'seconds', NULL, 'detail', NULL))
     FROM n`,
  )
    .bind(rows, START_MS, nth, stepMs)
    .run();
}

/** A bucket with so many inputs, these markers of inputs that the index did not take, and notes of their use. */
function bucketWith(inputs: number, markers: string[], notes: string[] = []): R2Bucket {
  const { bucket } = new VirtualBucket(inputs);
  const list = async (query: R2ListOptions): Promise<object> => {
    if (query.prefix === "used/") return { objects: notes.map((key) => ({ key })), truncated: false };
    if (query.prefix !== "unindexed/") return await bucket.list({ startAfter: "", ...query });
    // As in R2, a cursor goes on after a key, whatever was deleted meanwhile.
    const left = markers.filter((sha256) => sha256 > (query.cursor ?? ""));
    const page = left.slice(0, 1_000);
    const objects = page.map((sha256) => ({
      key: `unindexed/${sha256}`,
      size: 0,
      uploaded: new Date(START_MS),
      customMetadata: { size: "10" },
    }));
    return { objects, truncated: left.length > page.length, cursor: page.at(-1) };
  };
  const remove = async (keys: string[]): Promise<void> => {
    if (keys[0]?.startsWith("used/")) return void notes.splice(0, Infinity);
    const gone = new Set(keys.map((key) => key.slice("unindexed/".length)));
    markers.splice(0, Infinity, ...markers.filter((sha256) => !gone.has(sha256)));
  };
  const note = { text: async () => JSON.stringify([hashOfNumber(0)]), customMetadata: { seen_ms: String(START_MS) } };
  const get = async (key: string): Promise<object | null> => (key.startsWith("used/") ? note : null);
  return { head: async () => null, get, list, delete: remove } as unknown as R2Bucket;
}

beforeEach(async () => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  switchTo(["d1-queries"]);
  bites["d1-queries"] = 0;
  await HISTORY.batch([
    HISTORY.prepare("DROP TRIGGER IF EXISTS history_inserted"),
    HISTORY.prepare("DELETE FROM history"),
    HISTORY.prepare("DELETE FROM history_open_days"),
    HISTORY.prepare("DELETE FROM history_days"),
    HISTORY.prepare("UPDATE history_kept SET from_ms = 0, deletes_after_ms = 0"),
    HISTORY.prepare("DELETE FROM inputs"),
    HISTORY.prepare("UPDATE inputs_fill SET after = '', complete = 0"),
  ]);
});

describe("the daily run", () => {
  test("with everything behind ends well, and the next ones go on", async () => {
    await fillHistory(60_000);
    await HISTORY.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 364)
       INSERT INTO history_open_days (day, task_id, through_seq, entries) SELECT ?1 + i, 1, 1, '[[1,1,0,0,1.0,1]]' FROM n`,
    )
      .bind(START_MS / DAY_MS + 100)
      .run();
    // Above all that the bucket lists.
    const markers = Array.from({ length: 20_000 }, (_, i) => hashOfNumber(2_000_000 + i));
    const notes = Array.from({ length: 100 }, (_, i) => `used/${i}`);
    const FILES = bucketWith(1_000_000, markers, notes);
    const nowMs = START_MS + 500 * DAY_MS;
    await runDailyJobs(free({ FILES }), nowMs);
    expect(bites["d1-queries"]).toBe(0);
    expect([markers.length, notes.length, await count("inputs")]).toEqual([0, 0, 20_000 + 50_000]);
    expect([await count("history"), await count("history_open_days")]).toEqual([0, 360]);
    await runDailyJobs(free({ FILES }), nowMs + DAY_MS);
    expect(await count("inputs")).toBe(20_000 + 100_000);
    expect(await count("history_open_days")).toBe(355);
  });

  test("with more rows to delete than the free plan has queries for does not fail; the paid plan deletes them at once", async () => {
    await fillHistory(500_000, { stepMs: 200 });
    const FILES = bucketWith(0, []);
    const nowMs = START_MS + 500 * DAY_MS;
    await runDailyJobs(free({ FILES }), nowMs);
    expect(bites["d1-queries"]).toBe(1);
    const left = await count("history");
    expect(left).toBeLessThan(450_000);
    expect(left).toBeGreaterThan(0);
    switchTo([]);
    await runDailyJobs(free({ FILES }), nowMs + DAY_MS);
    expect(await count("history")).toBe(0);
  });
});

describe("the sweep of unused inputs", () => {
  const { FILES } = env;
  const TASKS = 400;
  const INPUTS_OF_A_TASK = 100;
  const USED = TASKS * INPUTS_OF_A_TASK;
  const UNUSED = 12_000;
  /** Far above the hashes of the used ones. */
  const UNUSED_FROM = 1_000_000;
  const tasks: number[] = [];
  let aheadMs = 0;

  /** Rows of inputs of ten bytes. */
  async function fillInputs(from: number, rows: number): Promise<void> {
    await HISTORY.prepare(
      `WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + ?2 - 1)
       INSERT INTO inputs (sha256, size, stored_ms, used_ms) SELECT printf('%064x', i), 10, 0, 0 FROM n`,
    )
      .bind(from, rows)
      .run();
  }

  /** A piece list of the first 500 used inputs and of `own`; `named`: its row names them. */
  async function storeList(own: string, named: boolean): Promise<{ sha256: string; size: number }> {
    const pieces = [...Array.from({ length: 500 }, (_, i) => hashOfNumber(i)), own];
    const list = `tablao-pieces 1\n${pieces.map((piece) => `10 ${piece}\n`).join("")}`;
    const hash = await sha256(text(list));
    await FILES.put(`assets/${hash}`, list, { customMetadata: { sha256: hash, whole: String(pieces.length * 10) } });
    await HISTORY.prepare(
      "INSERT INTO inputs (sha256, size, stored_ms, used_ms, whole_size, pieces) VALUES (?, ?, 0, 0, ?, ?)",
    )
      .bind(hash, list.length, pieces.length * 10, named ? JSON.stringify(pieces) : null)
      .run();
    return { sha256: hash, size: pieces.length * 10 };
  }

  async function submit(inputs: readonly object[]): Promise<number> {
    const assets = inputs.map((input, i) => ({ path: i === 0 ? "shot.blend" : `textures/${i}.png`, ...input }));
    const json = { type: "blender_render", settings: { file: "shot.blend", frames: "1", assets } };
    return (await okJson(await send("POST", "/tasks", { json }), 202))["id"] as number;
  }

  /** A run of the trigger; the wait for the marker passes at once. */
  async function night(): Promise<SweepProgress> {
    const dependencies = { ...sweepDependencies(free()), now: () => Date.now() + aheadMs };
    return await sweepAtNight(dependencies, { days: 30, deletes: true }, async (ms) => void (aheadMs += ms));
  }

  const live = async (): Promise<number> =>
    (await HISTORY.prepare("SELECT count(*) AS n FROM inputs WHERE deleting_until_ms IS NULL").first<{ n: number }>())!
      .n;

  afterAll(async () => {
    switchTo([]);
    for (const task of tasks) await send("DELETE", `/tasks/${task}`);
    for (const prefix of ["assets/", "unindexed/", "used/", "farm/sweeping"]) {
      for (;;) {
        const { objects } = await FILES.list({ prefix });
        if (objects.length === 0) break;
        await FILES.delete(objects.map(({ key }) => key));
      }
    }
  });

  test("P14: with 400 tasks, lists, notes, markers and 12,000 unused inputs ends well, and the next runs go on", async () => {
    switchTo([]);
    await HISTORY.batch([
      HISTORY.prepare("UPDATE inputs_fill SET complete = 1"),
      HISTORY.prepare("DELETE FROM input_sweep"),
      HISTORY.prepare("INSERT INTO input_sweep (id, deletes_after_ms) VALUES (1, 0)"),
    ]);
    await fillInputs(0, USED);
    await fillInputs(UNUSED_FROM, UNUSED);
    // Two pieces that only a list in use names; of the second, only the list's object does.
    await fillInputs(USED, 2);
    const lists = [await storeList(hashOfNumber(USED), true), await storeList(hashOfNumber(USED + 1), false)];
    await storeList(hashOfNumber(UNUSED_FROM), true);
    for (let task = 0; task < TASKS; task++) {
      const own = Array.from({ length: INPUTS_OF_A_TASK }, (_, i) => ({
        sha256: hashOfNumber(task * INPUTS_OF_A_TASK + i),
        size: 10,
      }));
      const list = task < 100 ? [{ ...lists[task % 2]!, pieces: true }] : [];
      tasks.push(await submit([...own, ...list]));
    }
    await HISTORY.prepare("UPDATE inputs SET used_ms = 0").run();
    // Uses and uploads that D1 did not take.
    const noted = Array.from({ length: 60 }, (_, i) => hashOfNumber(UNUSED_FROM + 1 + i));
    for (const hash of noted) await putUseNote(FILES, [hash], Date.now());
    const marked = Array.from({ length: 60 }, (_, i) => hashOfNumber(UNUSED_FROM + UNUSED + i));
    for (const hash of marked)
      await FILES.put(`unindexed/${hash}`, "", { customMetadata: { size: "10", seen_ms: String(Date.now()) } });
    switchTo(["d1-queries"]);

    const nights = [await night()];
    expect(bites["d1-queries"]).toBe(0);
    expect(nights[0]!.asked).toBeGreaterThan(350);
    while (!nights.at(-1)!.done && nights.length < 10) nights.push(await night());
    expect(bites["d1-queries"]).toBe(0);
    expect(nights.at(-1)).toMatchObject({ done: true, held: null });
    expect(nights.length).toBeLessThanOrEqual(3);
    const deleted = nights.map((progress) => progress.deleted.inputs);
    expect(Math.max(...deleted)).toBeGreaterThan(4_000);
    // The unused, but those that were noted, and a list.
    expect(deleted.reduce((sum, inputs) => sum + inputs, 0)).toBe(UNUSED - noted.length + 1);
    expect(await live()).toBe(USED + 2 + lists.length + noted.length + marked.length);
    expect((await FILES.list({ prefix: "used/" })).objects).toEqual([]);
    expect((await FILES.list({ prefix: "unindexed/" })).objects).toEqual([]);
  });
});

test("a question about 10,000 inputs, old and not indexed, needs few queries", async () => {
  const bucket = new VirtualBucket(10_000);
  const hashes = Array.from({ length: 10_000 }, (_, i) => hashOfNumber(i));
  const sizes = await sizesOfInputs(free({ FILES: bucket.bucket }), hashes, Date.now);
  expect([sizes.ok, bites["d1-queries"]]).toEqual([true, 0]);
});

describe("the history", () => {
  const lines = async (response: Response): Promise<number> => (await response.text()).split("\r\n").length - 2;

  test("as CSV has 100,000 events", async () => {
    await fillHistory(100_000);
    const answer = await ask("/history?format=csv");
    expect([answer.status, await lines(answer)]).toEqual([200, 100_000]);
    expect(bites["d1-queries"]).toBe(0);
  });

  test("as CSV has the few of one kind among 600,000", async () => {
    await fillHistory(600_000, { nth: 10_000 });
    expect(await lines(await ask("/history?format=csv&kind=paused"))).toBe(60);
    expect(bites["d1-queries"]).toBe(0);
  });

  test("answers a page of a kind that one in a hundred events has", async () => {
    await fillHistory(15_000, { nth: 100 });
    const { events } = (await okJson(await ask("/history?kind=paused"), 200)) as { events?: HistoryEvent[] };
    expect([events?.length, bites["d1-queries"]]).toEqual([100, 0]);
  });

  test("answers the totals of a leap year", async () => {
    const until = START_MS + 365 * DAY_MS;
    for (const of of ["days", "workers"])
      expect((await ask(`/history/${of}?since=${START_MS}&until=${until}`)).status).toBe(200);
    expect(bites["d1-queries"]).toBe(0);
  });
});

describe("a restore", () => {
  const post = (of: string, rows: readonly unknown[]): Promise<Response> =>
    ask(
      `/restore/rows?of=${of}`,
      { method: "POST", headers: { "Tablao-Backup": "b" }, body: rows.map((row) => JSON.stringify(row)).join("\n") },
      { REGISTRY },
    );

  test("takes the totals of ten years at once", async () => {
    const entries = JSON.stringify([[1, 2, 0, 0, 3.5, 4, [1]]]);
    const day = { frames: 2, errors: 0, lost: 0, seconds: 3.5, workers: 1, tasks: 1, entries };
    const days = Array.from({ length: 3_650 }, (_, i) => ["history_days", { day: 10_000 + i, ...day }]);
    expect((await post("totals", [["history_kept", { from_ms: 1 }], ...days])).status).toBe(204);
    expect(bites["d1-queries"]).toBe(0);
    expect(await HISTORY.prepare("SELECT * FROM history_days WHERE day = 10009").first()).toEqual({
      day: 10_009,
      ...day,
    });
    expect(await count("history_days")).toBe(3_650);
  });

  test("takes the largest body of events", async () => {
    const detail = "x".repeat(1_800);
    const rows = Array.from({ length: 6_500 }, (_, i) => {
      const event = { task_id: 1, seq: i + 1, at_ms: START_MS + i, kind: "error", type: "demo_render", worker_id: 1 };
      const events = JSON.stringify([{ ...event, attempt: 1, frames: "1", frame_count: 1, seconds: null, detail }]);
      const key = { task_id: 1, seq: i + 1, through_seq: i + 1, from_ms: START_MS + i, worker_id: 1 };
      const counts = { frames_done: 0, frames_error: 1, frames_lost: 0, seconds: 0 };
      return ["history", { ...key, type: "demo_render", ...counts, events }];
    });
    const answer = await post("history", rows);
    expect([answer.status, await answer.text()]).toEqual([204, ""]);
    expect([await count("history"), bites["d1-queries"]]).toEqual([6_500, 0]);
  });
});

test("P14: notes of uses that were listed and are gone do not hide those that were not listed", async () => {
  const FILES = {
    list: async ({ prefix }: { prefix: string }) =>
      prefix === "used/" ? { objects: [{ key: "used/1" }], truncated: true } : { objects: [], truncated: false },
    get: async () => null,
  } as unknown as R2Bucket;
  expect(await recordNotes({ FILES }, new QueryBudget(HISTORY, 10), START_MS)).toBe(false);
});

test("P14: a sweep finds the old piece list among more than fifty thousand that are in use", async () => {
  const nowMs = START_MS + 500 * DAY_MS;
  const old = hashOfNumber(50_009);
  await HISTORY.batch([
    HISTORY.prepare("UPDATE inputs_fill SET complete = 1"),
    HISTORY.prepare("DELETE FROM input_sweep"),
    HISTORY.prepare("INSERT INTO input_sweep (id, deletes_after_ms) VALUES (1, 0)"),
    HISTORY.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 50009)
       INSERT INTO inputs (sha256, size, stored_ms, used_ms, pieces) SELECT printf('%064x', i), 10, 1, iif(i = 50009, 1, ?1), '[]' FROM n`,
    ).bind(nowMs),
  ]);
  const marker = { uploaded: new Date(nowMs - 300_000), customMetadata: { until_ms: String(nowMs + 900_000) } };
  const FILES = {
    head: async () => marker,
    list: async () => ({ objects: [], truncated: false }),
    get: async () => null,
    delete: async () => {},
  } as unknown as R2Bucket;
  let done = false;
  for (let calls = 0; calls < 5 && !done; calls++) {
    const dependencies = {
      storage: free({ FILES }),
      taskIds: async () => [],
      inputsNamed: async () => null,
      notThere: async () => {},
      now: () => nowMs,
    };
    done = (await sweepInputs(dependencies, { days: 30, deletes: true })).done;
  }
  expect([done, bites["d1-queries"]]).toEqual([true, 0]);
  expect(await HISTORY.prepare("SELECT deleted FROM inputs WHERE sha256 = ?1").bind(old).first()).toEqual({
    deleted: 1,
  });
});
