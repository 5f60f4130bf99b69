import { expect, it } from "vitest";
import { outliersOf, renderedUntilMs, ticksTo, timesByWorker } from "./statistics.ts";

it("groups finished frames by worker, those with the most first, and takes medians", () => {
  const worker = Int32Array.from([7, 0, 7, 9, 7, 7]);
  const seconds = Float32Array.from([1, 99, 3, 5, 2, 10]);
  expect(timesByWorker(worker, seconds)).toEqual([
    { worker: 7, indexes: [0, 2, 4, 5], median: 2.5, slowest: 10 },
    { worker: 9, indexes: [3], median: 5, slowest: 5 },
  ]);
});

it("an outlier is far above the usual time of its own worker, not of another", () => {
  const fast = Array.from({ length: 10 }, (_, i) => 1 + i / 100);
  const slow = Array.from({ length: 10 }, (_, i) => 9 + i / 10);
  const seconds = Float32Array.from([...fast, ...slow, 4]);
  const worker = Int32Array.from([...fast.map(() => 1), ...slow.map(() => 2), 1]);
  expect(outliersOf(timesByWorker(worker, seconds), seconds, 10)).toEqual([{ index: 20, worker: 1, seconds: 4 }]);
});

it("an even worker and one with few frames have no outliers", () => {
  const seconds = Float32Array.from([...Array.from({ length: 20 }, () => 1), 1.2, 1, 1, 9]);
  const worker = Int32Array.from([...Array.from({ length: 21 }, () => 1), 2, 2, 2]);
  expect(outliersOf(timesByWorker(worker, seconds), seconds, 10)).toEqual([]);
});

it("an axis has round numbers and reaches its end", () => {
  expect(ticksTo(7.3, 4)).toEqual([0, 2, 4, 6, 8]);
  expect(ticksTo(0.09, 3)).toEqual([0, 0.05, 0.1]);
  expect(ticksTo(0, 4)).toEqual([0, 1]);
});

it("frames of one lease that were committed together were rendered in sequence; leases are separate", () => {
  const worker = Int32Array.from([1, 1, 1, 1]);
  const seconds = Float32Array.from([2, 3, 1, 5]);
  const attempt = Int32Array.from([1, 1, 1, 2]);
  const committed = Float64Array.from([10_000, 10_000, 10_000, 9_000]);
  const ends = renderedUntilMs(timesByWorker(worker, seconds), attempt, seconds, committed);
  expect([...ends]).toEqual([6_000, 9_000, 10_000, 9_000]);
});
