/**
 * The times that keep a sweep of inputs apart from checks and uploads that go on without the index
 * (decision 021). Pure.
 *
 * While D1 does not answer, a check looks for the sweep's marker in R2. It relies on this: when the
 * marker is not there at an instant, no input is deleted in the WAIT_MS after it.
 */
import { CLOCK_MS } from "./input-index.ts";

/**
 * A check or upload that goes on without the index must have left its note so long after it looked
 * for the marker, or it is answered 503.
 */
const CHECK_MS = 60_000;
/**
 * How long the marker must have been there before the first deletion. Shorter: a check that did not
 * see the marker may leave its note after the sweep has read the notes.
 */
export const WAIT_MS = CHECK_MS + 30_000;
/**
 * For how long a marker holds. A sweep that dies leaves it; with a longer time, checks during a
 * failure of D1 would be refused for that long.
 */
const MARKER_MS = 20 * 60_000;
/** For how long rows may be deleted. An upload of such an input is refused for so long. */
const LEASE_MS = 5 * 60_000;
/**
 * A call of R2 takes effect so long after it was begun, or never. R2 promises no such time; calls
 * are answered within seconds, and the platform ends those that are not.
 */
const CALL_MS = 60_000;
/**
 * For how long the row of a deleted input stays. An upload that saw the object before its deletion
 * learns of it by the row, so no upload may last longer.
 */
export const KEEP_ROWS_MS = 86_400_000;
/** An upload that has lasted longer is sent again: the row that would tell of a deletion may be gone. */
export const MAX_UPLOAD_MS = KEEP_ROWS_MS / 2;

/** The sweep's marker: since when it is there, and until when it holds. */
export interface SweepMarker {
  since_ms: number;
  until_ms: number;
}

/** Until when a marker that is put now holds. */
export function markerUntilMs(nowMs: number): number {
  return nowMs + MARKER_MS;
}

/** Whether a check must take it that inputs may be deleted now. */
export function mayBeSweeping(marker: SweepMarker | null, nowMs: number): boolean {
  return marker !== null && !(marker.until_ms + CLOCK_MS < nowMs);
}

/** Whether a check that looked for the marker then must not answer any more. */
export function isTooLate(lookedMs: number, nowMs: number): boolean {
  return nowMs - lookedMs > CHECK_MS;
}

/** How long a sweep must still wait before it deletes. Null: it must put the marker anew. */
export function waitMs(marker: SweepMarker | null, nowMs: number): number | null {
  if (marker === null || !(nowMs + LEASE_MS <= marker.until_ms)) return null;
  return Math.max(0, marker.since_ms + WAIT_MS - nowMs);
}

/** Until when rows may be deleted that are given up to deletion now. */
export function leaseUntilMs(nowMs: number): number {
  return nowMs + LEASE_MS;
}

/** Whether the objects of rows with this lease may be deleted now. */
export function mayDelete(leaseMs: number, nowMs: number): boolean {
  return nowMs + CALL_MS <= leaseMs;
}
