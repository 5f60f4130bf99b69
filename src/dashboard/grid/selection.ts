/** Chosen frames: a mask over the task's frames, and one frame that has the cursor. Signals, so that views follow. */
import { signal } from "@preact/signals";
import { parseFrameList } from "../../protocol/frame-list.ts";
import type { FrameState } from "../../protocol/task.ts";
import { STATES, type FrameMap } from "./frame-map.ts";

export class Selection {
  /** Index of the frame with the cursor. */
  readonly cursor = signal(0);
  readonly size = signal(0);
  readonly version = signal(0);
  mask = new Uint8Array(0);
  /** The mask before the range that is being drawn. */
  #base = new Uint8Array(0);
  #anchor = 0;

  /** For a task of so many frames; chosen frames are forgotten when the number differs. */
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
    for (const chosen of this.mask) size += chosen;
    this.size.value = size;
    this.version.value++;
  }

  clear(): void {
    this.mask.fill(0);
    this.#base.fill(0);
    this.#changed();
  }

  /** Start a range at the cursor's cell; `keep` what is chosen already. */
  begin(index: number, cell: number, keep: boolean): void {
    if (!keep) this.mask.fill(0);
    this.#base = this.mask.slice();
    this.#anchor = cell;
    this.cursor.value = index;
    this.#changed();
  }

  /** Choose all cells from where the range began to this one. `visible` maps cells to indexes. */
  extend(cell: number, visible: Uint32Array | null): void {
    this.mask.set(this.#base);
    const [from, to] = cell < this.#anchor ? [cell, this.#anchor] : [this.#anchor, cell];
    if (visible === null) this.mask.fill(1, from, to + 1);
    else for (let at = from; at <= to; at++) this.mask[visible[at]!] = 1;
    this.cursor.value = visible === null ? cell : visible[cell]!;
    this.#changed();
  }

  /** Move the cursor; a range that is drawn next begins there. */
  moveTo(index: number, cell: number): void {
    this.cursor.value = index;
    this.#anchor = cell;
    this.#base = this.mask.slice();
  }

  /** Choose the frames of a list; false when it cannot be read or has none of the task's frames. */
  chooseList(map: FrameMap, text: string): boolean {
    const parsed = parseFrameList(text);
    if (!parsed.ok) return false;
    const found: number[] = [];
    for (const range of parsed.value) {
      for (let frame = range.start; frame <= range.end; frame += range.step) {
        const index = map.indexOf(frame);
        if (index >= 0) found.push(index);
      }
    }
    if (found.length === 0) return false;
    this.mask.fill(0);
    for (const index of found) this.mask[index] = 1;
    this.#base = this.mask.slice();
    this.cursor.value = found[0]!;
    this.#changed();
    return true;
  }

  chooseState(map: FrameMap, state: FrameState): void {
    const byte = STATES.indexOf(state);
    for (let index = 0; index < map.total; index++) this.mask[index] = map.states[index] === byte ? 1 : 0;
    this.#base = this.mask.slice();
    this.#changed();
  }
}
