/**
 * From a task's outbox to D1: at least once on the wire, exactly once to the reader (P7).
 *
 * A try writes a prefix of what is waiting, grouped into rows whose key is their first event. Grouping looks only at what came
 * before, so a longer prefix gives the same rows or supersets of them under the same keys. A try whose reply is lost starts
 * again at the same event with the same or a longer prefix, and overwrites. A write that arrives late, after its successor,
 * changes nothing: a row only ever grows (`store.ts`).
 *
 * DRAIN_EVENTS may be raised but never lowered, and the rules of `startsRow` may not change, while any outbox still holds events
 * of an unanswered try: a reader could then see an event twice.
 */
import { batchRows, type HistoryRow } from "../protocol/history-rows.ts";
import type { HistoryEvent } from "../protocol/history.ts";

/** Events one try takes from the outbox. */
export const DRAIN_EVENTS = 500;
/** How long events may wait to share a row. With chunks of one short frame this is what keeps D1 cheap. */
export const DRAIN_AFTER_MS = 30_000;
/** Waits after failures: full jitter between the two. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 300_000;
/** D1 stalls now and then for a minute; the alarm that drains has leases to look after and does not wait that long. */
const WRITE_TIMEOUT_MS = 5_000;
/** After this a run leaves the rest to the next one. */
const RUN_MS = 10_000;

/** What a drain needs from its object. */
export interface OutboxDeps {
  /** The oldest events still in the outbox, ascending, at most `limit`. */
  read(limit: number): HistoryEvent[];
  /** Forget events up to and including this one: they are in D1. */
  remove(throughSeq: number): void;
  /** Store rows, all or nothing. */
  write(rows: HistoryRow[]): Promise<void>;
  nowMs(): number;
  /** For the jitter; from 0 up to 1. */
  random?(): number;
}

export interface DrainResult {
  /** Tries in a row that failed; hand it back to the next run. */
  failures: number;
  /** When to run again for what is known to be waiting; null when this run reached the end of the outbox. */
  retryAtMs: number | null;
  /** Events that left the outbox. */
  drained: number;
}

/**
 * Move what is in the outbox to D1, in tries of DRAIN_EVENTS, for at most RUN_MS. Never throws and never drops an event. One run
 * at a time per object. Events that arrive meanwhile are left for the object's next wake, so that they share a row.
 */
export async function drainOutbox(state: { failures: number }, deps: OutboxDeps): Promise<DrainResult> {
  const startMs = deps.nowMs();
  let drained = 0;
  for (;;) {
    const events = deps.read(DRAIN_EVENTS);
    const last = events.at(-1);
    if (!last) return { failures: 0, retryAtMs: null, drained };
    try {
      await within(WRITE_TIMEOUT_MS, deps.write(batchRows(events)));
    } catch {
      const failures = state.failures + 1;
      return {
        failures,
        retryAtMs: deps.nowMs() + backoffMs(failures, deps.random ? deps.random() : Math.random()),
        drained,
      };
    }
    deps.remove(last.seq);
    drained += events.length;
    state = { failures: 0 };
    if (events.length < DRAIN_EVENTS) return { failures: 0, retryAtMs: null, drained };
    if (deps.nowMs() - startMs >= RUN_MS) return { failures: 0, retryAtMs: deps.nowMs(), drained };
  }
}

/** Wait after `failures` tries in a row, with `random` in [0, 1). */
export function backoffMs(failures: number, random: number): number {
  const ceilingMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 30));
  return Math.floor(RETRY_MIN_MS + random * (ceilingMs - RETRY_MIN_MS));
}

function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    void promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
