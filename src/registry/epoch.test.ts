import { describe, expect, it } from "vitest";
import { outrankedBy, workAppeared, type Standing } from "./epoch.ts";

const NOW = 1_000_000;
const standing = (change: Partial<Standing> = {}): Standing => ({
  priority: 50,
  claimable: 3,
  needsId: 1,
  kept_off: [],
  ...change,
});
const keptOff = (until_ms: number) => [{ worker_id: 7, until_ms }];

describe("the epoch", () => {
  it.each([
    ["the first report", null, standing(), true],
    ["frames after there were none", standing({ claimable: 0 }), standing({ claimable: 1 }), true],
    ["a higher priority", standing(), standing({ priority: 51 }), true],
    ["a worker forgiven", standing({ kept_off: keptOff(NOW + 9) }), standing(), true],
    ["a worker still in the list", standing({ kept_off: keptOff(NOW) }), standing({ kept_off: keptOff(NOW) }), false],
    ["fewer frames", standing(), standing({ claimable: 2 }), false],
    ["more frames where there were some", standing(), standing({ claimable: 9 }), false],
    ["a lower priority", standing(), standing({ priority: 49 }), false],
    ["no frames, whatever the priority", standing(), standing({ claimable: 0, priority: 90 }), false],
    ["a first report without frames", null, standing({ claimable: 0 }), false],
  ])("sees in %s work that was not there", (_what, before, after, appeared) => {
    expect(workAppeared(before, after)).toBe(appeared);
  });

  it("P8: work outranks the tasks below it that hold a worker which could do it", () => {
    const live = [
      { id: 1, priority: 10, workers: [100, 101] },
      { id: 2, priority: 10, workers: [100] },
      { id: 3, priority: 50, workers: [101] },
      { id: 4, priority: 90, workers: [101] },
      { id: 9, priority: 10, workers: [101] },
    ];
    expect(outrankedBy({ id: 9, priority: 50 }, live, (worker) => worker === 101)).toEqual([1]);
    expect(outrankedBy({ id: 9, priority: 50 }, live, () => true)).toEqual([1, 2]);
    expect(outrankedBy({ id: 9, priority: 10 }, live, () => true)).toEqual([]);
  });
});
