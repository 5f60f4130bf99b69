/**
 * The order in which a task's frames are first given out. A position is a place in that order; a
 * task stores only how far it has come (its cursor), so a million frames cost one number.
 */

export type Order = "ascending" | "preview";

/**
 * Positions to walk for `count` frames. Preview order walks a power of two and passes over
 * positions that name no frame of their own, so it has more positions than frames (less than twice
 * as many, plus two).
 */
export function positions(order: Order, count: number): number {
  return order === "ascending" || count <= 2 ? count : spread(count) + 2;
}

/**
 * The index (0-based, ascending) of the frame at `position`, or undefined where the position names
 * none. Over all positions every index comes up exactly once.
 *
 * Preview: first, last, then the middle, the quarters, the eighths …: the bits of the position
 * reversed (van der Corput's sequence), scaled to `count`; of the several reversed values that
 * scale to one index the smallest is the one that counts.
 */
export function indexAt(order: Order, count: number, position: number): number | undefined {
  if (position < 0 || position >= positions(order, count)) return undefined;
  if (order === "ascending" || count <= 2) return position;
  if (position === 0) return 0;
  if (position === 1) return count - 1;
  const size = spread(count);
  const reversed = reverseBits(position - 2, size);
  const index = Math.floor((reversed * count) / size);
  const smallest = Math.ceil((index * size) / count);
  if (reversed !== smallest || index === 0 || index === count - 1) return undefined;
  return index;
}

/** The position at which the frame with this index comes up: the inverse of `indexAt`. */
export function positionOf(order: Order, count: number, index: number): number {
  if (order === "ascending" || count <= 2) return index;
  if (index === 0) return 0;
  if (index === count - 1) return 1;
  const size = spread(count);
  return reverseBits(Math.ceil((index * size) / count), size) + 2;
}

function spread(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}

function reverseBits(value: number, size: number): number {
  let out = 0;
  let left = value;
  for (let bit = 1; bit < size; bit *= 2) {
    out = out * 2 + (left % 2);
    left = Math.floor(left / 2);
  }
  return out;
}
