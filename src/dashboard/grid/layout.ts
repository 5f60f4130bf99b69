/**
 * The positions of cells: rows of squares, left to right. Pure; lengths are CSS pixels unless they
 * say otherwise.
 */

/**
 * Distances from one cell to the next. They are whole pixels, because the edges of cells would blur
 * otherwise.
 */
export const PITCHES = [5, 7, 10, 14, 20, 30] as const;

export interface Layout {
  columns: number;
  rows: number;
  pitch: number;
  cells: number;
}

export function layoutOf(cells: number, width: number, pitch: number): Layout {
  const columns = Math.max(1, Math.floor(width / pitch));
  return { columns, rows: Math.ceil(cells / columns), pitch, cells };
}

/** The largest pitch with which all cells fit into the box; the smallest when none does. */
export function fittingPitch(cells: number, width: number, height: number): number {
  return PITCHES.findLast((pitch) => layoutOf(cells, width, pitch).rows * pitch <= height) ?? PITCHES[0];
}

/**
 * The cell at a point, or -1; `y` counts from the top of the first row. With `nearest`, the closest
 * cell instead of -1.
 */
export function cellAt(layout: Layout, x: number, y: number, nearest = false): number {
  if (layout.cells === 0) return -1;
  let column = Math.floor(x / layout.pitch);
  let row = Math.floor(y / layout.pitch);
  if (nearest) {
    column = Math.min(layout.columns - 1, Math.max(0, column));
    row = Math.min(layout.rows - 1, Math.max(0, row));
    return Math.min(layout.cells - 1, row * layout.columns + column);
  }
  if (column < 0 || column >= layout.columns || row < 0) return -1;
  const cell = row * layout.columns + column;
  return cell < layout.cells ? cell : -1;
}

/**
 * The cell to which a key moves the cursor; null for a key that the grid does not use. `page` is
 * the number of rows in view.
 */
export function moved(layout: Layout, from: number, key: string, page: number): number | null {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -layout.columns,
    ArrowDown: layout.columns,
    PageUp: -layout.columns * Math.max(1, page - 1),
    PageDown: layout.columns * Math.max(1, page - 1),
    Home: -layout.cells,
    End: layout.cells,
  };
  const step = steps[key];
  if (step === undefined || layout.cells === 0) return null;
  const to = from + step;
  // Up and down stop at the edge of their column, so that the opposite key leads back to the same
  // cell.
  if (Math.abs(step) === layout.columns && (to < 0 || to >= layout.cells)) return from;
  return Math.min(layout.cells - 1, Math.max(0, to));
}
