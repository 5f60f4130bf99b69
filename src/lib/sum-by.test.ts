import fc from "fast-check";
import { expect, test } from "vitest";
import { SumBy } from "./sum-by.ts";

test("the total is the sum of the newest number of each key", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(5), fc.integer({ min: -9, max: 1e9 }))), (changes) => {
      const sum = new SumBy<number>();
      for (const [key, number] of changes) sum.set(key, number);
      expect(sum.total).toBe([...new Map(changes).values()].reduce((all, one) => all + one, 0));
    }),
  );
});
