/**
 * Paging through events, newest first. Rows come in the order of their first event, but the events of two rows overlap in time;
 * so an event is handed out only once no row that is still unread can hold a newer one. A page's cursor is the key of its last
 * event: new events never shift what comes after it.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import { ROW_SPAN_MS } from "../protocol/history-rows.ts";

/** The place of an event in the order of reading: newest first, then by task and sequence downwards. */
export interface EventKey {
  at_ms: number;
  task_id: number;
  seq: number;
}

/** A row as a reading sees it: its place, and those of its events that pass the filter. */
export interface ReadRow extends EventKey {
  events: HistoryEvent[];
}

export interface EventPage {
  events: HistoryEvent[];
  /** Where to go on; null at the end. A page may be shorter than asked for although there is more. */
  next: EventKey | null;
}

/** Before every event there can be. */
export const NEWEST: EventKey = {
  at_ms: Number.MAX_SAFE_INTEGER,
  task_id: Number.MAX_SAFE_INTEGER,
  seq: Number.MAX_SAFE_INTEGER,
};

/** How much one page reads. */
const READING = {
  /** Rows of the first query. */
  rows: 100,
  /** After a query that found nothing the next asks for four times as many, up to this. */
  mostRows: 3_200,
  /** Rows one page may look at: a rare kind in a long history answers short pages and never a time-out. */
  pageRows: 20_000,
};

/**
 * The page of up to `limit` events strictly after `start`. `read` answers up to `rows` rows strictly after `after`, with their
 * matching events that come strictly after `start`.
 */
export async function readPage(
  start: EventKey,
  limit: number,
  read: (after: EventKey, rows: number) => Promise<ReadRow[]>,
  reading = READING,
): Promise<EventPage> {
  const found: HistoryEvent[] = [];
  // Rows up to here hold nothing that comes after `start`: a row's first event is its newest place in the order.
  let after = start;
  let size = reading.rows;
  let seen = 0;
  for (;;) {
    const rows = await read(after, size);
    const last = rows.at(-1);
    const foundBefore = found.length;
    for (const row of rows) found.push(...row.events);
    found.sort(newestFirst);
    if (!last || rows.length < size) {
      const events = found.slice(0, limit);
      return { events, next: found.length > limit ? keyOf(events.at(-1)!) : null };
    }

    // Unread rows start at or before `last`, so their events are no later than this.
    const horizon = { ...NEWEST, at_ms: last.at_ms + ROW_SPAN_MS };
    const ready = found.filter((event) => event.at_ms > horizon.at_ms).slice(0, limit);
    if (ready.length === limit) return { events: ready, next: keyOf(ready.at(-1)!) };
    seen += rows.length;
    // Never without progress, or a client would ask for the same page for ever.
    if (seen >= reading.pageRows && newestFirst(start, horizon) < 0) return { events: ready, next: horizon };
    after = last;
    if (found.length === foundBefore) size = Math.min(size * 4, reading.mostRows);
  }
}

function keyOf({ at_ms, task_id, seq }: EventKey): EventKey {
  return { at_ms, task_id, seq };
}

function newestFirst(a: EventKey, b: EventKey): number {
  return b.at_ms - a.at_ms || b.task_id - a.task_id || b.seq - a.seq;
}

/** A place as clients carry it: opaque to them. */
export function encodeCursor({ at_ms, task_id, seq }: EventKey): string {
  return btoa(JSON.stringify([at_ms, task_id, seq]))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** The place a cursor stands for; null when we did not make it. */
export function decodeCursor(text: string): EventKey | null {
  try {
    const parts: unknown = JSON.parse(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
    if (!Array.isArray(parts) || parts.length !== 3 || !parts.every((part) => Number.isSafeInteger(part))) return null;
    const [at_ms, task_id, seq] = parts as [number, number, number];
    return { at_ms, task_id, seq };
  } catch {
    return null;
  }
}
