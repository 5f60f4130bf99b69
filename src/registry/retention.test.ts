import { expect, it } from "vitest";
import { KEEP_MS, SWEEP_SLACK_MS, sweepDueMs } from "./retention.ts";

const NOW = 1_000_000;

it("sweeps when the oldest row is old enough, and never while there is none", () => {
  expect(sweepDueMs(null)).toBeNull();
  expect(sweepDueMs(NOW)).toBe(NOW + KEEP_MS + SWEEP_SLACK_MS);
});

it("sweeps at most once an hour, however many keys there are", () => {
  // After a sweep the oldest key is younger than KEEP_MS.
  expect(sweepDueMs(NOW - KEEP_MS)).toBeGreaterThanOrEqual(NOW + 3_600_000);
});
