/**
 * Where every frame of a task stands: one byte a frame, so that ten thousands cost nothing to hold and to paint. Frames are
 * addressed by their index in the task's ascending list. Pure.
 */
import {
  countFrames,
  formatFrameLists,
  frameAt,
  indexOfFrame,
  listOfFrames,
  parseFrameList,
  type FrameList,
} from "../../protocol/frame-list.ts";
import type { FrameState } from "../../protocol/task.ts";

/** In the order of their byte. */
export const STATES = ["pending", "leased", "done", "failed", "skipped"] as const satisfies readonly FrameState[];
const BYTE: Record<FrameState, number> = { pending: 0, leased: 1, done: 2, failed: 3, skipped: 4 };

export class FrameMap {
  readonly list: FrameList;
  readonly total: number;
  readonly states: Uint8Array<ArrayBuffer>;
  /** Frames in each state, in the order of STATES. */
  readonly counts: number[];

  /** `text` is the task's frame list as the manager prints it. All frames are pending. */
  constructor(text: string) {
    const parsed = parseFrameList(text);
    this.list = parsed.ok ? parsed.value : [];
    this.total = countFrames(this.list);
    this.states = new Uint8Array(this.total);
    this.counts = [this.total, 0, 0, 0, 0];
  }

  frameAt(index: number): number {
    return frameAt(this.list, index) ?? 0;
  }

  /** -1 for a frame that is not in the task. */
  indexOf(frame: number): number {
    return indexOfFrame(this.list, frame);
  }

  stateAt(index: number): FrameState {
    return STATES[this.states[index] ?? 0]!;
  }

  /** Put these frames into a state; frames that the task does not have are left out. True when anything changed. */
  set(frames: string, state: FrameState): boolean {
    let changed = false;
    for (const index of this.indexesOf(frames)) if (this.#put(index, BYTE[state])) changed = true;
    return changed;
  }

  /** Indexes of those frames of a list that the task has. */
  *indexesOf(frames: string): Generator<number> {
    const parsed = parseFrameList(frames);
    if (!parsed.ok) return;
    for (const range of parsed.value) {
      for (let frame = range.start; frame <= range.end; frame += range.step) {
        const index = this.indexOf(frame);
        if (index >= 0) yield index;
      }
    }
  }

  setOne(frame: number, state: FrameState): boolean {
    const index = this.indexOf(frame);
    return index >= 0 && this.#put(index, BYTE[state]);
  }

  /** All frames pending again, before a snapshot is laid over them. */
  reset(): void {
    this.states.fill(0);
    this.counts.splice(0, 5, this.total, 0, 0, 0, 0);
  }

  #put(index: number, byte: number): boolean {
    const before = this.states[index]!;
    if (before === byte) return false;
    this.states[index] = byte;
    this.counts[before]!--;
    this.counts[byte]!++;
    return true;
  }

  /** Indexes of the frames in any of these states, ascending; null when that is all of them. */
  filter(states: ReadonlySet<FrameState>): Uint32Array<ArrayBuffer> | null {
    if (states.size === 0 || states.size === STATES.length) return null;
    const wanted = STATES.map((state) => (states.has(state) ? 1 : 0));
    const size = wanted.reduce<number>((sum, want, byte) => sum + want * this.counts[byte]!, 0);
    const found = new Uint32Array(size);
    let at = 0;
    for (let index = 0; index < this.total; index++) if (wanted[this.states[index]!]) found[at++] = index;
    return found;
  }

  /** The next index after `from` in a direction whose frame is in that state, going round; -1 for none. */
  nextIn(state: FrameState, from: number, step: 1 | -1 = 1): number {
    const byte = BYTE[state];
    for (let i = 1; i <= this.total; i++) {
      const index = (from + step * i + this.total * 2) % this.total;
      if (this.states[index] === byte) return index;
    }
    return -1;
  }

  /** Whether any of the chosen frames is in that state. `mask` is 1 where chosen. */
  anyIn(state: FrameState, mask: Uint8Array): boolean {
    return mask.some((chosen, index) => chosen === 1 && this.states[index] === BYTE[state]);
  }

  /** The chosen frames as lists that the manager takes, each of at most MAX_RANGES ranges. `mask` is 1 where chosen. */
  lists(mask: Uint8Array): string[] {
    const frames: number[] = [];
    for (let index = 0; index < this.total; index++) if (mask[index]) frames.push(this.frameAt(index));
    return formatFrameLists(listOfFrames(frames));
  }
}
