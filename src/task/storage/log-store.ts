/**
 * The task's log: what its processes printed, in batches as workers send them, of bounded size. What a
 * failed attempt printed is kept longer than the rest: otherwise a few chatty frames push out the line
 * that says why another one failed.
 */
import { all, first, run } from "../../platform/sql.ts";
import { plainText } from "../../protocol/fields.ts";
import type { LogPage } from "../../protocol/task.ts";

/** The characters that one task keeps; the oldest are deleted first. */
const MAX_LOG_CHARS = 4_000_000;
/**
 * A log that is too long is cut down to this. Closer to the limit: every batch deletes rows, which
 * are billed.
 */
const TRIMMED_LOG_CHARS = 3_500_000;
/** Of those, failed attempts keep at most this; the newest come first. */
const FAILED_LOG_CHARS = 1_500_000;
/** A row may hold 2 MB, a character may take 4 bytes. */
const MAX_ENTRY_CHARS = 250_000;
/**
 * A person who has read the log within this time is taken to be reading on, so workers send it
 * sooner.
 */
const FOLLOWED_FOR_MS = 30_000;

export class TaskLog {
  readonly #sql: SqlStorage;
  /** Characters in the rows; null until they are counted. */
  #chars: number | null = null;
  /** Whether rows have been deleted; null until it is looked up. */
  #dropped: boolean | null = null;
  #readMs = -Infinity;
  /** The attempts of frames that failed, and were not rendered since. */
  readonly #failedAttempts: () => ReadonlySet<number>;
  #listener: () => void = () => undefined;

  /** `failedAttempts`: asked when the log is cut down. */
  constructor(sql: SqlStorage, failedAttempts: () => ReadonlySet<number>) {
    this.#sql = sql;
    this.#failedAttempts = failedAttempts;
  }

  /** Call `listener` each time before text is appended. */
  beforeAppend(listener: () => void): void {
    this.#listener = listener;
  }

  /**
   * Append text. Escape sequences and other control characters are removed, so that a log cannot
   * control a terminal.
   */
  append(nowMs: number, workerId: number | null, attempt: number | null, text: string): void {
    const clean = plainText(text);
    if (clean === "") return;
    this.#listener();
    this.#chars ??= first<{ chars: number }>(
      this.#sql,
      "SELECT coalesce(sum(length(text)), 0) AS chars FROM log",
    )!.chars;
    for (let at = 0; at < clean.length; at += MAX_ENTRY_CHARS) {
      const piece = clean.slice(at, at + MAX_ENTRY_CHARS);
      run(
        this.#sql,
        "INSERT INTO log (at_ms, worker_id, attempt, text) VALUES (?, ?, ?, ?)",
        nowMs,
        workerId,
        attempt,
        piece,
      );
      this.#chars += piece.length;
    }
    if (this.#chars > MAX_LOG_CHARS) this.#trim();
  }

  /** Whether a person reads it again and again. */
  followed(nowMs: number): boolean {
    return nowMs - this.#readMs < FOLLOWED_FOR_MS;
  }

  /** Memory was discarded: rows of the log may have been taken back with it. */
  discarded(): void {
    this.#chars = null;
    this.#dropped = null;
  }

  /** Delete the oldest rows, and those of failed attempts last. */
  #trim(): void {
    const rows = all<LogRow>(this.#sql, "SELECT seq, attempt, length(text) AS chars FROM log ORDER BY seq");
    const kept = keptRows(rows, this.#failedAttempts());
    for (const { seq, chars } of rows) {
      if (this.#chars! <= TRIMMED_LOG_CHARS) return;
      if (kept.has(seq)) continue;
      run(this.#sql, "DELETE FROM log WHERE seq = ?", seq);
      this.#chars! -= chars;
      this.#dropped = true;
    }
  }

  /**
   * Entries after `after`, or the last `tail`; at most `limit`. `nowMs`: given when a person reads,
   * who may read on.
   */
  read(query: { after?: number; tail?: number; limit: number }, nowMs?: number): LogPage {
    if (nowMs !== undefined) this.#readMs = nowMs;
    const columns = "SELECT seq, at_ms, worker_id, attempt, text FROM log";
    type Row = LogPage["lines"][number];
    const lines =
      query.tail === undefined
        ? all<Row>(this.#sql, `${columns} WHERE seq > ? ORDER BY seq LIMIT ?`, query.after ?? 0, query.limit)
        : all<Row>(
            this.#sql,
            `${columns} WHERE seq > ? ORDER BY seq DESC LIMIT ?`,
            query.after ?? 0,
            Math.min(query.tail, query.limit),
          ).reverse();
    this.#dropped ??=
      first<{ missing: number }>(this.#sql, "SELECT coalesce(max(seq), 0) - count(*) AS missing FROM log")!.missing > 0;
    return { lines, next: lines.at(-1)?.seq ?? query.after ?? 0, dropped: this.#dropped };
  }
}

type LogRow = {
  seq: number;
  attempt: number | null;
  chars: number;
};

/** The rows of failed attempts that are kept: whole attempts, the newest first, while they have room. */
function keptRows(rows: readonly LogRow[], failed: ReadonlySet<number>): Set<number> {
  const byAttempt = new Map<number, LogRow[]>();
  for (const row of rows)
    if (row.attempt !== null && failed.has(row.attempt))
      byAttempt.set(row.attempt, [...(byAttempt.get(row.attempt) ?? []), row]);
  const kept = new Set<number>();
  let left = FAILED_LOG_CHARS;
  for (const [, its] of [...byAttempt].sort(([a], [b]) => b - a)) {
    left -= its.reduce((sum, { chars }) => sum + chars, 0);
    if (left < 0) break;
    for (const { seq } of its) kept.add(seq);
  }
  return kept;
}
