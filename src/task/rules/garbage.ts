/**
 * Garbage: uploads that are no frame's result. Decides what of it is deleted;
 * `garbage-collector.ts` deletes. Pure. The ledger keeps its list under the stored key `sweeps`.
 */
import { frames, type FrameSet } from "./frame-set.ts";
import type { FrameTable, Garbage } from "./ledger.ts";

export type ToDelete =
  /** All outputs of every attempt up to this one. */
  | { of: "attempts"; through: number }
  /** All outputs of the attempt except those with these names, which are committed. */
  | { of: "attempt"; attempt: number; keep: ReadonlySet<string> }
  /**
   * Only the outputs of these frames: others of the attempt may be committed, or still be
   * uploading.
   */
  | { of: "frames"; attempt: number; frames: FrameSet };

/** The outputs that `garbage` stands for, as the frame table is now. */
export function toDelete(garbage: Garbage, table: Pick<FrameTable, "get">): ToDelete {
  const { attempt } = garbage;
  if (garbage.frames.length === 0) return { of: "attempts", through: attempt };
  if (garbage.only) return { of: "frames", attempt, frames: garbage.frames };
  const keep = new Set<string>();
  for (const frame of frames(garbage.frames)) {
    const entry = table.get(frame);
    if (entry?.state === "done" && entry.attempt === attempt) for (const file of entry.files) keep.add(file.name);
  }
  return { of: "attempt", attempt, keep };
}

/**
 * The list without what has been deleted. Entries are compared by their content, because the record
 * may have been read from the rows again while the deletion ran.
 */
export function withoutDeleted(all: readonly Garbage[], deleted: readonly Garbage[]): Garbage[] {
  const texts = new Set(deleted.map((garbage) => JSON.stringify(garbage)));
  return all.filter((garbage) => !texts.has(JSON.stringify(garbage)));
}
