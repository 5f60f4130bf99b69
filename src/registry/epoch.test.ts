import { describe, expect, it } from "vitest";
import { preemptedBy, workAppeared, type DispatchState } from "./epoch.ts";

const NOW = 1_000_000;
const stateOf = (change: Partial<DispatchState> = {}): DispatchState => ({
  priority: 50,
  claimable: 3,
  needsId: 1,
  blocklist: [],
  ...change,
});
const blockedUntil = (until_ms: number) => [{ worker_id: 7, until_ms }];

describe("the epoch", () => {
  it.each([
    ["the first report", null, stateOf(), true],
    ["frames after there were none", stateOf({ claimable: 0 }), stateOf({ claimable: 1 }), true],
    ["a higher priority", stateOf(), stateOf({ priority: 51 }), true],
    ["a worker taken off the blocklist", stateOf({ blocklist: blockedUntil(NOW + 9) }), stateOf(), true],
    [
      "a worker still in the list",
      stateOf({ blocklist: blockedUntil(NOW) }),
      stateOf({ blocklist: blockedUntil(NOW) }),
      false,
    ],
    ["fewer frames", stateOf(), stateOf({ claimable: 2 }), false],
    ["more frames where there were some", stateOf(), stateOf({ claimable: 9 }), false],
    ["a lower priority", stateOf(), stateOf({ priority: 49 }), false],
    ["no frames, whatever the priority", stateOf(), stateOf({ claimable: 0, priority: 90 }), false],
    ["a first report without frames", null, stateOf({ claimable: 0 }), false],
  ])("sees in %s work that was not there", (_what, before, after, appeared) => {
    expect(workAppeared(before, after)).toBe(appeared);
  });

  it("P8: work preempts the tasks of lower priority that hold a worker which could do it", () => {
    const live = [
      { id: 1, priority: 10, workers: [100, 101] },
      { id: 2, priority: 10, workers: [100] },
      { id: 3, priority: 50, workers: [101] },
      { id: 4, priority: 90, workers: [101] },
      { id: 9, priority: 10, workers: [101] },
    ];
    expect(preemptedBy({ id: 9, priority: 50 }, live, (worker) => worker === 101)).toEqual([1]);
    expect(preemptedBy({ id: 9, priority: 50 }, live, () => true)).toEqual([1, 2]);
    expect(preemptedBy({ id: 9, priority: 10 }, live, () => true)).toEqual([]);
  });
});
