import { describe, expect, it } from "vitest";
import { STATES } from "../lib/frame-map.ts";
import { drawSprites, mixed, paint, type Palette } from "./sprites.ts";

const SHEET = 0xffffffff;
/** Every state in the same colour: only their shapes distinguish them. */
const grey: Palette = {
  sheet: SHEET,
  selected: 0xff000000,
  states: { pending: 0xffdddddd, leased: 0xff555555, done: 0xff555555, failed: 0xff555555, skipped: 0xff555555 },
};

describe("the pictures of the states", () => {
  it.each([4, 5, 7, 10, 14, 20, 30, 60])("differ without colour at %i pixels, chosen or not", (size) => {
    const { pixels } = drawSprites(size, grey);
    const pictures = Array.from({ length: STATES.length * 2 }, (_, i) =>
      pixels.slice(i * size * size, (i + 1) * size * size).join(),
    );
    expect(new Set(pictures).size).toBe(STATES.length * 2);
  });

  it("mixes channels one by one", () => {
    expect(mixed(0xff000000, 0xffffffff, 0.5)).toBe(0xff808080);
    expect(mixed(0xff0000ff, 0xffff0000, 0)).toBe(0xff0000ff);
  });

  it("paints a part of the rows, the filtered frames only, and nothing beside the last cell", () => {
    const sprites = { size: 2, pixels: new Uint32Array(2 * 2 * 10).map((_, i) => Math.floor(i / 4) + 1) };
    const states = Uint8Array.from([0, 1, 2, 3, 4]);
    const mask = Uint8Array.from([0, 0, 0, 0, 1]);
    const image = new Uint32Array(5 * 3);
    // Two columns, frames 1, 2 and 4 in view, the first row cut in half.
    paint(image, 5, { columns: 2, cells: 3, first: 0, offset: 1 }, sprites, states, mask, Uint32Array.from([1, 2, 4]));
    expect([...image]).toEqual([2, 2, 3, 3, 0, 10, 10, 0, 0, 0, 10, 10, 0, 0, 0]);
  });
});
