import { expect, test } from "vitest";
import { SetCache } from "./set-cache.ts";

const setOf = (...texts: string[]): Set<string> => new Set(texts);

test("sets that were used longest ago are dropped, until all texts together are within the bound", () => {
  const cache = new SetCache(4);
  cache.set("a", setOf("1", "2"));
  cache.set("b", setOf("3"));
  expect(cache.get("a")?.has("2")).toBe(true);
  cache.set("c", setOf("4", "5"));
  expect(cache.get("b")).toBeUndefined();
  expect([cache.get("a")?.size, cache.get("c")?.size]).toEqual([2, 2]);
  cache.set("a", setOf("1"));
  cache.set("d", setOf("6"));
  expect(["a", "c", "d"].map((key) => cache.get(key)?.size)).toEqual([1, 2, 1]);
});

test("the newest set stays although it is above the bound, and empty sets are bounded, too", () => {
  const cache = new SetCache(2);
  cache.set("large", setOf("1", "2", "3"));
  expect(cache.get("large")?.size).toBe(3);
  for (const key of ["x", "y", "z"]) cache.set(key, setOf());
  expect([cache.get("large"), cache.get("x")]).toEqual([undefined, undefined]);
  expect([cache.get("y")?.size, cache.get("z")?.size]).toEqual([0, 0]);
});
