import { describe, expect, it } from "vitest";
import { cellAt, fittingPitch, layoutOf, moved, PITCHES } from "./layout.ts";

describe("the grid's layout", () => {
  it("takes the largest cells that fit, and the smallest when none do", () => {
    expect(fittingPitch(24, 700, 400)).toBe(30);
    expect(fittingPitch(2_000, 700, 400)).toBe(10);
    expect(fittingPitch(100_000, 700, 400)).toBe(PITCHES[0]);
  });

  it("finds the cell under a point, none beside the cells, and the nearest for a drag that left the grid", () => {
    const layout = layoutOf(25, 100, 10);
    expect(layout).toMatchObject({ columns: 10, rows: 3 });
    expect(cellAt(layout, 15, 25)).toBe(21);
    expect(cellAt(layout, 55, 25)).toBe(-1);
    expect(cellAt(layout, 105, 5)).toBe(-1);
    expect(cellAt(layout, 500, 500, true)).toBe(24);
    expect(cellAt(layout, -5, -5, true)).toBe(0);
    expect(cellAt(layoutOf(0, 100, 10), 5, 5, true)).toBe(-1);
  });

  it("moves by keys and stays in the grid", () => {
    const layout = layoutOf(25, 100, 10);
    expect(moved(layout, 4, "ArrowRight", 2)).toBe(5);
    expect(moved(layout, 4, "ArrowUp", 2)).toBe(4);
    expect(moved(layout, 17, "ArrowDown", 2)).toBe(17);
    expect(moved(layout, 14, "ArrowDown", 2)).toBe(24);
    expect(moved(layout, 7, "End", 2)).toBe(24);
    expect(moved(layout, 24, "Home", 2)).toBe(0);
    expect(moved(layout, 24, "ArrowRight", 2)).toBe(24);
    expect(moved(layout, 3, "PageDown", 3)).toBe(23);
    expect(moved(layout, 3, "a", 3)).toBeNull();
  });
});
