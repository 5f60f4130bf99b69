/** The version of a task's committed files, by which a caller says which of them it has seen. Pure. */
import type { Ledger } from "./ledger.ts";

type Counts = Pick<Ledger, "tally" | "counts">;

/**
 * Names the set of committed files: another text after each commit and each requeue of a committed
 * frame. The number of commits ever made never falls; between two commits, the number of done frames
 * only falls. So a pair of both never comes back for other files, and nothing needs to be stored.
 */
export function filesVersion({ tally, counts }: Counts): string {
  return `${tally.done}.${counts.done}`;
}

/**
 * Whether whoever saw this version has seen all files that are there now: none was committed since.
 * Files that were given up since do not matter.
 */
export function hasSeenAll({ tally }: Pick<Counts, "tally">, version: string): boolean {
  return version.split(".")[0] === String(tally.done);
}
