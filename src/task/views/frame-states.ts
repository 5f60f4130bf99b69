/**
 * The state of every frame of a task, one byte a frame. It is kept while a page watches, so that a
 * snapshot costs a walk over bytes instead of rows. Pure.
 */
import {
  formatFrameLists,
  framesOf,
  indexOfFrame,
  listOfFrames,
  type FrameList,
  type FrameRange,
} from "../../protocol/frame-list.ts";
import type { FrameLists, MovedFrames } from "../../protocol/live.ts";
import type { FrameState } from "../../protocol/task.ts";
import type { FrameSet } from "../rules/frame-set.ts";
import { statesOf, type FrameEntry, type Ledger, type Terms, type Transition } from "../rules/ledger.ts";

const CODE: Record<FrameState, number> = { pending: 0, leased: 1, done: 2, failed: 3, skipped: 4 };
/** Added to the state of a done frame that has a preview. */
const PREVIEW = 8;

/** What the states of a task's frames are read from. */
type Frames = Pick<Transition, "ledger" | "table">;

export class FrameStates {
  readonly #list: FrameList;
  readonly #bytes: Uint8Array;

  /** `entries`: the entries of all frames. */
  constructor(terms: Terms, ledger: Ledger, entries: Iterable<[number, FrameEntry]>) {
    this.#list = terms.list;
    this.#bytes = new Uint8Array(terms.total);
    for (const [frame, entry] of entries) if (entry.state !== "retry") this.#set(frame, entry.state, hasPreview(entry));
    this.#mark(ledger.skipped, "skipped");
    for (const lease of ledger.leases) this.#mark(lease.open, "leased");
  }

  /** Bring the states of these frames up to date. */
  catchUp(task: Frames, stale: Iterable<number>): void {
    for (const [frame, state, preview] of shownStates(task, stale)) this.#set(frame, state, preview);
  }

  #set(frame: number, state: FrameState, preview: boolean): void {
    const index = indexOfFrame(this.#list, frame);
    if (index >= 0) this.#bytes[index] = CODE[state] + (preview ? PREVIEW : 0);
  }

  #mark(set: FrameSet, state: FrameState): void {
    for (const [first, last] of set) for (let frame = first; frame <= last; frame++) this.#set(frame, state, false);
  }

  lists(): FrameLists {
    const state = (wanted: FrameState): string[] => this.#texts((byte) => (byte & 7) === CODE[wanted]);
    return {
      leased: state("leased"),
      done: state("done"),
      failed: state("failed"),
      skipped: state("skipped"),
      previews: this.#texts((byte) => byte >= PREVIEW),
    };
  }

  /** The frames that are wanted, as texts of frame lists. */
  #texts(wanted: (byte: number) => boolean): string[] {
    const runs: FrameRange[] = [];
    let index = 0;
    for (const range of this.#list) {
      let run: FrameRange | null = null;
      for (const frame of framesOf([range])) {
        if (!wanted(this.#bytes[index++]!)) run = null;
        else if (run) run.end = frame;
        else runs.push((run = { start: frame, end: frame, step: range.step }));
      }
    }
    return formatFrameLists(runs);
  }
}

/** For each frame its state, and whether it has a preview. */
function* shownStates(task: Frames, frames: Iterable<number>): Generator<[number, FrameState, boolean]> {
  for (const [frame, state] of statesOf(task, frames))
    yield [frame, state, state === "done" && hasPreview(task.table.get(frame)!)];
}

/** The frames by their present state. */
export function movedFrames(task: Frames, changed: Iterable<number>): MovedFrames {
  const by: Record<FrameState | "previews", number[]> = {
    pending: [],
    leased: [],
    done: [],
    failed: [],
    skipped: [],
    previews: [],
  };
  for (const [frame, state, preview] of shownStates(task, changed)) {
    by[state].push(frame);
    if (preview) by.previews.push(frame);
  }
  const texts = (of: keyof typeof by): string[] => formatFrameLists(listOfFrames(by[of]));
  return {
    pending: texts("pending"),
    leased: texts("leased"),
    done: texts("done"),
    failed: texts("failed"),
    skipped: texts("skipped"),
    previews: texts("previews"),
  };
}

/** Whether a committed frame came with a preview. */
export function hasPreview(entry: Pick<FrameEntry, "files">): boolean {
  return entry.files.some((file) => file.kind === "preview");
}
