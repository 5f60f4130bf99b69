import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { etaOf } from "./eta.ts";
import type { Ledger } from "./ledger.ts";
import { Leases, type LiveLease } from "./lease-index.ts";
import { newTask, terms } from "../../../test/support/rules-farm.ts";

const NOW = 1_000_000;

/**
 * A task of `total` frames: some done in these seconds, `workers` with one frame each, claimed just
 * now.
 */
function standing(total: number, seconds: number[], workers: number, loadMs = 0): [ReturnType<typeof terms>, Ledger] {
  const { terms: of, ledger } = newTask(terms(`1-${total}`));
  ledger.counts = { ...ledger.counts, done: seconds.length, leased: workers };
  const sum = (of: (s: number) => number) => seconds.reduce((all, s) => all + of(s), 0);
  ledger.tally = { done: seconds.length, errors: 0, lost: 0, seconds: sum((s) => s), squares: sum((s) => s * s) };
  ledger.stats = { frames: seconds.length, frameMs: 0, loadMs };
  const lease = { attempt: 1, key: "k", claimed_ms: NOW, until_ms: NOW + 1, stored_ms: 0 };
  const leases = Array.from({ length: workers }, (_, n): LiveLease => ({
    ...lease,
    lease_id: `l${n}`,
    worker: n + 1,
    frames: [[n + 1, n + 1]],
    open: [[n + 1, n + 1]],
  }));
  ledger.leases = new Leases(leases);
  return [of, ledger];
}

describe("the ETA", () => {
  it("is the remaining work, shared by the workers, when all frames take the same time", () => {
    const [of, ledger] = standing(22, [10, 10], 4);
    // 20 frames of 10 s on 4 workers, and the last frame that one of them may hold alone.
    expect(etaOf(of, ledger, NOW)).toEqual({ low_ms: NOW + 50_000, high_ms: NOW + 60_000 });
  });

  it("counts loading, and the part that is already rendered", () => {
    const [of, ledger] = standing(12, [10, 10], 1, 5_000);
    expect(etaOf(of, ledger, NOW)).toEqual({ low_ms: NOW + 150_000, high_ms: NOW + 150_000 });
    expect(etaOf(of, ledger, NOW + 3_000)?.low_ms).toBe(NOW + 150_000);
  });

  it("is not given without a worker, when paused or ended, or before two frames are measured", () => {
    for (const [seconds, workers] of [
      [[10, 10], 0],
      [[10], 1],
      [[], 1],
    ] as const)
      expect(etaOf(...standing(20, [...seconds], workers), NOW)).toBeNull();
    const [of, ledger] = standing(20, [10, 10], 1);
    expect(etaOf(of, { ...ledger, paused: true }, NOW)).toBeNull();
    expect(etaOf(of, { ...ledger, canceled: true }, NOW)).toBeNull();
  });

  it("is a range in the future that contains the mean, and narrows as more frames of the same kind are measured", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 1e4, noNaN: true }), { minLength: 2, maxLength: 20 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 10, max: 10_000 }),
        (seconds, workers, left) => {
          const few = etaOf(...standing(seconds.length + left, seconds, workers), NOW)!;
          const many = etaOf(
            ...standing(
              4 * seconds.length + left,
              [1, 2, 3, 4].flatMap(() => seconds),
              workers,
            ),
            NOW,
          )!;
          const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
          const middle = NOW + (left * mean * 1_000) / Math.min(workers, left);
          expect(few.low_ms).toBeGreaterThanOrEqual(NOW);
          expect(few.low_ms).toBeLessThanOrEqual(middle + 1);
          expect(few.high_ms).toBeGreaterThanOrEqual(middle - 1);
          expect(many.high_ms - many.low_ms).toBeLessThanOrEqual((few.high_ms - few.low_ms) * 1.001 + 5);
        },
      ),
    );
  });
});
