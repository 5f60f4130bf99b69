import { describe, expect, test } from "vitest";
import { dayTotals, WorkerTotals, type OpenDay, type PackedDay } from "./totals.ts";

function open(day: number, task_id: number, ...entries: number[][]): OpenDay {
  return { day, task_id, entries: JSON.stringify(entries) };
}

function packed(day: number, counts: Partial<PackedDay>, ...entries: unknown[][]): PackedDay {
  const none = { frames: 0, errors: 0, lost: 0, seconds: 0, workers: 0, tasks: 0 };
  return { day, ...none, ...counts, entries: entries.length > 0 ? JSON.stringify(entries) : null };
}

describe("dayTotals", () => {
  test("counts each worker and each task of a day once, and no worker 0", () => {
    expect(
      dayTotals([], [open(1, 7, [0, 0, 0, 0, 0, 5], [1, 2, 1, 0, 3.5, 6]), open(1, 8, [1, 1, 0, 4, 1.5, 7])]),
    ).toEqual([{ day: "1970-01-02", frames: 3, errors: 1, lost: 4, seconds: 5, workers: 1, tasks: 2 }]);
  });

  test("takes the counts of a packed day as they are, and unfolds it when there is more of that day", () => {
    const whole = packed(2, { frames: 5, seconds: 2, workers: 2, tasks: 3 });
    const late = packed(
      1,
      { frames: 5, seconds: 2, workers: 2, tasks: 2 },
      [1, 4, 0, 0, 1.5, 9, [7, 8]],
      [2, 1, 0, 0, 0.5, 9, [7]],
    );
    expect(dayTotals([late, whole], [open(1, 8, [2, 1, 0, 0, 1, 10], [3, 0, 1, 0, 0, 10])])).toEqual([
      { day: "1970-01-02", frames: 6, errors: 1, lost: 0, seconds: 3, workers: 3, tasks: 2 },
      { day: "1970-01-03", frames: 5, errors: 0, lost: 0, seconds: 2, workers: 2, tasks: 3 },
    ]);
  });

  test("has no day without rows, and is in the order of days", () => {
    const days = dayTotals([packed(9, { frames: 1 }), packed(3, { frames: 1 })], [open(5, 1, [1, 1, 0, 0, 1, 1])]);
    expect(days.map(({ day }) => day)).toEqual(["1970-01-04", "1970-01-06", "1970-01-10"]);
  });
});

describe("WorkerTotals", () => {
  test("adds up days, counts a task of several days once, and has the busiest first", () => {
    const totals = new WorkerTotals();
    totals.add(
      [packed(1, {}, [1, 4, 1, 0, 2, 20, [7, 8]], [0, 0, 0, 0, 0, 20, [7]])],
      [open(1, 9, [2, 6, 0, 2, 0, 15])],
    );
    totals.add([], [open(2, 7, [1, 1, 0, 0, 3, 30], [3, 0, 2, 0, 0, 31])]);
    expect(totals.list(2)).toEqual([
      { worker_id: 2, frames: 6, errors: 0, lost: 2, seconds: 0, frames_per_hour: null, tasks: 1, last_ms: 15 },
      { worker_id: 1, frames: 5, errors: 1, lost: 0, seconds: 5, frames_per_hour: 3_600, tasks: 2, last_ms: 30 },
    ]);
  });
});
