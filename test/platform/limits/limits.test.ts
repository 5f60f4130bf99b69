/** Each limit does what Cloudflare's page about it says. */
import { beforeEach, describe, expect, test } from "vitest";
import { alarmsDropped, RETRIES, STORAGE_FAILED } from "./alarms-dropped.ts";
import { alarmsLost, LOST } from "./alarms-lost.ts";
import { connections, CONNECTIONS } from "./connections.ts";
import { CONNECTION_LOST, CUT_EVERY, cutStreams } from "./cut-streams.ts";
import { d1Full, DATABASE_FULL } from "./d1-full.ts";
import { d1Queries, FREE_QUERIES } from "./d1-queries.ts";
import { d1Stalled, STALL_MS } from "./d1-stalled.ts";
import { frozenClock } from "./frozen-clock.ts";
import { latency, LEAST_MS } from "./latency.ts";
import { isWrite, type AlarmInfo, type BindingCall, type Limit, type LimitContext } from "./limit.ts";
import { forgetNewerSchema, newerSchema } from "./newer-schema.ts";
import { missingMethod, OLD_FOR_CALLS, oldObject } from "./old-object.ts";
import { D1_QUOTA, OBJECT_QUOTA, quota } from "./quota.ts";
import { MAX_ROW_BYTES, ROW_TOO_BIG, rowSize } from "./row-size.ts";
import { subrequests, TOO_MANY_CALLS } from "./subrequests.ts";
import { TOO_FAST, writeRate } from "./write-rate.ts";

/** 2026-11-27, 23:59:50 UTC. */
const START_MS = Date.UTC(2026, 10, 27, 23, 59, 50);

let nowMs: number;
let bites: number;
let slept: number[];
const context: LimitContext = {
  bite: () => void bites++,
  nowMs: () => nowMs,
  sleep: async (ms) => {
    slept.push(ms);
    nowMs += ms;
  },
  random: () => 0,
};

beforeEach(() => {
  nowMs = START_MS;
  bites = 0;
  slept = [];
});

const task = {};
const call = (service: BindingCall["service"], method: string, ...args: unknown[]): BindingCall => ({
  service,
  method,
  args,
});
const put = (key: string): BindingCall => call("r2", "put", key, "bytes");
const insert = call("d1", "batch", "  INSERT INTO history VALUES (1)");
const select = call("d1", "all", "SELECT 1");
const answer = async (): Promise<unknown> => "answer";
const carry = (limit: Limit, of: BindingCall, invocation: object = task): Promise<unknown> =>
  limit.call!(of, answer, invocation);

test("a call with latency takes at least the shortest round trip, also when it fails", async () => {
  const slow = latency(context);
  expect(await carry(slow, put("a"))).toBe("answer");
  expect(nowMs - START_MS).toBe(LEAST_MS);
  await expect(slow.call!(put("a"), () => Promise.reject(new Error("no")), task)).rejects.toThrow("no");
  expect(nowMs - START_MS).toBe(2 * LEAST_MS);
  expect(bites).toBe(2);
});

test("the seventh call of an invocation waits until one of six has its answer; another invocation's does not", async () => {
  const limit = connections(context);
  const answers: (() => void)[] = [];
  const waiting = (of: BindingCall, invocation: object): Promise<unknown> =>
    limit.call!(of, () => new Promise<void>((resolve) => answers.push(resolve)), invocation);
  const calls = Array.from({ length: CONNECTIONS + 1 }, () => waiting(put("a"), task));
  const other = waiting(select, {});
  const object = waiting(call("task", "view"), task);
  await Promise.resolve();
  expect([answers.length, bites]).toEqual([CONNECTIONS + 2, 1]);
  for (const resolve of answers.splice(0)) resolve();
  await Promise.all([other, object, ...calls.slice(0, CONNECTIONS)]);
  expect(answers).toHaveLength(1);
  answers[0]!();
  await calls.at(-1);
});

test("calls beyond the limit are refused, until an object's next event; each invocation has its own count", async () => {
  const limit = subrequests(2, context);
  for (let i = 0; i < 2; i++) expect(await carry(limit, select)).toBe("answer");
  await expect(carry(limit, select)).rejects.toThrow(TOO_MANY_CALLS);
  expect(await carry(limit, select, {})).toBe("answer");
  limit.event!(task);
  expect(await carry(limit, select)).toBe("answer");
  expect(bites).toBe(1);
});

