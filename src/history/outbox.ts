/**
 * From a task's outbox to D1: written at least once, read exactly once (P7).
 *
 * Within a drain:
 * - A try takes the oldest events that wait, at most DRAIN_EVENTS, and groups them into rows. The
 *   key of a row is its first event.
 * - Events leave the outbox only after D1 has stored their rows. Nothing is dropped, and no error
 *   is thrown.
 * - Events that arrive during a drain wait for the next one, so that they share a row.
 *
 * Across drains:
 * - Grouping looks only at earlier events. So a longer list of events gives the same rows, or
 *   supersets of them under the same keys.
 * - A try whose reply was lost is repeated from the same event with the same list or a longer one,
 *   and overwrites its rows.
 * - A write that arrives late, after its repetition, changes nothing: a row in D1 only grows
 *   (`store.ts`).
 *
 * The exception: while an outbox holds events of an unanswered try, DRAIN_EVENTS may be raised but
 * not lowered, and the rules of `startsRow` (`protocol/history-rows.ts`) may not change. Otherwise
 * a repetition groups the same events under other keys, and a reader sees an event twice.
 */
import { backoffMs } from "../lib/retry.ts";
import { batchRows, type HistoryRow } from "../protocol/history-rows.ts";
import type { HistoryEvent } from "../protocol/history.ts";

/** The most events of one try. May be raised, never lowered (see above). */
export const DRAIN_EVENTS = 500;
/**
 * How long events may wait to share a row. Shorter, a task of short frames writes a row of D1 for
 * every frame.
 */
export const DRAIN_AFTER_MS = 30_000;
/** Waits after failures. No person waits for history, and each try costs a query. */
export const OUTBOX_BACKOFF = { baseMs: 1_000, capMs: 300_000, jitter: "above base" } as const;
/**
 * D1 stalls for a minute now and then. The same alarm expires leases, so a drain must not hold it
 * for that long.
 */
const WRITE_TIMEOUT_MS = 5_000;
/** A drain of a long outbox stops after this and asks to be called again, for the same reason. */
const RUN_MS = 10_000;

/** What a drain needs from its object. */
export interface OutboxDependencies {
  /** The oldest events in the outbox, ascending, at most `limit`. */
  read(limit: number): HistoryEvent[];
  /** Delete events up to and including this one from the outbox: they are in D1. */
  remove(throughSeq: number): void;
  /** Store rows, all or nothing. */
  write(rows: HistoryRow[]): Promise<void>;
  nowMs(): number;
  /** For the jitter, in [0, 1). */
  random?: () => number;
}

export interface DrainResult {
  /** Failed tries in a row; pass it to the next drain. */
  failures: number;
  /**
   * When to drain again for events that are known to wait; null when this drain reached the end of
   * the outbox.
   */
  retryAtMs: number | null;
  /** How many events left the outbox. */
  drained: number;
}

/**
 * Move the outbox to D1, in tries of DRAIN_EVENTS, for at most RUN_MS. The caller runs one drain at
 * a time per object.
 */
export async function drainOutbox(state: { failures: number }, outbox: OutboxDependencies): Promise<DrainResult> {
  const startMs = outbox.nowMs();
  let drained = 0;
  for (;;) {
    const events = outbox.read(DRAIN_EVENTS);
    const last = events.at(-1);
    if (!last) return { failures: 0, retryAtMs: null, drained };
    try {
      await within(WRITE_TIMEOUT_MS, outbox.write(batchRows(events)));
    } catch {
      const failures = state.failures + 1;
      return {
        failures,
        retryAtMs: outbox.nowMs() + backoffMs(failures, { ...OUTBOX_BACKOFF, random: outbox.random ?? Math.random }),
        drained,
      };
    }
    outbox.remove(last.seq);
    drained += events.length;
    state = { failures: 0 };
    if (events.length < DRAIN_EVENTS) return { failures: 0, retryAtMs: null, drained };
    if (outbox.nowMs() - startMs >= RUN_MS) return { failures: 0, retryAtMs: outbox.nowMs(), drained };
  }
}

function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    void promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
