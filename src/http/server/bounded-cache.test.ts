import { expect, it } from "vitest";
import { BoundedCache } from "./bounded-cache.ts";

it("keeps values, nulls included, until the given time", () => {
  const cache = new BoundedCache<number | null>(2);
  cache.set("a", null, 100);
  expect([cache.get("a", 99), cache.get("a", 100)]).toEqual([null, undefined]);
});

it("drops the value that was set longest ago when it is full", () => {
  const cache = new BoundedCache<number>(2);
  cache.set("a", 1, 100);
  cache.set("b", 2, 100);
  cache.set("a", 3, 100);
  cache.set("c", 4, 100);
  expect([cache.get("a", 0), cache.get("b", 0), cache.get("c", 0)]).toEqual([3, undefined, 4]);
});
