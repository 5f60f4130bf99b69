/** The task's log: what its processes printed, in batches as workers send them, bounded. */
import { all, first, run } from "../../platform/sql.ts";
import { plainText } from "../../protocol/fields.ts";
import type { LogPage } from "../../protocol/task.ts";

/** What one task keeps; the oldest goes first. A row per batch is a billed row, so agents batch. */
export const MAX_LOG_CHARS = 4_000_000;
/** Cut down to this when over, so that trimming is rare. */
const TRIMMED_LOG_CHARS = 3_500_000;
/** A row may hold 2 MB, a character may take 4 bytes. */
const MAX_ENTRY_CHARS = 250_000;
/** Somebody who has read it so lately is likely to read on. */
const FOLLOWED_FOR_MS = 30_000;

export class TaskLog {
  readonly #sql: SqlStorage;
  /** Characters held; counted when first needed. */
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

  /** Append text; escape sequences and other control characters are taken out, so that a log cannot fool a terminal. */
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

  /** Whether somebody reads it again and again. */
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

  /** Entries after `after`, or the last `tail`; at most `limit`. `nowMs`: a person reads, and may come again. */
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
