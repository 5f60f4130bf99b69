/**
 * Frames and seconds of the whole farm, one row for each UTC day. For the farm view; the history in
 * D1 has the details.
 */
import { first, run } from "../platform/sql.ts";
import type { Today } from "../protocol/live.ts";
import type { TaskTotals } from "../rpc/registry.ts";

const DAY_MS = 86_400_000;

export const NOTHING: TaskTotals = { done: 0, errors: 0, lost: 0, seconds: 0 };

/** What was done between two reports of a task. Never negative. */
export function difference(before: TaskTotals, after: TaskTotals): TaskTotals {
  return {
    done: Math.max(0, after.done - before.done),
    errors: Math.max(0, after.errors - before.errors),
    lost: Math.max(0, after.lost - before.lost),
    seconds: Math.max(0, after.seconds - before.seconds),
  };
}

type Row = { frames: number; errors: number; lost: number; seconds: number };

export class DailyTotals {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * Add to the day. Answers whether there was anything to add. Call inside the transaction of the
   * report.
   */
  add({ done, errors, lost, seconds }: TaskTotals, nowMs: number): boolean {
    if (done + errors + lost === 0) return false;
    run(
      this.#sql,
      `INSERT INTO days (day, frames, errors, lost, seconds) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (day) DO UPDATE SET frames = frames + excluded.frames, errors = errors + excluded.errors,
         lost = lost + excluded.lost, seconds = seconds + excluded.seconds`,
      Math.floor(nowMs / DAY_MS),
      done,
      errors,
      lost,
      seconds,
    );
    return true;
  }

  today(nowMs: number): Today {
    const day = Math.floor(nowMs / DAY_MS);
    const row = first<Row>(this.#sql, "SELECT frames, errors, lost, seconds FROM days WHERE day = ?", day);
    return {
      day: new Date(day * DAY_MS).toISOString().slice(0, 10),
      ...(row ?? { frames: 0, errors: 0, lost: 0, seconds: 0 }),
    };
  }

  /** Since the manager was set up. */
  ever(): TaskTotals {
    const row = first<TaskTotals & Record<string, number>>(
      this.#sql,
      `SELECT coalesce(sum(frames), 0) AS done, coalesce(sum(errors), 0) AS errors, coalesce(sum(lost), 0) AS lost,
         coalesce(sum(seconds), 0) AS seconds FROM days`,
    );
    return { ...NOTHING, ...row };
  }
}
