/**
 * Where every frame of a task stands, one byte a frame, kept while a page watches: a snapshot then costs a walk over bytes,
 * not over rows. Pure.
 */
import {
  formatFrameList,
  framesOf,
  indexOfFrame,
  MAX_RANGES,
  type FrameList,
  type FrameRange,
} from "../protocol/frame-list.ts";
import type { FrameLists } from "../protocol/live.ts";
import type { FrameState } from "../protocol/task.ts";
import type { FrameSet } from "./frame-set.ts";
import type { FrameEntry, Ledger, Terms } from "./ledger.ts";

const CODE: Record<FrameState, number> = { pending: 0, leased: 1, done: 2, failed: 3, skipped: 4 };
/** Beside the state of a done frame: it has a preview. */
const PREVIEW = 8;

export class FrameStates {
  readonly #list: FrameList;
  readonly #bytes: Uint8Array;

  /** From what is stored. `entries`: every touched frame. */
  constructor(terms: Terms, ledger: Ledger, entries: Iterable<[number, FrameEntry]>) {
    this.#list = terms.list;
    this.#bytes = new Uint8Array(terms.total);
    for (const [frame, entry] of entries) if (entry.state !== "retry") this.set(frame, entry.state, hasPreview(entry));
    this.#mark(ledger.skipped, "skipped");
    for (const lease of ledger.leases) this.#mark(lease.open, "leased");
  }

  set(frame: number, state: FrameState, preview: boolean): void {
    const index = indexOfFrame(this.#list, frame);
    if (index >= 0) this.#bytes[index] = CODE[state] + (preview ? PREVIEW : 0);
  }

  #mark(set: FrameSet, state: FrameState): void {
    for (const [first, last] of set) for (let frame = first; frame <= last; frame++) this.set(frame, state, false);
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

  /** Runs of wanted frames, cut into texts of as many ranges as a list may have. */
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
    const texts: string[] = [];
    for (let at = 0; at < runs.length; at += MAX_RANGES) texts.push(formatFrameList(runs.slice(at, at + MAX_RANGES)));
    return texts;
  }
}

/** Whether a committed frame came with a preview. */
export function hasPreview(entry: Pick<FrameEntry, "files">): boolean {
  return entry.files.some((file) => file.kind === "preview");
}
