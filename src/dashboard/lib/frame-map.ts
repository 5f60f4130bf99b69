/**
 * The state of every frame of a task: one byte for each frame, so that a million frames are cheap
 * to hold and to paint. Frames are addressed by their index in the task's ascending list. Pure.
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

/** The states in the order of their bytes: `STATES[2]` is the state that byte 2 stands for. */
export const STATES = ["pending", "leased", "done", "failed", "skipped"] as const satisfies readonly FrameState[];
const BYTE: Record<FrameState, number> = { pending: 0, leased: 1, done: 2, failed: 3, skipped: 4 };

export class FrameMap {
  readonly list: FrameList;
  readonly total: number;
  readonly states: Uint8Array<ArrayBuffer>;
  /** How many frames are in each state, in the order of STATES. */
  readonly counts: number[];

  /** `text` is the task's frame list as the manager prints it. All frames start as pending. */
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

  /** The index of a frame; -1 for a frame that the task does not have. */
  indexOf(frame: number): number {
    return indexOfFrame(this.list, frame);
  }

  stateAt(index: number): FrameState {
    return STATES[this.states[index] ?? 0]!;
  }

  /**
   * Put these frames into a state; frames that the task does not have are ignored. True when any
   * state changed.
   */
  set(frames: string, state: FrameState): boolean {
    let changed = false;
    for (const index of this.indexesOf(frames)) if (this.#put(index, BYTE[state])) changed = true;
    return changed;
  }

  /**
   * The indexes of those frames of a list that the task has; none for a text that is no frame list.
   */
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

  /** Put one frame into a state. True when its state changed. */
  setOne(frame: number, state: FrameState): boolean {
    const index = this.indexOf(frame);
    return index >= 0 && this.#put(index, BYTE[state]);
  }

  #put(index: number, byte: number): boolean {
    const before = this.states[index]!;
    if (before === byte) return false;
    this.states[index] = byte;
    this.counts[before]!--;
    this.counts[byte]!++;
    return true;
  }

  /**
   * The indexes of the frames in any of these states, ascending; null when no state or every state
   * is asked for.
   */
  filter(states: ReadonlySet<FrameState>): Uint32Array<ArrayBuffer> | null {
    if (states.size === 0 || states.size === STATES.length) return null;
    const wanted = STATES.map((state) => (states.has(state) ? 1 : 0));
    const size = wanted.reduce<number>((sum, want, byte) => sum + want * this.counts[byte]!, 0);
    const found = new Uint32Array(size);
    let at = 0;
    for (let index = 0; index < this.total; index++) if (wanted[this.states[index]!]) found[at++] = index;
    return found;
  }

  /**
   * The next index after `from` whose frame is in that state, in the direction of `step` and past
   * the end; -1 for none.
   */
  nextIn(state: FrameState, from: number, step: 1 | -1 = 1): number {
    const byte = BYTE[state];
    for (let i = 1; i <= this.total; i++) {
      const index = (from + step * i + this.total * 2) % this.total;
      if (this.states[index] === byte) return index;
    }
    return -1;
  }

  /** Whether any selected frame is in that state. `mask` is 1 for selected frames, by index. */
  anyIn(state: FrameState, mask: Uint8Array): boolean {
    return mask.some((selected, index) => selected === 1 && this.states[index] === BYTE[state]);
  }

  /**
   * The selected frames as lists that the manager takes, each of at most MAX_RANGES ranges. `mask`
   * is as above.
   */
  lists(mask: Uint8Array): string[] {
    const frames: number[] = [];
    for (let index = 0; index < this.total; index++) if (mask[index]) frames.push(this.frameAt(index));
    return formatFrameLists(listOfFrames(frames));
  }
}
