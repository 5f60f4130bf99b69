/**
 * What a render failure leads to (P6): new tries of the frame, a blocklisted worker, a stopped
 * task. Lost leases are not failures: an expired or released lease puts its frames back and counts
 * against neither frame nor worker. Pure; time is an argument.
 */
import { format, setOf, union, type FrameSet } from "./frame-set.ts";
import { noteLease, type FailureRecord, type FrameEntry, type Ledger, type Transition } from "./ledger.ts";
import type { LiveLease } from "./lease-index.ts";

/**
 * After so many consecutive failures on a task, a worker is blocklisted for it. Fewer: one bad
 * frame blocks good workers.
 */
const BLOCKLIST_AFTER = 3;
/** How long the first time. It doubles each time, up to the longest, which is what Afanasy uses. */
const BLOCKLIST_MS = 5 * 60_000;
const BLOCKLIST_MAX_MS = 5 * 3_600_000;
/**
 * Once frames have been rendered, so many consecutive failures of any frames stop the task, and a
 * person must look. Fewer: a few bad frames stop a good task; more: a broken scene uses up the
 * tries of every frame over a night.
 */
const STOP_AFTER = 30;

/**
 * Whether a frame stops as failed: after failures on `tries` different workers, or `tries` failures
 * where fewer workers exist. `failures`: by worker, `[worker, count]`.
 */
function isFinal(failures: readonly [number, number][], tries: number, ableWorkers: number): boolean {
  const times = failures.reduce((sum, [, count]) => sum + count, 0);
  return failures.length >= tries || (times >= tries && failures.length >= Math.min(tries, ableWorkers));
}

/**
 * Record that these frames of the lease failed with `error`; all are still open. The caller has
 * committed what was done.
 */
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
  const before = ledger.blames.find((record) => record.worker === worker) ?? {
    worker,
    streak: 0,
    times: 0,
    kept_off_until_ms: 0,
  };
  const streak = before.streak + 1;
  const after: FailureRecord =
    streak >= BLOCKLIST_AFTER
      ? {
          worker,
          streak: 0,
          times: before.times + 1,
          kept_off_until_ms: nowMs + Math.min(BLOCKLIST_MAX_MS, BLOCKLIST_MS * 2 ** before.times),
        }
      : { ...before, streak };
  ledger.blames = [...ledger.blames.filter((record) => record.worker !== worker), after];
}

/**
 * Stop a task on which nothing ever succeeded, or no longer does, before it uses up the tries of
 * every frame.
 */
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

/**
 * A frame was committed: the consecutive failures of its worker and of the task start at zero
 * again.
 */
export function resetFailures(ledger: Ledger, worker: number): void {
  if (ledger.streak.failures > 0) ledger.streak = { failures: 0, workers: [] };
  if (ledger.blames.some((record) => record.worker === worker))
    ledger.blames = ledger.blames.filter((record) => record.worker !== worker);
}

/**
 * Until when this worker is blocklisted, or null. When every able worker is blocklisted, none
 * counts as such: the tries of the frames and the rule that stops a task bound what they can waste.
 */
export function blocklistedUntil(ledger: Ledger, worker: number, ableWorkers: number, nowMs: number): number | null {
  const blocked = blocklisted(ledger, nowMs);
  if (blocked.length >= ableWorkers) return null;
  return blocked.find((record) => record.worker === worker)?.kept_off_until_ms ?? null;
}

/** Able workers that are not blocklisted: how many can still try a frame. At least 1. */
export function trustedWorkers(transition: Transition): number {
  const blocked = blocklisted(transition.ledger, transition.nowMs).length;
  return blocked >= transition.ableWorkers ? transition.ableWorkers : Math.max(1, transition.ableWorkers - blocked);
}

/** Failure records of the workers that are blocklisted at this time. */
export function blocklisted(ledger: Ledger, nowMs: number): FailureRecord[] {
  return ledger.blames.filter((record) => record.kept_off_until_ms > nowMs);
}
