/** How long rows of submissions and of removed tasks are kept. Pure. */

/**
 * Keys and tombstones are kept this long: a repeated submission, or a late report, may come days
 * later.
 */
export const KEEP_MS = 7 * 86_400_000;
/**
 * The sweep comes this much later, so that it deletes an hour's worth of rows at once instead of
 * one row a wake.
 */
export const SWEEP_SLACK_MS = 3_600_000;

/** When to sweep, given when the oldest row was written; null when there is no row. */
export function sweepDueMs(oldestMs: number | null): number | null {
  return oldestMs === null ? null : oldestMs + KEEP_MS + SWEEP_SLACK_MS;
}
