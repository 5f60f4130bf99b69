/** SQL of the table `history` in D1: the outboxes of tasks write it, people read it. */
import type { DayTotal, EventKind, HistoryEvent, WorkerTotal } from "../protocol/history.ts";
import { readPage, type EventKey, type EventPage, type ReadRow } from "./event-page.ts";
import { isAboutFrames, ROW_SPAN_MS, type HistoryRow } from "../protocol/history-rows.ts";

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
  FROM json_each(?) WHERE true
  ON CONFLICT (task_id, seq) DO UPDATE SET
    through_seq = excluded.through_seq, frames_done = excluded.frames_done, frames_error = excluded.frames_error,
    frames_lost = excluded.frames_lost, seconds = excluded.seconds, events = excluded.events
  WHERE excluded.through_seq > history.through_seq`;

/**
 * Store rows in one transaction. Rejects when D1 does: then none of them is stored, or all of them
 * and the answer was lost.
 */
export async function writeRows(db: D1Database, rows: readonly HistoryRow[]): Promise<void> {
  const statements = chunksOfJson(rows).map((json) => db.prepare(UPSERT).bind(json));
  if (statements.length > 0) await db.batch(statements);
}

/**
 * JSON arrays that hold the rows in order, each below STATEMENT_BYTES unless a single row is
 * larger.
 */
function chunksOfJson(rows: readonly HistoryRow[]): string[] {
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

/**
 * Totals of each UTC day that has events at or after `sinceMs` and before `untilMs`, oldest first.
 * Rows never cross midnight.
 */
export async function queryDays(db: D1Database, sinceMs: number, untilMs: number): Promise<DayTotal[]> {
  const { results } = await db
    .prepare(
      `SELECT date(from_ms / 1000, 'unixepoch') AS day, sum(frames_done) AS frames, sum(frames_error) AS errors,
         sum(frames_lost) AS lost, sum(seconds) AS seconds, count(DISTINCT worker_id) AS workers, count(DISTINCT task_id) AS tasks
       FROM history WHERE from_ms >= ?1 AND from_ms < ?2 GROUP BY day ORDER BY day`,
    )
    .bind(sinceMs, untilMs)
    .all<DayTotal>();
  return results;
}

/**
 * The longest list of workers: those with the fewest frames are left out, because the answer is one
 * page.
 */
const MAX_WORKERS = 10_000;

/**
 * What each worker did in rows that begin at or after `sinceMs` and before `untilMs`, the busiest
 * first.
 */
export async function queryWorkers(db: D1Database, sinceMs: number, untilMs: number): Promise<WorkerTotal[]> {
  const { results } = await db
    .prepare(
      `SELECT worker_id, sum(frames_done) AS frames, sum(frames_error) AS errors, sum(frames_lost) AS lost,
         sum(seconds) AS seconds, count(DISTINCT task_id) AS tasks, max(from_ms) AS last_ms
       FROM history WHERE from_ms >= ?1 AND from_ms < ?2 AND worker_id IS NOT NULL
       GROUP BY worker_id ORDER BY frames DESC, worker_id LIMIT ${MAX_WORKERS}`,
    )
    .bind(sinceMs, untilMs)
    .all<Omit<WorkerTotal, "frames_per_hour">>();
  return results.map((row) => ({
    ...row,
    frames_per_hour: row.seconds > 0 ? Math.round((row.frames / row.seconds) * 360_000) / 100 : null,
  }));
}
