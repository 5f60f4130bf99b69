import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AlarmScheduler, alarmToSet } from "./alarm.ts";

const NOW = 1_000_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

/** An object whose alarm is set for `armedMs` when it is created, with two reasons to wake. */
async function object(armedMs: number | null) {
  const set: number[] = [];
  const due: { rescan: number | null; sweep: number | null } = { rescan: null, sweep: null };
  let ready: Promise<unknown> = Promise.resolve();
  const state = {
    storage: {
      getAlarm: async () => armedMs,
      setAlarm: async (atMs: number) => void set.push(atMs),
    },
    blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => {
      const done = work();
      ready = done;
      return done;
    },
  };
  const alarm = new AlarmScheduler(state, { rescan: () => due.rescan, sweep: () => due.sweep });
  await ready;
  return { alarm, due, set };
}

describe("the alarm", () => {
  it("is not set while nothing is due: an idle object does not wake", async () => {
    const { alarm, set } = await object(null);
    alarm.arm();
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
    alarm.rang();
    alarm.arm();
    alarm.arm();
    expect(set).toEqual([NOW + 3]);
  });

  it("counts as not set when its time has passed: it may be lost", async () => {
    const { alarm, due, set } = await object(NOW);
    due.sweep = NOW + 3;
    alarm.arm();
    expect(set).toEqual([NOW + 3]);
  });

  it("is delayed after a failure, and is set for a requested time", async () => {
    const { alarm, due, set } = await object(null);
    due.rescan = NOW;
    alarm.holdOff(NOW + 500);
    alarm.arm();
    alarm.armAt(NOW + 60);
    expect(set).toEqual([NOW + 500, NOW + 60]);
  });

  it("P13: an alarm that is set is never later than what is due", () => {
    for (const armedMs of [null, NOW - 1, NOW, NOW + 1, NOW + 9])
      for (const dueMs of [0, NOW, NOW + 1, NOW + 5, NOW + 20]) {
        const setMs = alarmToSet(dueMs, armedMs, NOW) ?? armedMs!;
        expect(setMs).toBeGreaterThan(NOW);
        expect(setMs).toBeLessThanOrEqual(Math.max(dueMs, NOW + 1));
      }
  });
});
