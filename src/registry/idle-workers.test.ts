import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Needs } from "../protocol/needs.ts";
import { graceMs, planWake, type IdleWorker } from "./idle-workers.ts";

const NOW = 1_000_000;
const NEEDS: Needs = {
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
};

function idleWorker(id: number, change: Partial<IdleWorker> & { able?: boolean } = {}): IdleWorker {
  const { able = true, ...rest } = change;
  return {
    id,
    offer: {
      programs: able ? { blender: "3.4.1" } : {},
      tags: [],
      allow_exec: false,
      allow_autoexec: false,
      version: "0.1.0",
    },
    takesWork: true,
    declined: new Map(),
    online: true,
    wokenFor: 0,
    wokenUntilMs: 0,
    ...rest,
  };
}

const anyIdleWorkers = fc
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
    drawn.map(({ refusedMs, ...change }, index) =>
      idleWorker(index + 1, { ...change, declined: new Map([[1, refusedMs]]) }),
    ),
  );

describe("waking", () => {
  it("P12: wakes a worker that has the Blender before one that must fetch it, and both when both are needed", () => {
    const offer = (blender: string): IdleWorker["offer"] => ({ ...idleWorker(0).offer, programs: { blender } });
    const fetching = idleWorker(1, { offer: { ...offer("3.4.1"), fetchable: ["4.5.3"] } });
    const has = idleWorker(2, { offer: { ...offer("4.5.1"), fetchable: ["4.5.3"] } });
    const woken = (claimable: number) =>
      planWake({ id: 1, priority: 50, blocklist: [], claimable }, { ...NEEDS, blender: "4.5" }, [fetching, has], NOW)
        .wake;
    expect(woken(1)).toEqual([2]);
    expect(woken(2)).toEqual([2, 1]);
  });

  it("wakes as many workers as there are frames and not more, and only those that could take them", () => {
    fc.assert(
      fc.property(anyIdleWorkers, fc.integer({ min: 1, max: 5 }), (idleWorkers, claimable) => {
        const { wake } = planWake({ id: 1, priority: 50, blocklist: [], claimable }, NEEDS, idleWorkers, NOW);
        const able = idleWorkers.filter(
          (i) => i.takesWork && "blender" in i.offer.programs && i.declined.get(1)! <= NOW,
        );
        const coming = able.filter((i) => i.online && i.wokenUntilMs > NOW && i.wokenFor === 1).length;
        const free = able.filter((i) => i.wokenUntilMs <= NOW);
        const counted = free.filter((i) => i.online && wake.includes(i.id)).length;
        expect(counted).toBe(Math.min(Math.max(0, claimable - coming), free.filter((i) => i.online).length));
        expect(wake.every((id) => free.some((i) => i.id === id))).toBe(true);
        // A silent socket may belong to a laptop that wakes up next: it gets the push, but is not
        // counted.
        expect(free.filter((i) => !i.online).every((i) => wake.includes(i.id))).toBe(true);
      }),
    );
  });

  it("scans again when a worker that could do it now is held back by something that ends", () => {
    const task = { id: 1, priority: 50, blocklist: [{ worker_id: 3, until_ms: NOW + 30 }], claimable: 5 };
    const again = (...idleWorkers: IdleWorker[]) => planWake(task, NEEDS, idleWorkers, NOW).rescanMs;
    expect(again(idleWorker(1, { declined: new Map([[1, NOW + 10]]) }))).toBe(NOW + 10);
    expect(again(idleWorker(3))).toBe(NOW + 30);
    expect(again(idleWorker(1, { wokenFor: 2, wokenUntilMs: NOW + 20 }))).toBe(NOW + 20);
    expect(again(idleWorker(3), idleWorker(1, { declined: new Map([[1, NOW + 10]]) }))).toBe(NOW + 10);
    expect(
      again(
        idleWorker(1, { able: false, declined: new Map([[1, NOW + 10]]) }),
        idleWorker(2, { takesWork: false, wokenUntilMs: NOW + 9 }),
      ),
    ).toBeNull();
    expect(again()).toBeNull();
  });

  it("knows whether a worker is left for another task with the same needs", () => {
    const left = (claimable: number, ...idleWorkers: IdleWorker[]) =>
      planWake({ id: 1, priority: 50, blocklist: [], claimable }, NEEDS, idleWorkers, NOW).left;
    expect(left(1, idleWorker(1), idleWorker(2))).toBe(true);
    expect(left(2, idleWorker(1), idleWorker(2))).toBe(false);
    expect(left(2, idleWorker(1, { declined: new Map([[1, NOW + 10]]) }))).toBe(true);
    expect(left(2, idleWorker(1, { wokenUntilMs: NOW + 10 }))).toBe(false);
  });

  it("gives a woken worker five seconds, and longer each time that it does not come", () => {
    expect([1, 2, 3, 4, 5, 99].map(graceMs)).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });
});