test("queries to D1 beyond the limit are refused, each statement of a batch counts, and other calls do not", async () => {
  const limit = d1Queries(context);
  const batch = call("d1", "batch", ...Array<string>(FREE_QUERIES - 1).fill("SELECT 1"));
  expect(await carry(limit, batch)).toBe("answer");
  expect(await carry(limit, put("a"))).toBe("answer");
  expect(await carry(limit, select)).toBe("answer");
  await expect(carry(limit, select)).rejects.toThrow(TOO_MANY_CALLS);
  expect(await carry(limit, select, {})).toBe("answer");
  limit.event!(task);
  expect(await carry(limit, batch)).toBe("answer");
  await expect(carry(limit, batch)).rejects.toThrow(TOO_MANY_CALLS);
  expect(bites).toBe(2);
});

test("a second put of a key within a second is refused with 10058; another key and a later put are not", async () => {
  const limit = writeRate(context);
  await carry(limit, put("a"));
  await carry(limit, put("b"));
  await carry(limit, call("r2", "get", "a"));
  nowMs += 999;
  await expect(carry(limit, put("a"))).rejects.toThrow(TOO_FAST);
  nowMs += 1;
  expect(await carry(limit, put("a"))).toBe("answer");
  expect(bites).toBe(1);
});

test("the clock stands still until an event begins, or a call has its answer", async () => {
  const limit = frozenClock(context);
  nowMs += 5_000;
  expect(limit.now!(nowMs)).toBe(START_MS);
  await carry(limit, select);
  expect(limit.now!(nowMs)).toBe(START_MS + 5_000);
  nowMs += 1;
  expect(limit.now!(nowMs)).toBe(START_MS + 5_000);
  limit.event!(task);
  expect(limit.now!(nowMs)).toBe(START_MS + 5_001);
  expect(bites).toBe(2);
});

test("a row of 2 MB is taken, one of a byte more is not; characters count as their bytes", () => {
  const limit = rowSize(context);
  const insertRow = (...params: unknown[]): void => limit.statement!("INSERT …", params, task);
  insertRow(1, "a".repeat(MAX_ROW_BYTES - 8));
  insertRow("é".repeat(MAX_ROW_BYTES / 2));
  expect(() => insertRow("a".repeat(MAX_ROW_BYTES + 1))).toThrow(ROW_TOO_BIG);
  expect(() => insertRow(`${"é".repeat(MAX_ROW_BYTES / 2)}a`)).toThrow(ROW_TOO_BIG);
  expect(() => insertRow(new ArrayBuffer(MAX_ROW_BYTES), "a".repeat(1_000))).toThrow(ROW_TOO_BIG);
  expect(bites).toBe(3);
});

describe("alarms", () => {
  const first: AlarmInfo = { isRetry: false, retryCount: 0 };

  test("a handler that throws is called seven times while writes fail, and never for the same alarm again", async () => {
    const limit = alarmsDropped(context);
    const tries: number[] = [];
    const handler = async ({ retryCount }: AlarmInfo): Promise<void> => {
      tries.push(retryCount);
      expect(() => limit.setAlarm!(task)).toThrow(STORAGE_FAILED);
      expect(() => limit.setAlarm!({})).not.toThrow();
      limit.statement!("SELECT 1", [], task);
      limit.statement!("UPDATE record SET json = ?", [], task);
    };
    await limit.alarm!(handler, first, task);
    expect(tries).toEqual(Array.from({ length: RETRIES + 1 }, (_, i) => i));
    limit.statement!("UPDATE record SET json = ?", [], task);
    await limit.alarm!(async () => undefined, first, task);
    expect(bites).toBe(1);
  });

  test("a handler that returns although its writes were refused is not called again", async () => {
    const limit = alarmsDropped(context);
    let calls = 0;
    await limit.alarm!(async () => void calls++, first, task);
    expect(calls).toBe(1);
  });

  test("the first alarms of each object are lost, and later ones ring", async () => {
    const limit = alarmsLost(context);
    let rung = 0;
    for (let i = 0; i < LOST + 1; i++) await limit.alarm!(async () => void rung++, first, task);
    await limit.alarm!(async () => void rung++, first, {});
    expect([rung, bites]).toEqual([1, LOST + 1]);
  });
});

describe("D1", () => {
  test("a full database refuses writes, and answers reads", async () => {
    const limit = d1Full(context);
    await expect(carry(limit, insert)).rejects.toThrow(DATABASE_FULL);
    expect(await carry(limit, select)).toBe("answer");
    expect(await carry(limit, put("a"))).toBe("answer");
    expect(bites).toBe(1);
  });

  test("a stalled database answers when the 40 seconds are over", async () => {
    const limit = d1Stalled(context);
    nowMs += 1_000;
    expect(await carry(limit, select)).toBe("answer");
    expect(await carry(limit, insert)).toBe("answer");
    expect([nowMs - START_MS, slept, bites]).toEqual([STALL_MS, [STALL_MS - 1_000], 1]);
  });
});

