/**
 * Pages of events, newest first.
 *
 * - Rows are read in the order of their first event, but the events of two rows overlap in time. So
 *   an event is answered only when no unread row can hold a newer one.
 * - The cursor of a page is the key of its last event, so new events do not shift what comes after
 *   it.
 */
import { fromBase64Url, toBase64Url } from "../lib/bytes.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { ROW_SPAN_MS } from "../protocol/history-rows.ts";

/**
 * The place of an event in the order of reading: newest first, then by task and sequence downwards.
 */
export interface EventKey {
  at_ms: number;
  task_id: number;
  seq: number;
}

/** A row as it is read: its place in the order, and those of its events that pass the filter. */
export interface ReadRow extends EventKey {
  events: HistoryEvent[];
}

export interface EventPage {
  events: HistoryEvent[];
  /**
   * Where the next page starts; null at the end. A page may be shorter than its limit although
   * there is more.
   */
  next: EventKey | null;
}

/** A place before every event. */
export const NEWEST: EventKey = {
  at_ms: Number.MAX_SAFE_INTEGER,
  task_id: Number.MAX_SAFE_INTEGER,
  seq: Number.MAX_SAFE_INTEGER,
};

/** How much one page reads. */
const READING = {
  /** Rows of the first query. */
  rows: 100,
  /** The most rows of a query. */
  mostRows: 3_200,
  /**
   * The most rows that one page reads: a search for a rare kind in a long history gives short pages
   * instead of a time-out.
   */
  pageRows: 20_000,
};

/**
 * The page of up to `limit` events strictly after `start`. `read` answers up to `rows` rows
 * strictly after `after`, with their matching events that come strictly after `start`.
 */
export async function readPage(
  start: EventKey,
  limit: number,
  read: (after: EventKey, rows: number) => Promise<ReadRow[]>,
  reading = READING,
): Promise<EventPage> {
  const found: HistoryEvent[] = [];
  // No row up to `start` holds an event after `start`: a row's first event is the last of its
  // events in this order.
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

    // An unread row starts at or before `last`, so none of its events is later than this.
    const horizon = { ...NEWEST, at_ms: last.at_ms + ROW_SPAN_MS };
    const ready = found.filter((event) => event.at_ms > horizon.at_ms).slice(0, limit);
    if (ready.length === limit) return { events: ready, next: keyOf(ready.at(-1)!) };
    seen += rows.length;
    // Only with progress: otherwise a client would ask for the same page for ever.
    if (seen >= reading.pageRows && newestFirst(start, horizon) < 0) return { events: ready, next: horizon };
    after = last;
    size = nextSize(size, found.length - foundBefore, limit - ready.length, reading.mostRows);
  }
}

/**
 * How many rows the next query asks for, after one of `rows` has found so many events: as many as
 * seem to hold `wanted` events, but at most four times as many and never fewer. Without it, a page of
 * a rare kind would need more queries than a request may make.
 */
function nextSize(rows: number, found: number, wanted: number, mostRows: number): number {
  const needed = found === 0 ? Infinity : Math.ceil((rows * wanted) / found);
  return Math.min(Math.max(rows, Math.min(needed, rows * 4)), mostRows);
}

/** How much a query reads where all events are wanted, and not a page. */
const READING_ALL = {
  rows: 500,
  /** With more, a query over rows that hold nothing would keep D1 from others for a second. */
  mostRows: 20_000,
  /** About so many events are read at once: 1.5 MB. */
  events: 5_000,
};

/**
 * All events from the newest on, in portions. `read` is that of `readPage`. A portion is read with
 * one query: with 100,000 events of a row each these are 23, and the free plan allows 50.
 */
export async function* readAll(
  read: (after: EventKey, rows: number) => Promise<ReadRow[]>,
  reading = READING_ALL,
): AsyncGenerator<HistoryEvent[]> {
  let after = NEWEST;
  let size = reading.rows;
  let held: HistoryEvent[] = [];
  for (;;) {
    const rows = await read(after, size);
    const events = rows.flatMap((row) => row.events);
    held = [...held, ...events].toSorted(newestFirst);
    const last = rows.at(-1);
    if (!last || rows.length < size) {
      yield held;
      return;
    }
    // An unread row starts at or before `last`, so none of its events is later than this.
    const horizonMs = last.at_ms + ROW_SPAN_MS;
    const ready = held.filter((event) => event.at_ms > horizonMs);
    if (ready.length > 0) yield ready;
    held = held.slice(ready.length);
    after = last;
    // Rows may hold more events than those before, so the next query asks for fewer, too.
    const needed = events.length === 0 ? Infinity : Math.ceil((rows.length * reading.events) / events.length);
    size = Math.min(needed, size * 4, reading.mostRows);
  }
}

function keyOf({ at_ms, task_id, seq }: EventKey): EventKey {
  return { at_ms, task_id, seq };
}

function newestFirst(a: EventKey, b: EventKey): number {
  return b.at_ms - a.at_ms || b.task_id - a.task_id || b.seq - a.seq;
}

/** A place in the order, as an opaque text for clients. */
export function encodeCursor({ at_ms, task_id, seq }: EventKey): string {
  return toBase64Url(new TextEncoder().encode(JSON.stringify([at_ms, task_id, seq])));
}

/** The place that a cursor stands for; null when `encodeCursor` did not make it. */
export function decodeCursor(text: string): EventKey | null {
  try {
    const bytes = fromBase64Url(text);
    const parts: unknown = bytes && JSON.parse(new TextDecoder().decode(bytes));
    if (!Array.isArray(parts) || parts.length !== 3 || !parts.every((part) => Number.isSafeInteger(part))) return null;
    const [at_ms, task_id, seq] = parts as [number, number, number];
    return { at_ms, task_id, seq };
  } catch {
    return null;
  }
}
