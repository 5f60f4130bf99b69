/**
 * A small picture for each state, in device pixels. States differ in shape and not only in colour,
 * for people who cannot tell the colours apart: done is solid, rendering is striped, failed is
 * crossed out, skipped is a dash, pending is a faint square. Pure.
 */
import { STATES } from "../lib/frame-map.ts";
import type { FrameState } from "../../protocol/task.ts";

/**
 * Colours as 0xAABBGGRR: the order of a canvas's bytes on little-endian machines, which all
 * browsers run on.
 */
export interface Palette {
  sheet: number;
  selected: number;
  states: Record<FrameState, number>;
}

/**
 * The pixels of all sprites: first the plain ones in the order of STATES, then the selected ones.
 * Each has `size`² pixels.
 */
export interface Sprites {
  size: number;
  pixels: Uint32Array;
}

/** Mix two colours; `share` of the second, 0 to 1. */
export function mixed(a: number, b: number, share: number): number {
  const channel = (shift: number): number =>
    Math.round(((a >>> shift) & 255) * (1 - share) + ((b >>> shift) & 255) * share) << shift;
  return (channel(0) | channel(8) | channel(16) | (255 << 24)) >>> 0;
}

type Shape = (x: number, y: number, side: number) => number;

/**
 * The shape of each state: 1 for its colour, 0 for the background, a number between for a mixture.
 */
const SHAPES: Record<FrameState, Shape> = {
  pending: () => 1,
  leased: (x, y, side) => ((x + y) % Math.max(2, Math.round(side / 2)) < Math.max(1, Math.round(side / 4)) ? 1 : 0.45),
  done: () => 1,
  failed: (x, y, side) => {
    if (side < 7)
      return x > 0 && y > 0 && x < side - 1 && y < side - 1 && (side > 4 || (x === 1 && y === 1)) ? 0.15 : 1;
    const wide = Math.max(1, side / 9);
    const off = side / 5;
    const inside = x >= off && y >= off && x < side - off && y < side - off;
    return inside && (Math.abs(x - y) < wide || Math.abs(x + y - side + 1) < wide) ? 0 : 1;
  },
  skipped: (_x, y, side) => (Math.abs(y - (side - 1) / 2) <= Math.max(0.5, side / 10) ? 1 : 0),
};

/** Draw all sprites for cells that are `size` device pixels from one to the next. */
export function drawSprites(size: number, palette: Palette): Sprites {
  const gap = Math.max(1, Math.round(size / 9));
  const side = size - gap;
  const pixels = new Uint32Array(size * size * STATES.length * 2);
  let at = 0;
  for (const selected of [false, true]) {
    // Selected cells have no gap between them: together they are one block, which is visible at
    // every size.
    const ground = selected ? palette.selected : palette.sheet;
    const back = selected ? mixed(palette.sheet, palette.selected, 0.25) : palette.sheet;
    for (const state of STATES) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const inside = x < side && y < side;
          pixels[at++] = inside ? mixed(back, palette.states[state], SHAPES[state](x, y, side)) : ground;
        }
      }
    }
  }
  return { size, pixels };
}

/**
 * Copy the cells in view into an image of `width` pixels a row. `first` is the first row of cells
 * in view; `offset` is the number of device pixels of that row that are above the image. `visible`
 * maps cells to frames; null when they are the same.
 */
export function paint(
  image: Uint32Array,
  width: number,
  view: { columns: number; cells: number; first: number; offset: number },
  sprites: Sprites,
  states: Uint8Array,
  mask: Uint8Array,
  visible: Uint32Array | null,
): void {
  const { size, pixels } = sprites;
  const height = Math.floor(image.length / width);
  const area = size * size;
  for (let row = view.first, top = -view.offset; top < height; row++, top += size) {
    const from = Math.max(0, -top);
    const to = Math.min(size, height - top);
    for (let column = 0; column < view.columns; column++) {
      const cell = row * view.columns + column;
      if (cell >= view.cells) return;
      const frame = visible === null ? cell : visible[cell]!;
      const sprite = (states[frame]! + (mask[frame] ? STATES.length : 0)) * area;
      for (let y = from; y < to; y++) {
        let target = (top + y) * width + column * size;
        let source = sprite + y * size;
        for (const end = source + size; source < end;) image[target++] = pixels[source++]!;
      }
    }
  }
}
