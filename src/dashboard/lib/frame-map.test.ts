import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_RANGES } from "../../protocol/frame-list.ts";
import { FrameMap, STATES } from "./frame-map.ts";

describe("the map of a task's frames", () => {
  it("stores frames by their number, and ignores those that the task does not have", () => {
    const map = new FrameMap("1-10:3,20");
    expect(map.total).toBe(5);
    expect(map.set("1-7,20", "done")).toBe(true);
    expect([...map.states]).toEqual([2, 2, 2, 0, 2]);
    expect(map.counts).toEqual([1, 0, 4, 0, 0]);
    expect(map.set("4", "done")).toBe(false);
    expect(map.set("not frames", "done")).toBe(false);
  });

  it("P1: its counters equal its frames after any changes", () => {
    const change = fc.record({
      start: fc.integer({ min: 0, max: 60 }),
      size: fc.integer({ min: 0, max: 20 }),
      state: fc.constantFrom(...STATES),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
        const map = new FrameMap("5-50");
        for (const { start, size, state } of changes) map.set(`${start}-${start + size}`, state);
        for (const [byte, known] of map.counts.entries())
          expect(map.states.filter((s) => s === byte).length).toBe(known);
      }),
    );
  });

  it("filters by state; with no state or all states there is no filter", () => {
    const map = new FrameMap("1-6");
    map.set("2,5", "failed");
    expect(Array.from(map.filter(new Set(["failed"]))!)).toEqual([1, 4]);
    expect(map.filter(new Set())).toBeNull();
    expect(map.filter(new Set(STATES))).toBeNull();
  });

  it("finds the next failed frame, wrapping around, or none", () => {
    const map = new FrameMap("1-6");
    expect(map.nextIn("failed", 0)).toBe(-1);
    map.set("2,5", "failed");
    expect([map.nextIn("failed", 1), map.nextIn("failed", 4), map.nextIn("failed", 1, -1)]).toEqual([4, 1, 4]);
  });

  it("writes the chosen frames as lists that the manager accepts", () => {
    const map = new FrameMap("1-5000");
    const mask = new Uint8Array(5000);
    for (let i = 0; i < 5000; i += 2) mask[i] = 1;
    const lists = map.lists(mask);
    expect(lists).toHaveLength(Math.ceil(2500 / MAX_RANGES));
    const again = new FrameMap("1-5000");
    for (const list of lists) again.set(list, "skipped");
    expect(again.counts[4]).toBe(2500);
    expect(map.lists(new Uint8Array(5000))).toEqual([]);
  });
});
