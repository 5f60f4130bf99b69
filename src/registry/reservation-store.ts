/**
 * Rows that make a submission idempotent: the submitter's own ids, and idempotency keys with their
 * retention.
 */
import { first, run } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Result } from "../lib/result.ts";
import type { Reservation } from "../rpc/registry.ts";
import { KEEP_MS, sweepDueMs } from "./retention.ts";
import { NEXT_VALUE } from "./schema.ts";

/** A submission that has its id creates its task within this, or never. */
const EXPECTED_MS = 86_400_000;

/** What identifies a submission. */
export interface SubmissionIdentity {
  owner: string;
  task_id: number | null;
  idempotency_key: string | null;
  body_sha256: string;
}

export class ReservationStore {
  readonly #sql: SqlStorage;
  /**
   * When the oldest key or tombstone was written; null when there is none; undefined until it has
   * been read.
   */
  #oldestMs: number | null | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * The id of this submission, a new one or the one it got before. Call inside a transaction: the
   * id and the keys that lead to it are written together. Refusal: `invalid` (the idempotency key
   * came with another body before).
   */
  reserve(submission: SubmissionIdentity, nowMs: number): Result<Reservation, Refusal> {
    const { owner, task_id, idempotency_key: key, body_sha256 } = submission;
    if (key !== null) {
      const row = first<{ id: number; body_sha256: string }>(
        this.#sql,
        "SELECT id, body_sha256 FROM submit_keys WHERE owner = ? AND key = ?",
        owner,
        key,
      );
      if (row && row.body_sha256 !== body_sha256) {
        return refuse(
          "invalid",
          "was used before with another body: a key stands for one submission",
          "Idempotency-Key",
        );
      }
      if (row) return this.#again(row.id, nowMs);
    }
    if (task_id !== null) {
      const row = first<{ id: number }>(
        this.#sql,
        "SELECT id FROM submitted_ids WHERE owner = ? AND task_id = ?",
        owner,
        task_id,
      );
      if (row) return this.#again(row.id, nowMs);
    }
    const id = first<{ value: number }>(this.#sql, NEXT_VALUE, "task")!.value;
    if (task_id !== null)
      run(this.#sql, "INSERT INTO submitted_ids (owner, task_id, id) VALUES (?, ?, ?)", owner, task_id, id);
    if (key !== null) {
      run(
        this.#sql,
        "INSERT INTO submit_keys (id, owner, key, body_sha256, at_ms) VALUES (?, ?, ?, ?, ?)",
        id,
        owner,
        key,
        body_sha256,
        nowMs,
      );
      if (this.#oldestMs === null) this.#oldestMs = undefined;
    }
    this.expect(id, nowMs);
    return { ok: true, value: { id, existing: false } };
  }

  /** The submission came before. Its task may have been removed, or never been created. */
  #again(id: number, nowMs: number): Result<Reservation, Refusal> {
    this.expect(id, nowMs);
    return { ok: true, value: { id, existing: true } };
  }

  /** The object of this id may hold a task from now on: see `unreported_tasks`. */
  expect(id: number, nowMs: number): void {
    run(
      this.#sql,
      `INSERT INTO unreported_tasks (id, at_ms) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = ?1)
       ON CONFLICT (id) DO UPDATE SET at_ms = excluded.at_ms`,
      id,
      nowMs,
    );
  }

  /**
   * These objects hold no task. Those whose id was given out just now stay: the task may be created
   * in a moment.
   */
  notThere(ids: readonly number[], nowMs: number): void {
    run(
      this.#sql,
      "DELETE FROM unreported_tasks WHERE id IN (SELECT value FROM json_each(?)) AND at_ms < ?",
      JSON.stringify(ids),
      nowMs - EXPECTED_MS,
    );
  }

  /**
   * Read the oldest row again when it is asked for: rows have been written elsewhere (a tombstone),
   * or discarded.
   */
  forget(): void {
    this.#oldestMs = undefined;
  }

  /**
   * When to call `sweep`; null when there is nothing to delete. Asked at every event, so the oldest
   * row is remembered.
   */
  get sweepMs(): number | null {
    if (this.#oldestMs === undefined) this.#oldestMs = this.#findOldest();
    return sweepDueMs(this.#oldestMs);
  }

  #findOldest(): number | null {
    const key = first<{ at_ms: number }>(this.#sql, "SELECT at_ms FROM submit_keys ORDER BY id LIMIT 1");
    const removed = first<{ at_ms: number }>(this.#sql, "SELECT at_ms FROM removed_tasks ORDER BY seq LIMIT 1");
    const times = [key, removed].filter((row) => row !== undefined).map((row) => row.at_ms);
    return times.length === 0 ? null : Math.min(...times);
  }

  /**
   * Delete what is older than KEEP_MS. Reads the rows that it deletes, and one more of each table.
   */
  sweep(nowMs: number): void {
    this.#oldestMs = undefined;
    const cutMs = nowMs - KEEP_MS;
    const key = first<{ id: number }>(
      this.#sql,
      "SELECT id FROM submit_keys WHERE at_ms >= ? ORDER BY id LIMIT 1",
      cutMs,
    );
    run(this.#sql, "DELETE FROM submit_keys WHERE id < ?", key?.id ?? Number.MAX_SAFE_INTEGER);
    const removed = first<{ seq: number }>(
      this.#sql,
      "SELECT seq FROM removed_tasks WHERE at_ms >= ? ORDER BY seq LIMIT 1",
      cutMs,
    );
    run(this.#sql, "DELETE FROM removed_tasks WHERE seq < ?", removed?.seq ?? Number.MAX_SAFE_INTEGER);
  }
}
