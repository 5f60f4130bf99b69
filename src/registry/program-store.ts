/** Rows about the programs that workers run: those that renew themselves (`program-rollout.ts`). */
import { all, run } from "../platform/sql.ts";
import type { WorkerProgram } from "./program-rollout.ts";

type Row = {
  worker: number;
  running: string;
  since_ms: number;
  proven: number;
  failed: string | null;
  allowed: string | null;
  allowed_ms: number;
  seen_ms: number;
};

export class ProgramStore {
  readonly #sql: SqlStorage;
  /** Every list of workers needs it. Undefined: it is to be read. */
  #failed: Map<number, string> | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** All of them; their number is that of the workers. */
  list(): WorkerProgram[] {
    return all<Row>(this.#sql, "SELECT * FROM worker_programs").map((row) => ({
      worker: row.worker,
      running: row.running,
      sinceMs: row.since_ms,
      proven: row.proven === 1,
      failed: row.failed,
      allowed: row.allowed,
      allowedMs: row.allowed_ms,
      seenMs: row.seen_ms,
    }));
  }

  /** The program from which this worker went back; null: none. */
  failedOf(worker: number): string | null {
    this.#failed ??= new Map(this.list().flatMap((one) => (one.failed === null ? [] : [[one.worker, one.failed]])));
    return this.#failed.get(worker) ?? null;
  }

  /** Discard what was read from rows. */
  forget(): void {
    this.#failed = undefined;
  }

  /** Write one. */
  put({ worker, running, sinceMs, proven, failed, allowed, allowedMs, seenMs }: WorkerProgram): void {
    this.forget();
    run(
      this.#sql,
      "INSERT OR REPLACE INTO worker_programs (worker, running, since_ms, proven, failed, allowed, allowed_ms, seen_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      worker,
      running,
      sinceMs,
      proven ? 1 : 0,
      failed,
      allowed,
      allowedMs,
      seenMs,
    );
  }

  /** The worker was removed. */
  remove(worker: number): void {
    this.forget();
    run(this.#sql, "DELETE FROM worker_programs WHERE worker = ?", worker);
  }
}
