/**
 * The daily care for the history in D1: events that are older than the farm keeps them are deleted,
 * and days that are over are packed. Totals stay.
 *
 * - Whole days are deleted, the oldest first, so that it can be said where the history begins.
 * - Where it begins is stored together with the first deletion. From then on nothing is stored or
 *   counted for those days: a row that comes once more cannot be told from a new one.
 * - A run is bounded, and may break off at any point: the next one goes on.
 * - Deleting comes first: in a database that is full, nothing else is sure to have room.
 */
import { isOutOfCalls } from "../platform/storage-failure.ts";
import { packDays } from "./totals-store.ts";
import { dayOf, startOfDay } from "./totals.ts";

/**
 * A run deletes at most two days, or further days until it has reached so many rows. A row costs
 * two written rows, and the free plan has 100,000 a day, which the next day's events need as well.
 * With one day a run, a history that is longer than the rule would never reach it.
 */
const RUN_DAYS = 2;
const RUN_ROWS = 20_000;
/**
 * Rows of one statement. D1 runs one statement at a time: with many more, the outboxes of tasks
 * would wait longer than they do.
 */
const SLICE_ROWS = 5_000;
/**
 * Statements with which a run deletes before its other work: `daily-jobs.ts` adds up what a run of
 * the free plan may do.
 */
const RUN_SLICES = 10;
/** Statements of `deleteOn`: a run has 15 minutes, and 1,000 queries to D1 on the paid plan. */
const MORE_SLICES = 190;

export interface Tidied {
  /** Rows of events that were deleted. More may be left: `deleteOn`. */
  deleted: number;
  /** The instant at which the kept events begin; 0 when none were ever deleted. */
  kept_from_ms: number;
  /** Days that were packed. */
  packed: number;
}

/**
 * Delete old events and pack days. `keepDays`: for how many days events are kept; null keeps those
 * that are there. Throws when D1 does.
 */
export async function tidyHistory(db: D1Database, keepDays: number | null, nowMs: number): Promise<Tidied> {
  const { fromMs, untilMs } = await beginning(db, keepDays, nowMs);
  let deleted = 0;
  if (untilMs > fromMs) {
    const [slice] = await db.batch([
      deletionBefore(db, untilMs),
      db.prepare("UPDATE history_kept SET from_ms = ?1 WHERE from_ms < ?1").bind(untilMs),
    ]);
    deleted = slice!.meta.changes;
  }
  // An earlier run may have broken off, so that something is left although nothing moves now.
  const slices = untilMs === 0 ? 0 : untilMs > fromMs ? RUN_SLICES - 1 : RUN_SLICES;
  for (let slice = 0; slice < slices; slice++) {
    const { meta } = await deletionBefore(db, untilMs).run();
    deleted += meta.changes;
    if (meta.changes < SLICE_ROWS) break;
  }
  return { deleted, kept_from_ms: untilMs, packed: await packDays(db, nowMs) };
}

/**
 * Delete on where `tidyHistory` stopped, for farms with more rows a day than it deletes. It must be
 * the last work of a run: it goes on until the platform allows no more queries, which is no failure.
 * `complete`: nothing before the instant is left. Throws when D1 does.
 */
export async function deleteOn(db: D1Database, keptFromMs: number): Promise<{ deleted: number; complete: boolean }> {
  let deleted = 0;
  try {
    for (let slice = 0; slice < MORE_SLICES; slice++) {
      const { meta } = await deletionBefore(db, keptFromMs).run();
      deleted += meta.changes;
      if (meta.changes < SLICE_ROWS) return { deleted, complete: true };
    }
  } catch (error) {
    if (!isOutOfCalls(error)) throw error;
  }
  return { deleted, complete: false };
}

/** Where the history begins now, and where it begins after this run. */
async function beginning(
  db: D1Database,
  keepDays: number | null,
  nowMs: number,
): Promise<{ fromMs: number; untilMs: number }> {
  const state = await db
    .prepare(
      `SELECT from_ms, deletes_after_ms, (SELECT min(from_ms) FROM history) AS oldest_ms,
         (SELECT min(day) FROM history_open_days) AS open_day FROM history_kept`,
    )
    .first<{ from_ms: number; deletes_after_ms: number; oldest_ms: number | null; open_day: number | null }>();
  if (!state) return { fromMs: 0, untilMs: 0 };
  const { from_ms: fromMs, deletes_after_ms: afterMs, oldest_ms: oldestMs, open_day: openDay } = state;
  if (keepDays === null || nowMs < afterMs || oldestMs === null) return { fromMs, untilMs: fromMs };
  // A backup takes the totals of deleted days from their packed rows.
  const limitMs = startOfDay(Math.min(dayOf(nowMs) - keepDays, openDay ?? Infinity));
  const beyond = await db
    .prepare("SELECT from_ms FROM history WHERE from_ms < ?1 ORDER BY from_ms LIMIT 1 OFFSET ?2")
    .bind(limitMs, RUN_ROWS)
    .first<{ from_ms: number }>();
  const runDay = beyond ? Math.max(dayOf(oldestMs) + RUN_DAYS, dayOf(beyond.from_ms)) : Infinity;
  return { fromMs, untilMs: Math.max(fromMs, Math.min(limitMs, startOfDay(runDay))) };
}

/** The deletion of the oldest rows before this instant, as far as one statement goes. */
function deletionBefore(db: D1Database, untilMs: number): D1PreparedStatement {
  return db
    .prepare(
      `DELETE FROM history WHERE (task_id, seq) IN (
         SELECT task_id, seq FROM history WHERE from_ms < ?1 ORDER BY from_ms LIMIT ?2)`,
    )
    .bind(untilMs, SLICE_ROWS);
}
