/**
 * SQL of the totals in D1: `history_open_days` (by task, while a day is open) and `history_days`
 * (packed). `totals.ts` adds them up; decision 018 says why they look like this.
 *
 * A write of events counts what it adds, in the same transaction: what a row has now, minus what
 * the stored row of the same key had. So a row that is written twice, grows, or arrives late is
 * counted once, like its events (P7).
 */
import type { DayTotal, WorkerTotal } from "../protocol/history.ts";
import { dayOf, dayTotals, WorkerTotals, type OpenDay, type PackedDay } from "./totals.ts";

/**
 * Rows of days before this instant were deleted. Nothing is stored or counted before it: of an
 * event that comes so late nobody can say any more whether it was counted.
 */
export const KEPT_FROM = "coalesce((SELECT from_ms FROM history_kept), 0)";

/**
 * Count rows that are about to be written: `?1` is their JSON, without their events. Run it before
 * the rows are written, in the same batch. `through_seq` tells the triggers of the schema that
 * these rows are counted.
 */
export const COUNT = `
  WITH added AS (
    SELECT row.value ->> 'from_ms' / 86400000 AS day, row.value ->> 'task_id' AS task_id,
      coalesce(row.value ->> 'worker_id', 0) AS worker, max(row.value ->> 'through_seq') AS through_seq,
      sum(row.value ->> 'frames_done' - coalesce(stored.frames_done, 0)) AS frames,
      sum(row.value ->> 'frames_error' - coalesce(stored.frames_error, 0)) AS errors,
      sum(row.value ->> 'frames_lost' - coalesce(stored.frames_lost, 0)) AS lost,
      sum(row.value ->> 'seconds' - coalesce(stored.seconds, 0)) AS seconds,
      max(row.value ->> 'from_ms') AS last_ms
    FROM json_each(?1) AS row LEFT JOIN history AS stored
      ON stored.task_id = row.value ->> 'task_id' AND stored.seq = row.value ->> 'seq'
    WHERE row.value ->> 'through_seq' > coalesce(stored.through_seq, 0) AND row.value ->> 'from_ms' >= ${KEPT_FROM}
    GROUP BY 1, 2, 3
  )
  INSERT INTO history_open_days (day, task_id, through_seq, entries)
  SELECT day, task_id, max(through_seq), json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms))
  FROM added GROUP BY day, task_id
  ON CONFLICT (day, task_id) DO UPDATE SET
    through_seq = max(history_open_days.through_seq, excluded.through_seq),
    entries = (
      SELECT json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms)) FROM (
        SELECT value ->> 0 AS worker, sum(value ->> 1) AS frames, sum(value ->> 2) AS errors, sum(value ->> 3) AS lost,
          sum(value ->> 4) AS seconds, max(value ->> 5) AS last_ms
        FROM (SELECT value FROM json_each(history_open_days.entries)
          UNION ALL SELECT value FROM json_each(excluded.entries))
        GROUP BY worker
      )
    )`;

/**
 * Totals of each UTC day that has events at or after `sinceMs` and before `untilMs`, oldest first.
 * Both are midnights. Reads a row for each packed day, and one for each task of the others.
 */
export async function queryDays(db: D1Database, sinceMs: number, untilMs: number): Promise<DayTotal[]> {
  const span = [dayOf(sinceMs), dayOf(untilMs)];
  const [packed, open] = await db.batch([
    db
      .prepare(
        `SELECT day, frames, errors, lost, seconds, workers, tasks,
           CASE WHEN day IN (SELECT day FROM history_open_days WHERE day >= ?1 AND day < ?2) THEN entries END AS entries
         FROM history_days WHERE day >= ?1 AND day < ?2 ORDER BY day`,
      )
      .bind(...span),
    db.prepare("SELECT day, task_id, entries FROM history_open_days WHERE day >= ?1 AND day < ?2").bind(...span),
  ]);
  return dayTotals(packed!.results as PackedDay[], open!.results as OpenDay[]);
}

/**
 * The longest list of workers: those with the fewest frames are left out, because the answer is one
 * page.
 */
