/**
 * The bytes of a task's committed files: those of its done frames, previews included. The rules that
 * commit frames, or give committed ones up, keep the sum, so that nobody ever adds up the frame
 * table. Pure.
 *
 * Tasks of releases up to 0.1.0 have no sum. It is counted once, a part of the frame table at a time
 * (`countStep`), while the task goes on: what is committed meanwhile is added where the count has
 * been already, and found by the count elsewhere.
 */
import type { OutputFile } from "../../protocol/task.ts";

/** The sum as it is stored; its keys are those of the stored JSON. */
export interface StoredCount {
  /** Bytes of the committed files of the frames that are counted. */
  bytes: number;
  /** Frames below this one are counted; null when all are. */
  below: number | null;
  /**
   * `tally.done` and `counts.done` when the sum was made. Each commit raises both and each requeue
   * lowers the second, so together they tell whether a release that does not know the sum has
   * changed frames since: after a rollback the sum is wrong, and is counted anew.
   */
  commits: number;
  done: number;
}

/** The part of a ledger that this works on. */
interface Counts {
  stored: StoredCount;
  counts: { done: number };
  tally: { done: number };
}

/** The sum of a new task. */
export const NOTHING_STORED: StoredCount = { bytes: 0, below: null, commits: 0, done: 0 };

/** A frame before all frames of any task. Not -Infinity, which JSON does not have. */
const BEFORE_ALL = Number.MIN_SAFE_INTEGER;

/** The bytes of the committed files; null while they are not counted yet. */
export function storedBytes({ stored }: Pick<Counts, "stored">): number | null {
  return stored.below === null ? stored.bytes : null;
}

/** The sum of a ledger that was read from rows; one that is missing or stale begins anew. */
export function countOf(ledger: Omit<Counts, "stored"> & { stored?: StoredCount }): StoredCount {
  const { stored, tally, counts } = ledger;
  if (stored?.commits === tally.done && stored.done === counts.done) return stored;
  return { bytes: 0, below: BEFORE_ALL, commits: tally.done, done: counts.done };
}

/**
 * What these files of a frame add to the sum, or take from it: nothing where the count has not been
 * yet.
 */
export function countedBytes({ stored }: Pick<Counts, "stored">, frame: number, files: readonly OutputFile[]): number {
  return stored.below === null || frame < stored.below ? sizeOf(files) : 0;
}

/** The sum has changed to `bytes`. Call after the counters of the ledger were changed. */
export function noteStored(ledger: Counts, bytes: number, below = ledger.stored.below): void {
  ledger.stored = { bytes, below, commits: ledger.tally.done, done: ledger.counts.done };
}

/**
 * Count at most `limit` frames more. `entriesFrom`: the entries of the frame table from this frame on,
 * ascending; it is read as far as it is counted.
 */
export function countStep(
  ledger: Counts,
  entriesFrom: (frame: number) => Iterable<[number, { files: readonly OutputFile[] }]>,
  limit: number,
): void {
  if (ledger.stored.below === null) return;
  let { bytes } = ledger.stored;
  let counted = 0;
  for (const [frame, { files }] of entriesFrom(ledger.stored.below)) {
    if (counted === limit) return noteStored(ledger, bytes, frame);
    bytes += sizeOf(files);
    counted++;
  }
  noteStored(ledger, bytes, null);
}

/** Frames that are not done have no files. */
function sizeOf(files: readonly OutputFile[]): number {
  let bytes = 0;
  for (const { size } of files) bytes += size;
  return bytes;
}
