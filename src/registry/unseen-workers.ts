/** When a worker that is not seen any more is removed (P14). Pure. */

/**
 * Nothing is removed so soon after the rule was first there, set or shortened: a week in which a
 * mistake can be mended. Workers of a farm that was upgraded or restored may not have called for long.
 */
const GRACE_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;

/** `days`: the setting, null for never. `fromMs`: since when the rule holds; null while it does not. */
export interface UnseenRule {
  days: number | null;
  fromMs: number | null;
}

/** The instant from which a worker that was last seen at `seenMs` is removed; null: never. */
export function removedFromMs({ days, fromMs }: UnseenRule, seenMs: number): number | null {
  return days === null || fromMs === null ? null : Math.max(seenMs + days * DAY_MS, fromMs + GRACE_MS);
}
