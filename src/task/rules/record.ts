/**
 * Everything that a task's object knows besides the definition and the frame entries: one value,
 * stored as one row and as the deltas written after it (`storage/write-ahead-log.ts`). Property
 * names are the keys of the stored JSON, so they keep the words of earlier releases; the comments
 * give the term used elsewhere.
 */
import type { HistoryEvent, HistoryFailure } from "../../protocol/history.ts";
import type { TakenBack, TaskDefinition } from "../../rpc/task.ts";
import { EMPTY, type FrameSet } from "./frame-set.ts";
import { newLedger, type Ledger, type Terms } from "./ledger.ts";

/**
 * A report that did not reach the registry is sent again after this. Shorter: a registry that is
 * down is called for nothing.
 */
export const REPORT_RETRY_MS = 5_000;

/**
 * Deferred work: what the object owes to others, with the instants at which it is due. Stored, so
 * that none is forgotten.
 */
export interface DeferredState {
  created_ms: number;
  /** When the registry must be told again; null when it knows the present state. */
  report_due_ms: number | null;
  /** Workers that are online and able to do this task, as the registry last said (P6). */
  able_workers: number;
  /** Frames that were done or skipped since dependents in `same` mode were last updated. */
  news: FrameSet;
  /**
   * Frames that were taken back since dependents in `same` mode were last updated. Replaced, never
   * changed in place. Absent: none.
   */
  taken_back?: TakenBack[];
  /** When dependents must be updated; null when they know the present state. */
  news_due_ms: number | null;
  /** When the waiting history is written to D1; null when none waits. */
  outbox_due_ms: number | null;
  /** Writes to D1 that failed in a row. */
  outbox_failures: number;
  /** What the task says of its history; null or absent while there is nothing to say. */
  history_failure?: HistoryFailure | null;
  /**
   * Set while the task is being removed. The next step is due at `due_ms`; the files are deleted
   * once more at `until_ms`.
   */
  remove: { due_ms: number; until_ms: number } | null;
  /**
   * When the task became completed, failed or canceled; null while it has not ended. Absent in records
   * of releases before 0.2, until the status changes.
   */
  ended_ms?: number | null;
  /**
   * The last download of all files, and the version of the files that it was of. It counts while that
   * is still the version, so no call that commits a frame has to void it. Replaced, never changed in place.
   */
  downloaded?: { files_version: string; at_ms: number };
}

export interface TaskRecord {
  ledger: Ledger;
  /** Deferred work. */
  chores: DeferredState;
  /** Recent events: those that are neither in D1 nor in the outbox table yet, oldest first. */
  tail: HistoryEvent[];
  /** Generation of the task's share links: raising it voids all of them. Absent means 0. */
  shares?: number;
}

/** A task in memory: its definition, the terms derived from it, and its record. */
export interface LoadedTask {
  definition: TaskDefinition;
  terms: Terms;
  record: TaskRecord;
}

/**
 * The record of a task that has just been submitted. A report is due at once, because the first one
 * may fail.
 */
export function newRecord({ depends_on, paused }: TaskDefinition, nowMs: number): TaskRecord {
  return {
    ledger: newLedger(depends_on, paused, nowMs),
    chores: {
      created_ms: nowMs,
      report_due_ms: nowMs + REPORT_RETRY_MS,
      able_workers: 1,
      news: EMPTY,
      news_due_ms: null,
      outbox_due_ms: null,
      outbox_failures: 0,
      remove: null,
    },
    tail: [],
  };
}
