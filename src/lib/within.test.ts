import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { within } from "./within.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("work that ends in time gives its result or its own error, and leaves no timer behind", async () => {
  expect(await within(1_000, Promise.resolve(7))).toBe(7);
  await expect(within(1_000, Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  expect(vi.getTimerCount()).toBe(0);
});

test("work that takes longer is not waited for, and its late failure is nobody's", async () => {
  const work = Promise.withResolvers<number>();
  const waited = expect(within(1_000, work.promise)).rejects.toThrow("no answer within 1000 ms");
  await vi.advanceTimersByTimeAsync(1_000);
  await waited;
  work.reject(new Error("too late"));
});
