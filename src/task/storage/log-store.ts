/** The task's log: what its processes printed, in batches as workers send them, of bounded size. */
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
  #readMs = -Infinity;
  #listener: () => void = () => undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
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
  }

  #trim(): void {
    for (const { seq, chars } of all<{ seq: number; chars: number }>(
      this.#sql,
      "SELECT seq, length(text) AS chars FROM log ORDER BY seq",
    )) {
      if (this.#chars! <= TRIMMED_LOG_CHARS) return;
      run(this.#sql, "DELETE FROM log WHERE seq = ?", seq);
      this.#chars! -= chars;
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
    const oldest = first<{ seq: number }>(this.#sql, "SELECT seq FROM log ORDER BY seq LIMIT 1");
    return { lines, next: lines.at(-1)?.seq ?? query.after ?? 0, dropped: (oldest?.seq ?? 1) > 1 };
  }
}
