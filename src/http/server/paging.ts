/**
 * Query parameters of lists that are read page by page. `readQuery` turns a query's text into what
 * the schema wants, so an integer is declared as an integer.
 */
import { z } from "zod";

/**
 * Where to go on. Opaque to clients; 500 characters are more than any list makes, so a longer one
 * is refused unread.
 */
export const pageCursor = z.string().min(1).max(500).optional().meta({ description: "`cursor` of the page before" });

/** How many entries a page has: `fallback` where the query does not say, `max` at most. */
export function pageLimit(fallback: number, max: number) {
  return z
    .int()
    .min(1)
    .max(max)
    .default(fallback)
    .meta({ description: `Entries on a page, ${fallback} by default` });
}
