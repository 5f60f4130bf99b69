/** Answers as a file of JSON. CSV comes whole from the manager; of JSON it gives pages, which are put together here. */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { HistoryPage } from "./answers.ts";
import { get, withQuery } from "./api.ts";

const PAGE = 500;
/** As many as the manager puts into one CSV. */
const MAX_EVENTS = 100_000;

/** All events that match, newest first. */
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
  // The download has its own hold on the blob by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
