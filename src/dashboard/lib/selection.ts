/**
 * The selected frames of a task: a mask over its frames, and a cursor on one frame. Signals tell
 * views of changes.
 */
import { signal } from "@preact/signals";
import type { FrameState } from "../../protocol/task.ts";
import { STATES, type FrameMap } from "./frame-map.ts";

export class Selection {
  /** Index of the frame with the cursor. */
  readonly cursor = signal(0);
  /** Rises whenever somebody goes to a frame, also to the one where the cursor is. */
  readonly moves = signal(0);
  /** How many frames are selected. */
  readonly size = signal(0);
  /** Rises with every change of `mask`, which changes in place. */
  readonly version = signal(0);
  /** 1 for selected frames, by index. */
  mask = new Uint8Array(0);
  /** The mask without the range that is being drawn. */
  #base = new Uint8Array(0);
  /** The cell where that range began. */
  #anchor = 0;

  /** Adapt to a task of `total` frames. When the number changes, nothing is selected afterwards. */
  fit(total: number): void {
    if (this.mask.length === total) return;
    this.mask = new Uint8Array(total);
    this.#base = new Uint8Array(total);
    this.cursor.value = 0;
    this.#anchor = 0;
    this.#changed();
  }

  #changed(): void {
    let size = 0;
    for (const selected of this.mask) size += selected;
    this.size.value = size;
    this.version.value++;
  }

  #goTo(index: number): void {
    this.cursor.value = index;
    this.moves.value++;
  }

  clear(): void {
    this.mask.fill(0);
    this.#base.fill(0);
    this.#changed();
  }

  /** Start a range at a cell; with `keep`, the frames that are selected already stay selected. */
  begin(index: number, cell: number, keep: boolean): void {
    if (!keep) this.mask.fill(0);
    this.#base = this.mask.slice();
    this.#anchor = cell;
    this.#goTo(index);
    this.#changed();
  }

  /**
   * Select all cells from the start of the range to this one. `visible` maps cells to indexes; null
   * when every frame has the cell of its index.
   */
  extend(cell: number, visible: Uint32Array | null): void {
    this.mask.set(this.#base);
    const [from, to] = cell < this.#anchor ? [cell, this.#anchor] : [this.#anchor, cell];
    if (visible === null) this.mask.fill(1, from, to + 1);
    else for (let at = from; at <= to; at++) this.mask[visible[at]!] = 1;
    this.#goTo(visible === null ? cell : visible[cell]!);
    this.#changed();
  }

  /** Move the cursor. The next range begins there. */
  moveTo(index: number, cell: number): void {
    this.#goTo(index);
    this.#anchor = cell;
    this.#base = this.mask.slice();
  }

  /**
   * Select the frames of a list; false when the list cannot be read or has none of the task's
   * frames.
   */
  selectList(map: FrameMap, text: string): boolean {
    const found = [...map.indexesOf(text)];
    if (found.length === 0) return false;
    this.mask.fill(0);
    for (const index of found) this.mask[index] = 1;
    this.#base = this.mask.slice();
    this.#goTo(found[0]!);
    this.#changed();
    return true;
  }

  /** Select all frames in one state. */
  selectState(map: FrameMap, state: FrameState): void {
    const byte = STATES.indexOf(state);
    for (let index = 0; index < map.total; index++) this.mask[index] = map.states[index] === byte ? 1 : 0;
    this.#base = this.mask.slice();
    this.#changed();
  }
}
