import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapConcurrent, Semaphore } from "./concurrency.ts";

/** Wait until everything that can run now has run. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("mapConcurrent", () => {
  test("works on all items, within the limit, and gives the results in the items' order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3)), fc.integer({ min: 1, max: 5 }), async (items, limit) => {
        let running = 0;
        let most = 0;
        let begun = 0;
        const results = await mapConcurrent(items, limit, async (turns, index) => {
          expect(index).toBe(begun++);
          most = Math.max(most, ++running);
          for (let i = 0; i < turns; i++) await Promise.resolve();
          running--;
          return index;
        });
        expect(results).toEqual(items.map((_, index) => index));
        expect(most).toBeLessThanOrEqual(limit);
      }),
    );
  });

  test("after a failure no further item is begun, running items are awaited, and the first failure is thrown", async () => {
    const begun: number[] = [];
    const gates = [1, 2, 3, 4].map(() => Promise.withResolvers<void>());
    let ended = "";
    const run = mapConcurrent([0, 1, 2, 3], 3, async (item) => {
      begun.push(item);
      await gates[item]!.promise;
    }).then(
      () => (ended = "resolved"),
      (error: Error) => (ended = error.message),
    );
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    gates[1]!.reject(new Error("first"));
    await settled();
    expect(ended).toBe("");
    gates[0]!.reject(new Error("second"));
    gates[2]!.resolve();
    await run;
    expect(ended).toBe("first");
    expect(begun).toEqual([0, 1, 2]);
  });
});

describe("Semaphore", () => {
  test("gives permits in the order of the callers, also after failures", async () => {
    const permits = new Semaphore(2);
    const order: number[] = [];
    const work = (n: number) =>
      permits.run(async () => {
        order.push(n);
        await settled();
        if (n % 2 === 0) throw new Error(`failure ${n}`);
        return n;
      });
    const results = await Promise.allSettled([0, 1, 2, 3, 4].map(work));
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(results.map((result) => result.status)).toEqual([
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
    ]);
  });
});
