/**
 * What a render failure leads to (P6). Infrastructure loss never comes here: an expired or released lease puts its frames
 * back and blames nobody.
 */
import { format, setOf, union, type FrameSet } from "./frame-set.ts";
import { noteLease, type FailureRecord, type FrameEntry, type Ledger, type Transition } from "./ledger.ts";
import type { LiveLease } from "./lease-index.ts";

/** A worker that fails this often in a row on a task is kept off it for a while. */
export const BLOCKLIST_AFTER = 3;
/** First time; doubles each time up to the longest. Afanasy forgives after five hours. */
export const BLOCKLIST_MS = 5 * 60_000;
export const BLOCKLIST_MAX_MS = 5 * 3_600_000;
/** Once frames have been rendered, this many failures in a row (of any frames) stop the task: a person must look. */
export const STOP_AFTER = 30;

/** Whether the frame stops as failed: on `tries` different workers, or `tries` times where fewer workers exist. */
export function isFinal(failures: readonly [number, number][], tries: number, ableWorkers: number): boolean {
  const times = failures.reduce((sum, [, count]) => sum + count, 0);
  return failures.length >= tries || (times >= tries && failures.length >= Math.min(tries, ableWorkers));
}

/** FailureRecord `frames` of the lease (all still open) for `error`. The caller has committed what was done. */
export function recordFailures(
  transition: Transition,
  lease: LiveLease,
  frames: readonly number[],
  error: string,
): void {
  const { ledger, table, terms, nowMs } = transition;
  const again: number[] = [];
  for (const frame of frames) {
    const before = table.get(frame);
    const failures = withFailure(before?.failures ?? [], lease.worker);
    const final = isFinal(failures, terms.tries, trustedWorkers(transition));
    const entry: FrameEntry = {
      state: final ? "failed" : "retry",
      attempt: lease.attempt,
      worker: lease.worker,
      seconds: 0,
      at_ms: nowMs,
      files: [],
      failures,
      error,
    };
    table.set(frame, entry);
    if (final) ledger.counts.failed++;
    else again.push(frame);
  }
  ledger.retry = union(ledger.retry, setOf(again));
  ledger.error = error;
  noteLease(transition, "error", lease, setOf(frames), null, error);
  recordWorkerFailure(ledger, lease.worker, nowMs);
  stopIfHopeless(transition, setOf(frames));
}

function withFailure(failures: readonly [number, number][], worker: number): [number, number][] {
  const known = failures.some(([id]) => id === worker);
  return known ? failures.map(([id, count]) => [id, id === worker ? count + 1 : count]) : [...failures, [worker, 1]];
}

function recordWorkerFailure(ledger: Ledger, worker: number, nowMs: number): void {
  const before = ledger.blames.find((blame) => blame.worker === worker) ?? {
    worker,
    streak: 0,
    times: 0,
    kept_off_until_ms: 0,
  };
  const streak = before.streak + 1;
  const blocklisted = streak >= BLOCKLIST_AFTER;
  const after: FailureRecord = blocklisted
    ? {
        worker,
        streak: 0,
        times: before.times + 1,
        kept_off_until_ms: nowMs + Math.min(BLOCKLIST_MAX_MS, BLOCKLIST_MS * 2 ** before.times),
      }
    : { ...before, streak };
  ledger.blames = [...ledger.blames.filter((blame) => blame.worker !== worker), after];
}

/** A task on which nothing ever succeeds, or no longer does, stops instead of burning every frame's tries through the night. */
function stopIfHopeless(transition: Transition, frames: FrameSet): void {
  const { ledger, terms } = transition;
  const worker = ledger.blames.at(-1)!.worker;
  const workers = ledger.streak.workers.includes(worker) ? ledger.streak.workers : [...ledger.streak.workers, worker];
  ledger.streak = { failures: ledger.streak.failures + 1, workers };
  const limit = ledger.counts.done === 0 ? terms.tries : STOP_AFTER;
  const witnesses = workers.length >= Math.min(terms.tries, transition.ableWorkers);
  if (ledger.streak.failures < limit || !witnesses || ledger.stopped !== null) return;
  const what = ledger.counts.done === 0 ? "and not one frame came out" : "since the last good frame";
  ledger.stopped = `stopped after ${ledger.streak.failures} failures ${what}, the last on frame ${format(frames)}`;
}

/** A commit forgives: the worker's streak and the task's. */
export function resetFailures(ledger: Ledger, worker: number): void {
  if (ledger.streak.failures > 0) ledger.streak = { failures: 0, workers: [] };
  if (ledger.blames.some((blame) => blame.worker === worker))
    ledger.blames = ledger.blames.filter((blame) => blame.worker !== worker);
}

/**
 * Until when this worker is kept off the task, or null. The only able workers are never kept off: the frames' own tries
 * and the stop rule bound what they can burn.
 */
export function blocklistedUntil(ledger: Ledger, worker: number, ableWorkers: number, nowMs: number): number | null {
  const off = blocklisted(ledger, nowMs);
  if (off.length >= ableWorkers) return null;
  return off.find((blame) => blame.worker === worker)?.kept_off_until_ms ?? null;
}

/** Able workers less those kept off: who can still be asked to try a frame. At least 1. */
export function trustedWorkers(transition: Transition): number {
  const off = blocklisted(transition.ledger, transition.nowMs).length;
  return off >= transition.ableWorkers ? transition.ableWorkers : Math.max(1, transition.ableWorkers - off);
}

/** Workers kept off at this time. */
export function blocklisted(ledger: Ledger, nowMs: number): FailureRecord[] {
  return ledger.blames.filter((blame) => blame.kept_off_until_ms > nowMs);
}
