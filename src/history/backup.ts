/**
 * The history in backups: rows of events, and the packed totals of days whose events were deleted.
 * The totals of all other days are not in a backup: they are counted anew from the rows of events.
 *
 * A restore takes the totals first. They say where the history begins, and rows of events before
 * that are then neither stored nor counted (`store.ts`).
 */
import type { BackupRow, PackedDayRow } from "../protocol/backup.ts";
import { chunksOfJson } from "./store.ts";
import { KEPT_FROM } from "./totals-store.ts";
import { dayOf } from "./totals.ts";

/**
 * Bytes of a page. A year of a hundred workers would be half a million pages of a hundred rows; a
 * page of several MB takes more of the processor's time than the free plan allows a request.
 */
const PAGE_BYTES = 1_000_000;
/** Rows that are looked at for one page. A row has at least this many bytes besides its JSON. */
const PAGE_ROWS = 10_000;
const ROW_BYTES = 100;

export interface HistoryBackupPage {
  rows: BackupRow[];
  /** Where the next page begins; null at the end. */
  cursor: string | null;
}

/**
 * A page of rows of events, in the order of their keys. `cursor`: that of the page before; null for
 * the first. Answers null for a cursor that no page had.
 */
export async function historyPage(db: D1Database, cursor: string | null): Promise<HistoryBackupPage | null> {
  const after = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor ?? "0.0");
  if (!after) return null;
  const { results } = await db
    .prepare(
      `WITH page AS (
         SELECT task_id, seq, count(*) OVER () AS found,
           sum(octet_length(events) + ${ROW_BYTES}) OVER (ORDER BY task_id, seq) AS bytes
         FROM (
           SELECT task_id, seq, events FROM history WHERE (task_id, seq) > (?1, ?2) AND from_ms >= ${KEPT_FROM}
           ORDER BY task_id, seq LIMIT ?3
         )
       )
       SELECT history.*, page.found FROM page JOIN history USING (task_id, seq)
       WHERE page.bytes <= ?4 ORDER BY task_id, seq`,
    )
    .bind(Number(after[1]), Number(after[2]), PAGE_ROWS, PAGE_BYTES)
    .all<BackupRow[1] & { found: number }>();
  const rows = results.map((result): BackupRow => {
    const { found: _, ...row } = result;
    return ["history", row];
  });
  const last = results.at(-1);
  const isEnd = !last || (results.length === last.found && last.found < PAGE_ROWS);
  return { rows, cursor: isEnd ? null : `${last["task_id"]}.${last["seq"]}` };
}

/**
 * A page of the totals of days whose events were deleted; the first page begins with where the
 * history begins. Empty while nothing was deleted. Answers null for a cursor that no page had.
 */
export async function totalsPage(db: D1Database, cursor: string | null): Promise<HistoryBackupPage | null> {
  if (cursor !== null && !/^\d{1,9}$/.test(cursor)) return null;
  const kept = await db.prepare(`SELECT ${KEPT_FROM} AS from_ms`).first<{ from_ms: number }>();
  if (!kept || kept.from_ms === 0) return { rows: [], cursor: null };
  const { results } = await db
    .prepare(
      `SELECT day, frames, errors, lost, seconds, workers, tasks, entries FROM (
         SELECT *, sum(octet_length(entries) + ${ROW_BYTES}) OVER (ORDER BY day) - octet_length(entries) AS bytes_before
         FROM history_days WHERE day > ?1 AND day < ?2
       ) WHERE bytes_before <= ?3 ORDER BY day`,
    )
    .bind(cursor === null ? -1 : Number(cursor), dayOf(kept.from_ms), PAGE_BYTES)
    .all<BackupRow[1]>();
  const rows = results.map((row): BackupRow => ["history_days", row]);
  if (cursor === null) rows.unshift(["history_kept", { from_ms: kept.from_ms }]);
  const last = results.at(-1);
  return { rows, cursor: last ? String(last["day"]) : null };
}

const RESTORE_DAYS = `
  INSERT OR REPLACE INTO history_days (day, frames, errors, lost, seconds, workers, tasks, entries)
  SELECT value ->> 'day', value ->> 'frames', value ->> 'errors', value ->> 'lost', value ->> 'seconds',
    value ->> 'workers', value ->> 'tasks', value -> 'entries'
  FROM json_each(?1)`;

/** Rows of the totals of a backup, as `totalsPage` gave them. */
export interface RestoredTotals {
  /** Where the history begins, when the rows say so. */
  keptFromMs: number | null;
  days: readonly PackedDayRow[];
}

/** Store totals of a backup, all or nothing. Storing them again changes nothing. */
export async function restoreTotals(db: D1Database, { keptFromMs, days }: RestoredTotals): Promise<void> {
  const statements: D1PreparedStatement[] = [];
  if (keptFromMs !== null) {
    statements.push(
      db.prepare("UPDATE history_kept SET from_ms = max(from_ms, ?1)").bind(keptFromMs),
      db.prepare("DELETE FROM history_open_days WHERE day < ?1").bind(dayOf(keptFromMs)),
    );
  }
  statements.push(...chunksOfJson(days).map((json) => db.prepare(RESTORE_DAYS).bind(json)));
  if (statements.length > 0) await db.batch(statements);
}