const MAX_WORKERS = 10_000;
/**
 * Days that are read at once. An item of a worker has about 70 bytes: 32 days of 10,000 workers are
 * 22 MB, and an isolate has 128.
 */
const PAGE_DAYS = 32;

/**
 * What each worker did on the days from `sinceMs` until before `untilMs`, the busiest first. Both
 * are midnights. Reads as many rows as `queryDays`.
 */
export async function queryWorkers(db: D1Database, sinceMs: number, untilMs: number): Promise<WorkerTotal[]> {
  const totals = new WorkerTotals();
  const end = dayOf(untilMs);
  for (let day = dayOf(sinceMs); day < end; day += PAGE_DAYS) {
    const span = [day, Math.min(end, day + PAGE_DAYS)];
    // One batch, so that a day is not packed between the two.
    const [packed, open] = await db.batch([
      db.prepare("SELECT entries FROM history_days WHERE day >= ?1 AND day < ?2").bind(...span),
      db.prepare("SELECT day, task_id, entries FROM history_open_days WHERE day >= ?1 AND day < ?2").bind(...span),
    ]);
    totals.add(packed!.results as PackedDay[], open!.results as OpenDay[]);
  }
  return totals.list(MAX_WORKERS);
}

/** One row of a day from its open rows and the row it may have already. */
const PACK = `
  WITH part AS (
    SELECT entry.value ->> 0 AS worker, entry.value ->> 1 AS frames, entry.value ->> 2 AS errors, entry.value ->> 3 AS lost,
      entry.value ->> 4 AS seconds, entry.value ->> 5 AS last_ms
    FROM history_open_days AS open, json_each(open.entries) AS entry WHERE open.day = ?1
    UNION ALL
    SELECT entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3, entry.value ->> 4, entry.value ->> 5
    FROM history_days AS packed, json_each(packed.entries) AS entry WHERE packed.day = ?1
  ), task AS (
    SELECT entry.value ->> 0 AS worker, open.task_id AS id
    FROM history_open_days AS open, json_each(open.entries) AS entry WHERE open.day = ?1
    UNION
    SELECT entry.value ->> 0, id.value
    FROM history_days AS packed, json_each(packed.entries) AS entry, json_each(entry.value, '$[6]') AS id WHERE packed.day = ?1
  )
  INSERT INTO history_days (day, frames, errors, lost, seconds, workers, tasks, entries)
  SELECT ?1, sum(frames), sum(errors), sum(lost), sum(seconds), count(nullif(worker, 0)), (SELECT count(DISTINCT id) FROM task),
    json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms, json(tasks)))
  FROM (
    SELECT worker, sum(frames) AS frames, sum(errors) AS errors, sum(lost) AS lost, sum(seconds) AS seconds, max(last_ms) AS last_ms
    FROM part GROUP BY worker
  ) JOIN (SELECT worker, json_group_array(id) AS tasks FROM task GROUP BY worker) USING (worker)
  HAVING count(*) > 0
  ON CONFLICT (day) DO UPDATE SET frames = excluded.frames, errors = excluded.errors, lost = excluded.lost,
    seconds = excluded.seconds, workers = excluded.workers, tasks = excluded.tasks, entries = excluded.entries`;

/**
 * Days that one run packs, with two queries each (`daily-jobs.ts` adds up). A farm that was upgraded
 * has many, and packing is not urgent: until then their totals are read from more rows.
 */
const PACK_DAYS = 5;

/**
 * Pack the oldest days that are over at `nowMs`. Each is packed in a transaction: interrupted at
 * any point, the next run goes on.
 */
export async function packDays(db: D1Database, nowMs: number): Promise<number> {
  const { results } = await db
    .prepare("SELECT DISTINCT day FROM history_open_days WHERE day < ?1 ORDER BY day LIMIT ?2")
    .bind(dayOf(nowMs), PACK_DAYS)
    .all<{ day: number }>();
  for (const { day } of results) {
    await db.batch([db.prepare(PACK).bind(day), db.prepare("DELETE FROM history_open_days WHERE day = ?1").bind(day)]);
  }
  return results.length;
}
