/** What a due sweep deletes. Pure; `chores.ts` does it. */
import { frames, type FrameSet } from "./frame-set.ts";
import type { FrameBook, Sweep } from "./ledger.ts";

export type Doomed =
  /** All outputs of every attempt up to this one. */
  | { of: "attempts"; through: number }
  /** All outputs of the attempt but those of these names, which are committed. */
  | { of: "attempt"; attempt: number; keep: ReadonlySet<string> }
  /** Only the outputs of these frames: what else the attempt made may be somebody's result, or still be on its way there. */
  | { of: "frames"; attempt: number; frames: FrameSet };

/** The outputs a sweep is meant for, as the book stands now. */
export function doomedBy(sweep: Sweep, book: Pick<FrameBook, "get">): Doomed {
  const { attempt } = sweep;
  if (sweep.frames.length === 0) return { of: "attempts", through: attempt };
  if (sweep.only) return { of: "frames", attempt, frames: sweep.frames };
  const keep = new Set<string>();
  for (const frame of frames(sweep.frames)) {
    const entry = book.get(frame);
    if (entry?.state === "done" && entry.attempt === attempt) for (const file of entry.files) keep.add(file.name);
  }
  return { of: "attempt", attempt, keep };
}
