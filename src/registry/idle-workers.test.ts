import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Needs } from "../protocol/needs.ts";
import { graceMs, planWake, type Idler } from "./idle-workers.ts";

const NOW = 1_000_000;
const NEEDS: Needs = {
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
};

function idler(id: number, change: Partial<Idler> & { able?: boolean } = {}): Idler {
  const { able = true, ...rest } = change;
  return {
    id,
    offer: { programs: able ? { blender: "3.4.1" } : {}, tags: [], allow_exec: false, allow_autoexec: false },
    takesWork: true,
    refused: new Map(),
    online: true,
    wokenFor: 0,
    wokenUntilMs: 0,
    ...rest,
  };
}

const anyIdlers = fc
  .array(
    fc.record({
      able: fc.boolean(),
      takesWork: fc.boolean(),
      online: fc.boolean(),
      refusedMs: fc.constantFrom(0, NOW, NOW + 10),
      wokenFor: fc.constantFrom(1, 2),
      wokenUntilMs: fc.constantFrom(0, NOW, NOW + 20),
    }),
    { maxLength: 12 },
  )
  .map((drawn) =>
    drawn.map(({ refusedMs, ...change }, index) => idler(index + 1, { ...change, refused: new Map([[1, refusedMs]]) })),
  );

describe("waking", () => {
  it("wakes as many as there are frames and not one more, and only who could take them", () => {
    fc.assert(
      fc.property(anyIdlers, fc.integer({ min: 1, max: 5 }), (idlers, claimable) => {
        const { wake } = planWake({ id: 1, priority: 50, kept_off: [], claimable }, NEEDS, idlers, NOW);
        const able = idlers.filter((i) => i.takesWork && "blender" in i.offer.programs && i.refused.get(1)! <= NOW);
        const coming = able.filter((i) => i.online && i.wokenUntilMs > NOW && i.wokenFor === 1).length;
        const free = able.filter((i) => i.wokenUntilMs <= NOW);
        const counted = free.filter((i) => i.online && wake.includes(i.id)).length;
        expect(counted).toBe(Math.min(Math.max(0, claimable - coming), free.filter((i) => i.online).length));
        expect(wake.every((id) => free.some((i) => i.id === id))).toBe(true);
        // A silent socket may belong to a laptop that wakes up next: it is told, and not counted on.
        expect(free.filter((i) => !i.online).every((i) => wake.includes(i.id))).toBe(true);
      }),
    );
  });

  it("looks again when somebody who could do it now sleeps for a reason that ends", () => {
    const task = { id: 1, priority: 50, kept_off: [{ worker_id: 3, until_ms: NOW + 30 }], claimable: 5 };
    const again = (...idlers: Idler[]) => planWake(task, NEEDS, idlers, NOW).againMs;
    expect(again(idler(1, { refused: new Map([[1, NOW + 10]]) }))).toBe(NOW + 10);
    expect(again(idler(3))).toBe(NOW + 30);
    expect(again(idler(1, { wokenFor: 2, wokenUntilMs: NOW + 20 }))).toBe(NOW + 20);
    expect(again(idler(3), idler(1, { refused: new Map([[1, NOW + 10]]) }))).toBe(NOW + 10);
    expect(
      again(
        idler(1, { able: false, refused: new Map([[1, NOW + 10]]) }),
        idler(2, { takesWork: false, wokenUntilMs: NOW + 9 }),
      ),
    ).toBeNull();
    expect(again()).toBeNull();
  });

  it("knows whether anybody is left for another task of the same needs", () => {
    const left = (claimable: number, ...idlers: Idler[]) =>
      planWake({ id: 1, priority: 50, kept_off: [], claimable }, NEEDS, idlers, NOW).left;
    expect(left(1, idler(1), idler(2))).toBe(true);
    expect(left(2, idler(1), idler(2))).toBe(false);
    expect(left(2, idler(1, { refused: new Map([[1, NOW + 10]]) }))).toBe(true);
    expect(left(2, idler(1, { wokenUntilMs: NOW + 10 }))).toBe(false);
  });

  it("gives a woken worker five seconds, and longer each time that it does not come", () => {
    expect([1, 2, 3, 4, 5, 99].map(graceMs)).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });
});
