/**
 * History as a JSON file. The manager sends CSV as one file, but JSON in pages, which are put
 * together here.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { HistoryPage } from "./answers.ts";
import { get, withQuery } from "./api.ts";

/** The most events that the manager puts into a page. */
const PAGE = 500;
/**
 * The manager's own limit for a CSV file. Without a limit, a large history would fill the browser's
 * memory.
 */
const MAX_EVENTS = 100_000;

/** All events that match the filter, newest first, up to the limit. */
export async function allEvents(filter: Record<string, string | null>): Promise<HistoryEvent[]> {
  const found: HistoryEvent[] = [];
  let cursor: string | null = null;
  do {
    const page: HistoryPage = await get<HistoryPage>(withQuery("/history", { ...filter, limit: PAGE, cursor }));
    found.push(...page.events);
    cursor = page.cursor;
  } while (cursor !== null && found.length < MAX_EVENTS);
  return found;
}

/** Have the browser save a value as a file. */
export function saveJson(name: string, value: unknown): void {
  const address = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has read the blob by then; until it has, the address must stay valid.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
