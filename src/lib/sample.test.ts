import { expect, it } from "vitest";
import { RandomSample } from "./sample.ts";

/** Numbers from 0 to below 1, the same in each run: the generator of Park and Miller. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

it("a sample of fewer items than its size has all of them, in order", () => {
  const sample = new RandomSample<number>(3);
  for (const item of [5, 6]) sample.offer(item);
  expect([sample.items, sample.offered]).toEqual([[5, 6], 2]);
});

it("each item has the same chance to be in the sample, wherever it stands", () => {
  const random = numbers(1);
  const times = Array.from({ length: 20 }, () => 0);
  for (let round = 0; round < 10_000; round++) {
    const sample = new RandomSample<number>(5, random);
    for (let item = 0; item < 20; item++) sample.offer(item);
    expect(new Set(sample.items).size).toBe(5);
    expect(sample.offered).toBe(20);
    for (const item of sample.items) times[item]!++;
  }
  // 2,500 are expected of each; the standard deviation is 43.
  for (const count of times) expect(Math.abs(count - 2_500)).toBeLessThan(6 * 43);
});
