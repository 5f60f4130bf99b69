/**
 * The warnings of one lease, by text: which frames each is about. A warning that comes before the first frame is
 * about all frames of the lease. Bounded: a program may print one for each of a million faces.
 */
import { MAX_WARNING_CHARS, MAX_WARNINGS, OTHER_WARNINGS } from "../protocol/constants.ts";
import { formatFrameList, listOfFrames, MAX_RANGES } from "../protocol/frame-list.ts";

export class LeaseWarnings {
  readonly #framesOf = new Map<string, Set<number> | "all">();

  /** A warning about this frame, or about all frames of the lease. */
  add(text: string, frame: number | "all"): void {
    const own = text.length <= MAX_WARNING_CHARS ? text : `${text.slice(0, MAX_WARNING_CHARS - 1)}…`;
    const isRoom = this.#framesOf.has(own) || this.#framesOf.size < MAX_WARNINGS - 1;
    const kept = isRoom ? own : OTHER_WARNINGS;
    const frames = this.#framesOf.get(kept);
    if (frame === "all") this.#framesOf.set(kept, "all");
    else if (frames === undefined) this.#framesOf.set(kept, new Set([frame]));
    else if (frames !== "all") frames.add(frame);
  }

  /**
   * The warnings about some of these frames, as a call of the lease names them. A frame list has at most
   * MAX_RANGES ranges; of a warning about more, the frames beyond go without it.
   */
  about(frames: readonly number[]): { text: string; frames: string }[] {
    const found: { text: string; frames: string }[] = [];
    for (const [text, its] of this.#framesOf) {
      const named = its === "all" ? frames : frames.filter((frame) => its.has(frame));
      if (named.length > 0) found.push({ text, frames: formatFrameList(listOfFrames(named).slice(0, MAX_RANGES)) });
    }
    return found;
  }
}
