/** SQL of the table `history` in D1: the outboxes of tasks write it, people read it. */
import type { EventKind, HistoryEvent } from "../protocol/history.ts";
import { NEWEST, readAll, readPage, type EventKey, type EventPage, type ReadRow } from "./event-page.ts";
import { isAboutFrames, ROW_SPAN_MS, type HistoryRow } from "../protocol/history-rows.ts";
import { COUNT, KEPT_FROM } from "./totals-store.ts";

/** A statement takes its rows as one bound JSON text; D1 allows 2 MB for a bound value. */
const STATEMENT_BYTES = 1_000_000;

/**
 * `through_seq` guards the update: a late, shorter write of the same row (its reply was given up
 * long ago) changes nothing. Neither does an exact repetition, which so costs no written row.
 */
const UPSERT = `
  INSERT INTO history (task_id, seq, through_seq, from_ms, worker_id, type, frames_done, frames_error, frames_lost, seconds, events)
  SELECT value ->> 'task_id', value ->> 'seq', value ->> 'through_seq', value ->> 'from_ms', value ->> 'worker_id', value ->> 'type',
    value ->> 'frames_done', value ->> 'frames_error', value ->> 'frames_lost', value ->> 'seconds', value -> 'events'
  FROM json_each(?1) WHERE value ->> 'from_ms' >= ${KEPT_FROM}
  ON CONFLICT (task_id, seq) DO UPDATE SET
    through_seq = excluded.through_seq, frames_done = excluded.frames_done, frames_error = excluded.frames_error,
    frames_lost = excluded.frames_lost, seconds = excluded.seconds, events = excluded.events
  WHERE excluded.through_seq > history.through_seq`;

/**
 * Store rows, and count what they add to the totals, in one transaction. Rejects when D1 does: then
 * none of it is stored, or all of it and the answer was lost. Rows of days whose events were
 * deleted are neither stored nor counted.
 */
export async function writeRows(db: D1Database, rows: readonly HistoryRow[]): Promise<void> {
  const longest = longestOfEach(rows);
  const counts = longest.map((row) => {
    const { events: _, type: __, ...counted } = row;
    return counted;
  });
  // All counts come first: they compare the rows with those that are stored.
  const statements = [
    ...chunksOfJson(counts).map((json) => db.prepare(COUNT).bind(json)),
    ...chunksOfJson(longest).map((json) => db.prepare(UPSERT).bind(json)),
  ];
  if (statements.length > 0) await db.batch(statements);
}

/** The rows without shorter ones of the same key, which would be counted as well. */
function longestOfEach(rows: readonly HistoryRow[]): HistoryRow[] {
  const byKey = new Map<string, HistoryRow>();
  for (const row of rows) {
    const key = `${row.task_id}/${row.seq}`;
    const other = byKey.get(key);
    if (!other || row.through_seq > other.through_seq) byKey.set(key, row);
  }
  return [...byKey.values()];
}

/**
 * Texts for one bound value each: JSON arrays that hold the rows in order, each below STATEMENT_BYTES unless a single row is
 * larger.
 */
export function chunksOfJson(rows: readonly object[]): string[] {
  const chunks: string[][] = [];
  let bytes = Infinity;
  for (const row of rows) {
    const json = JSON.stringify(row);
    const size = new TextEncoder().encode(json).length + 1;
    if (bytes + size > STATEMENT_BYTES) {
      chunks.push([]);
      bytes = 0;
    }
    chunks.at(-1)!.push(json);
    bytes += size;
  }
  return chunks.map((chunk) => `[${chunk.join(",")}]`);
}

/** Which events to read. Absent fields do not restrict. */
export interface EventFilter {
  task_id?: number;
  worker_id?: number;
  kind?: EventKind;
  /** The task's type: the name of its compiler. */
  type?: string;
  /** Events at or after this instant. */
  sinceMs?: number;
  /** Events at or before this instant. */
  untilMs?: number;
}

const COUNTED = { done: "frames_done", error: "frames_error", lost: "frames_lost" } as const;

/**
 * Up to `limit` rows strictly after `after` in reading order (by the row's first event), with their
 * events that pass the filter and come strictly after `before`.
 */
async function readRows(
  db: D1Database,
  filter: EventFilter,
  range: { after: EventKey; before: EventKey; limit: number },
): Promise<ReadRow[]> {
  const values: (number | string)[] = [];
  const bind = (value: number | string): string => `?${values.push(value)}`;
  const rowKey = (key: EventKey): string => `(${bind(key.at_ms)}, ${bind(key.task_id)}, ${bind(key.seq)})`;

  const row = [`(from_ms, task_id, seq) < ${rowKey(range.after)}`];
  const event = [`(value ->> 'at_ms', task_id, value ->> 'seq') < ${rowKey(range.before)}`];
  if (filter.task_id !== undefined) row.push(`task_id = ${bind(filter.task_id)}`);
  if (filter.worker_id !== undefined) row.push(`worker_id = ${bind(filter.worker_id)}`);
  if (filter.type !== undefined) row.push(`type = ${bind(filter.type)}`);
  if (filter.sinceMs !== undefined) {
    row.push(`from_ms >= ${bind(filter.sinceMs - ROW_SPAN_MS)}`);
    event.push(`value ->> 'at_ms' >= ${bind(filter.sinceMs)}`);
  }
  if (filter.untilMs !== undefined) {
    row.push(`from_ms <= ${bind(filter.untilMs)}`);
    event.push(`value ->> 'at_ms' <= ${bind(filter.untilMs)}`);
  }
  if (filter.kind !== undefined) {
    event.push(`value ->> 'kind' = ${bind(filter.kind)}`);
    // A filter on the row spares reading the events of most.
    row.push(isAboutFrames(filter.kind) ? `${COUNTED[filter.kind]} > 0` : "worker_id IS NULL");
  }
  const { results } = await db
    .prepare(
      // The inner query names rows by the index alone where it can; only rows that were picked are
      // looked up.
      `SELECT picked.from_ms AS at_ms, task_id, seq,
         (SELECT json_group_array(json(value)) FROM json_each(history.events) WHERE ${event.join(" AND ")}) AS events
       FROM (
         SELECT from_ms, task_id, seq FROM history WHERE ${row.join(" AND ")}
         ORDER BY from_ms DESC, task_id DESC, seq DESC LIMIT ${bind(range.limit)}
       ) AS picked JOIN history USING (task_id, seq)
       ORDER BY picked.from_ms DESC, task_id DESC, seq DESC`,
    )
    .bind(...values)
    .all<EventKey & { events: string }>();
  return results.map(({ at_ms, task_id, seq, events }) => ({
    at_ms,
    task_id,
    seq,
    events: JSON.parse(events) as HistoryEvent[],
  }));
}

/** A page from D1. `start` is NEWEST or the `next` of the page before. */
export async function queryEvents(
  db: D1Database,
  filter: EventFilter,
  start: EventKey,
  limit: number,
): Promise<EventPage> {
  return await readPage(start, limit, (after, rows) => readRows(db, filter, { after, before: start, limit: rows }));
}

/** All events from the newest on, in portions of some thousands. */
export function queryAllEvents(db: D1Database, filter: EventFilter): AsyncGenerator<HistoryEvent[]> {
  return readAll((after, limit) => readRows(db, filter, { after, before: NEWEST, limit }));
}

/** The instant before which events were deleted, or are about to be; null when all are kept. */
export async function queryKeptFrom(db: D1Database): Promise<number | null> {
  const row = await db.prepare("SELECT from_ms FROM history_kept").first<{ from_ms: number }>();
  return row && row.from_ms > 0 ? row.from_ms : null;
}
