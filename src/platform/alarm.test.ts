import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AlarmScheduler, alarmToSet, LATE_MS } from "./alarm.ts";

const NOW = 1_000_000;
/** What the platform says on the free plan when the day's rows are used up. */
const QUOTA = "Exceeded allowed rows written in Durable Objects free tier.";

let log: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  log = vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** An object whose alarm is set for `armedMs` when it is created, with two reasons to wake. */
async function object(armedMs: number | null, at: { rescan?: number; sweep?: number } = {}) {
  const set: number[] = [];
  const due: { rescan: number | null; sweep: number | null } = { rescan: null, sweep: null, ...at };
  const platform = { refuses: false };
  let ready: Promise<unknown> = Promise.resolve();
  const state = {
    storage: {
      getAlarm: async () => armedMs,
      setAlarm: async (atMs: number) => {
        if (platform.refuses) throw new Error(QUOTA);
        set.push(atMs);
      },
    },
    blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => {
      const done = work();
      ready = done;
      return done;
    },
  };
  const times = { rescan: () => due.rescan, sweep: () => due.sweep };
  const alarm = new AlarmScheduler(state, { at: "test" }, times);
  await ready;
  return { alarm, due, set, platform };
}

const nothing = async (): Promise<void> => {};

describe("the alarm", () => {
  it("is not set while nothing is due: an idle object does not wake", async () => {
    const { alarm, set } = await object(null);
    alarm.arm();
    await alarm.ring(0, nothing);
    expect(set).toEqual([]);
  });

  it("is set for the earliest reason, never in the past", async () => {
    const { alarm, due, set } = await object(null);
    Object.assign(due, { rescan: NOW + 5, sweep: NOW + 3 });
    alarm.arm();
    Object.assign(due, { rescan: NOW - 5 });
    alarm.arm();
    expect(set).toEqual([NOW + 3, NOW + 1]);
  });

  it("is left alone when it is set for an earlier time, also by an instance before this one", async () => {
    const { alarm, due, set } = await object(NOW + 2);
    due.sweep = NOW + 3;
    alarm.arm();
    expect(set).toEqual([]);
    await alarm.ring(0, nothing);
    alarm.arm();
    expect(set).toEqual([NOW + 3]);
  });

  it("P13: is set when an object is constructed with something due and no alarm", async () => {
    expect((await object(null, { sweep: NOW - 3_600_000 })).set).toEqual([NOW + 1]);
    expect((await object(NOW + 9, { sweep: NOW + 9 })).set).toEqual([]);
    expect((await object(null)).set).toEqual([]);
  });

  it("P13: counts as lost when it is late, and not before: an alarm that is about to ring is not set again", async () => {
    const { alarm, set } = await object(NOW - 10, { sweep: NOW - 10 });
    vi.setSystemTime(NOW - 10 + LATE_MS - 1);
    alarm.arm();
    expect(set).toEqual([]);
    vi.setSystemTime(NOW - 10 + LATE_MS);
    alarm.arm();
    alarm.arm();
    expect(set).toEqual([NOW - 10 + LATE_MS + 1]);
  });

  it("is set anew by a call, but not by the constructor, when it is about to ring too early", async () => {
    const { alarm, set } = await object(NOW - 10, { sweep: NOW + 50 });
    expect(set).toEqual([]);
    alarm.arm();
    alarm.arm();
    expect(set).toEqual([NOW + 50]);
  });

  it("P13: a refused alarm is logged once, and does not count as set", async () => {
    const { alarm, due, set, platform } = await object(null);
    due.sweep = NOW + 3;
    platform.refuses = true;
    for (let i = 0; i < 3; i++) {
      alarm.arm();
      await nothing();
    }
    expect(log.mock.calls).toEqual([[expect.stringContaining(QUOTA)]]);
    platform.refuses = false;
    alarm.arm();
    expect(set).toEqual([NOW + 3]);
  });

  it("P13: an alarm that is set is never later than what is due", () => {
    for (const armedMs of [null, NOW - LATE_MS, NOW - 1, NOW, NOW + 1, NOW + 9])
      for (const dueMs of [0, NOW, NOW + 1, NOW + 5, NOW + 20]) {
        const setMs = alarmToSet(dueMs, armedMs, NOW) ?? armedMs!;
        expect(setMs).toBeGreaterThan(NOW - LATE_MS);
        expect(setMs).toBeLessThanOrEqual(Math.max(dueMs, NOW + 1));
      }
  });
});

describe("the handler of the alarm", () => {
  const failing = async (): Promise<void> => {
    throw new Error("the work failed");
  };

  it("P13: never lets an error of the work end the chain, and tries again later and later", async () => {
    const { alarm, set } = await object(null);
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const due = await object(null, { rescan: NOW });
      for (let run = 0; run <= i; run++) await due.alarm.ring(0, failing);
      waits.push(due.set.at(-1)! - NOW);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    // Also when what is due was forgotten.
    await alarm.ring(0, failing);
    expect(set).toEqual([NOW + 60_000]);
    await alarm.ring(0, nothing);
    alarm.arm();
    expect(set).toEqual([NOW + 60_000]);
  });

  it("delays only what is overdue", async () => {
    const { alarm, set } = await object(NOW + 10, { sweep: NOW + 10 });
    for (let i = 0; i < 5; i++) await alarm.ring(0, failing);
    expect(set.at(-1)).toBe(NOW + 10);
  });

  it("P13: throws while the next alarm is refused and the platform tries again, but not at the last try", async () => {
    const { alarm, platform } = await object(NOW, { sweep: NOW });
    platform.refuses = true;
    for (let retry = 0; retry < 6; retry++)
      await expect(alarm.ring(retry, failing), `retry ${retry}`).rejects.toThrow("could not be set");
    await expect(alarm.ring(6, failing)).resolves.toBeUndefined();
  });

  it("P13: from the second try on, the next alarm is set before the work", async () => {
    for (const retry of [0, 1, 6]) {
      const { alarm, due, set } = await object(NOW, { sweep: NOW });
      let before: number[] = [];
      await alarm.ring(retry, async () => {
        before = [...set];
        due.sweep = null;
      });
      expect(before, `retry ${retry}`).toEqual(retry === 0 ? [] : [NOW + 60_000]);
      expect(set).toEqual(before);
    }
  });

  it("sets an alarm also when what is due cannot be read", async () => {
    const { alarm, due, set } = await object(null);
    Object.defineProperty(due, "sweep", {
      get: () => {
        throw new Error("no such table");
      },
    });
    await alarm.ring(0, nothing);
    expect(set).toEqual([NOW + 60_000]);
  });
});