test("a quota that is used up refuses writes and alarms until midnight UTC, and no reads", async () => {
  const limit = quota(context);
  const write = (): void => limit.statement!("INSERT INTO journal VALUES (1)", [], task);
  nowMs += 9_999;
  expect(write).toThrow(OBJECT_QUOTA);
  expect(() => limit.setAlarm!(task)).toThrow(OBJECT_QUOTA);
  await expect(carry(limit, insert)).rejects.toThrow(D1_QUOTA);
  limit.statement!("SELECT 1", [], task);
  expect(await carry(limit, select)).toBe("answer");
  nowMs += 1;
  write();
  limit.setAlarm!(task);
  expect(await carry(limit, insert)).toBe("answer");
  expect(bites).toBe(3);
});

test.each([
  ["INSERT OR REPLACE INTO a VALUES (1)", true],
  ["\n  create table if not exists a (b)", true],
  ["DELETE FROM a", true],
  ["SELECT 'INSERT'", false],
  ["SELECT * FROM updates", false],
  ["PRAGMA table_info(a)", false],
])("%s is a write: %s", (statement, write) => {
  expect(isWrite(statement)).toBe(write);
});

describe("streams", () => {
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);
  const stored = (length: number) => ({
    key: "a",
    size: length,
    body: new ReadableStream({
      type: "bytes",
      start(controller) {
        for (let at = 0; at < length; at += 3) controller.enqueue(bytes(length).slice(at, at + 3));
        controller.close();
      },
    }),
    text: async () => "text",
  });
  type Stored = ReturnType<typeof stored>;

  async function read(body: ReadableStream<Uint8Array>): Promise<{ got: number[]; error: unknown }> {
    const got: number[] = [];
    try {
      for await (const chunk of body) got.push(...chunk);
      return { got, error: null };
    } catch (error) {
      return { got, error };
    }
  }

  test("a read breaks off after half of the bytes, and the next ones are whole", async () => {
    const limit = cutStreams(context);
    const get = async (): Promise<Stored> =>
      (await limit.call!(call("r2", "get", "a"), async () => stored(20), task)) as Stored;
    const cut = await get();
    expect(cut.key).toBe("a");
    expect(await read(cut.body)).toEqual({ got: [...bytes(10)], error: new Error(CONNECTION_LOST) });
    for (let i = 1; i < CUT_EVERY; i++)
      expect(await read((await get()).body)).toEqual({ got: [...bytes(20)], error: null });
    await expect((await get()).text()).rejects.toThrow(CONNECTION_LOST);
    expect(bites).toBe(2);
  });

  test("of a range, half of the range arrives; a missing object and a head stay as they are", async () => {
    const limit = cutStreams(context);
    const range = call("r2", "get", "a", { range: { offset: 4, length: 6 } });
    const cut = (await limit.call!(range, async () => stored(6), task)) as Stored;
    expect((await read(cut.body)).got).toHaveLength(3);
    expect(await limit.call!(call("r2", "get", "b"), async () => null, task)).toBeNull();
    const head = { key: "a", size: 20 };
    expect(await limit.call!(call("r2", "head", "a"), async () => head, task)).toBe(head);
  });
});

test("each method of an object is missing at first; the socket's fetch and other bindings are not", async () => {
  const limit = oldObject(context);
  const claim = call("task", "claim");
  for (let i = 0; i < OLD_FOR_CALLS; i++)
    await expect(carry(limit, claim)).rejects.toThrow(new TypeError(missingMethod("claim")));
  expect(await carry(limit, claim)).toBe("answer");
  await expect(carry(limit, call("registry", "report"))).rejects.toThrow(missingMethod("report"));
  expect(await carry(limit, call("task", "fetch"))).toBe("answer");
  expect(await carry(limit, put("a"))).toBe("answer");
});

describe("a newer schema", () => {
  /** A database that knows the statements of the limit. */
  function database(tables: string[]) {
    const steps = new Set<unknown>([1, 2]);
    return {
      steps,
      exec(statement: string, ...params: unknown[]) {
        if (statement.startsWith("INSERT")) steps.add(params[0]);
        if (statement.startsWith("DELETE")) steps.delete(params[0]);
        return { toArray: (): unknown[] => tables.map((name) => ({ name })) };
      },
    };
  }

  test("an object with tables gets a step that no release knows, and loses it again", () => {
    const sql = database(["migrations"]);
    newerSchema(context).construct!(sql);
    expect(Math.max(...([...sql.steps] as number[]))).toBeGreaterThan(1_000);
    forgetNewerSchema(sql);
    expect([...sql.steps]).toEqual([1, 2]);
    expect(bites).toBe(1);
  });

  test("an object without tables stays as it is", () => {
    const sql = database([]);
    newerSchema(context).construct!(sql);
    forgetNewerSchema(sql);
    expect([[...sql.steps], bites]).toEqual([[1, 2], 0]);
  });
});
