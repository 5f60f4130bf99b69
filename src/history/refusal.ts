/** Which errors of D1 last until a person, or midnight, ends them. Pure. */

/**
 * Parts of the messages with which D1 refuses writes for longer than a stall: the database or the
 * account is full, or a quota of the free plan is used up until midnight. From Cloudflare's list of
 * D1 errors (D1, "Debug D1") and from SQLite's own message.
 */
const LASTING = [
  "Exceeded maximum DB size",
  "maximum account storage limit",
  "SQLITE_FULL",
  "database or disk is full",
  "free tier daily row",
] as const;

/** Whether another try within minutes would be refused as well. */
export function isLastingRefusal(message: string): boolean {
  return LASTING.some((part) => message.includes(part));
}
