/**
 * From a task's outbox to D1: written at least once, read exactly once (P7).
 *
 * Within a drain:
 * - A try takes the oldest events that wait, at most DRAIN_EVENTS, and groups them into rows. The
 *   key of a row is its first event.
 * - Events leave the outbox only after D1 has stored their rows, and no error is thrown.
 * - An outbox that D1 does not empty is bounded: beyond MAX_WAITING_BYTES its oldest events are
 *   dropped, and counted. They are dropped by whole tries (DRAIN_EVENTS): the rows of an unanswered
 *   try may be stored, and a try from an event in the middle of it would group the rest anew.
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
import { messageOf } from "../lib/errors.ts";
import { backoffMs } from "../lib/retry.ts";
import { batchRows, type HistoryRow } from "../protocol/history-rows.ts";
import type { HistoryEvent, HistoryFailure } from "../protocol/history.ts";
import { isLastingRefusal } from "./refusal.ts";

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
 * The wait after a refusal that lasts (D1 is full, or its quota is used up). A try every second by
 * each task of the farm would only cost.
 */
const LASTING = { baseMs: 300_000, capMs: 360_000, jitter: "above base" } as const;
/**
 * The most bytes of events that wait in one object: about 180,000 events, or 18 hours of a task
 * that commits 10,000 frames an hour. Without it, a D1 that is full for ever would fill the
 * objects, too, and then frames could not be committed.
 */
export const MAX_WAITING_BYTES = 32_000_000;
/**
 * Tries that one drain drops at most. Each is a transaction; an object that is far above the bound,
 * because an earlier release had none, comes down to it in several drains.
 */
const MAX_DROPS = 20;
/**
 * So many failures in a row are said in the task. Fewer: every short stall of D1, of which nothing
 * remains, would be said.
 */
const SAID_AFTER = 3;
/** The longest reason that is kept. It is in every summary of the task. */
const REASON_CHARS = 200;
/**
 * A drain of a long outbox stops after this and asks to be called again: the same alarm expires
 * leases.
 */
const RUN_MS = 10_000;
/**
 * Tries of one drain. Each takes two to four queries to D1, and the free plan allows 50 in an event of
 * an object (https://developers.cloudflare.com/d1/platform/limits/); with more tries, the drain of a
 * long outbox would end in a refusal.
 */
const RUN_TRIES = 12;

/** What a drain needs from its object. */
export interface OutboxDependencies {
  /** The oldest events in the outbox, ascending, at most `limit`. */
  read(limit: number): HistoryEvent[];
  /** Delete events up to and including this one from the outbox: they are in D1. */
  remove(throughSeq: number): void;
  /**
   * Delete this many events, up to and including this one, and count them in the same transaction.
   */
  drop(throughSeq: number, events: number): void;
  /** Bytes of the events that wait. */
  waitingBytes(): number;
  /**
   * Store rows, all or nothing. Rejects soon, too, when D1 does not answer (`patient-writer.ts`).
   */
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
  /** How many events were written. */
  drained: number;
  /** Why the last try failed; null when it did not. */
  refusal: { reason: string; lasting: boolean } | null;
}

/**
 * Move the outbox to D1, in at most RUN_TRIES tries of DRAIN_EVENTS, for at most RUN_MS. The caller runs one drain at
 * a time per object.
 */
export async function drainOutbox(state: { failures: number }, outbox: OutboxDependencies): Promise<DrainResult> {
  const startMs = outbox.nowMs();
  const empty = { failures: 0, retryAtMs: null, refusal: null };
  let drained = 0;
  for (let tries = 1; ; tries++) {
    const events = outbox.read(DRAIN_EVENTS);
    const last = events.at(-1);
    if (!last) return { ...empty, drained };
    try {
      await outbox.write(batchRows(events));
    } catch (error) {
      dropOldest(outbox);
      return { drained, ...afterRefusal(error, state.failures + 1, outbox) };
    }
    outbox.remove(last.seq);
    drained += events.length;
    state = { failures: 0 };
    if (events.length < DRAIN_EVENTS) return { ...empty, drained };
    if (tries === RUN_TRIES || outbox.nowMs() - startMs >= RUN_MS)
      return { ...empty, retryAtMs: outbox.nowMs(), drained };
  }
}

function afterRefusal(error: unknown, failures: number, outbox: OutboxDependencies): Omit<DrainResult, "drained"> {
  const random = outbox.random ?? Math.random;
  const reason = messageOf(error).slice(0, REASON_CHARS);
  const lasting = isLastingRefusal(reason);
  const waitMs = lasting ? backoffMs(1, { ...LASTING, random }) : backoffMs(failures, { ...OUTBOX_BACKOFF, random });
  return { failures, retryAtMs: outbox.nowMs() + waitMs, refusal: { reason, lasting } };
}

/** Bring the outbox below its bound again. */
function dropOldest(outbox: OutboxDependencies): void {
  for (let drops = 0; drops < MAX_DROPS && outbox.waitingBytes() > MAX_WAITING_BYTES; drops++) {
    const events = outbox.read(DRAIN_EVENTS);
    if (events.length < DRAIN_EVENTS) return;
    outbox.drop(events.at(-1)!.seq, events.length);
  }
}

/**
 * What a task says of its history after a drain, given what it said before; null while there is
 * nothing to say. Events that were dropped are said for ever. Pure.
 */
export function historyFailure(
  before: HistoryFailure | null,
  { failures, refusal }: Pick<DrainResult, "failures" | "refusal">,
  nowMs: number,
): HistoryFailure | null {
  const dropped = before?.dropped ?? 0;
  if (!refusal) return dropped > 0 ? { since_ms: null, reason: null, dropped } : null;
  if (!refusal.lasting && failures < SAID_AFTER) return before;
  return { since_ms: before?.since_ms ?? nowMs, reason: refusal.reason, dropped };
}
