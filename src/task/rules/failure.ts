/**
 * What a render failure leads to (P6). Infrastructure loss never comes here: an expired or released lease puts its frames
 * back and blames nobody.
 */
import { format, setOf, union, type FrameSet } from "./frame-set.ts";
import { noteLease, type Blame, type FrameEntry, type Ledger, type Transition } from "./ledger.ts";
import type { LiveLease } from "./lease-index.ts";

/** A worker that fails this often in a row on a task is kept off it for a while. */
export const KEEP_OFF_AFTER = 3;
/** First time; doubles each time up to the longest. Afanasy forgives after five hours. */
export const KEEP_OFF_MS = 5 * 60_000;
export const KEEP_OFF_LONGEST_MS = 5 * 3_600_000;
/** Once frames have been rendered, this many failures in a row (of any frames) stop the task: a person must look. */
export const STOP_AFTER = 30;

/** Whether the frame stops as failed: on `tries` different workers, or `tries` times where fewer workers exist. */
export function isFinal(failures: readonly [number, number][], tries: number, ableWorkers: number): boolean {
  const times = failures.reduce((sum, [, count]) => sum + count, 0);
  return failures.length >= tries || (times >= tries && failures.length >= Math.min(tries, ableWorkers));
}

/** Blame `frames` of the lease (all still open) for `error`. The caller has committed what was done. */
export function blameFrames(transition: Transition, lease: LiveLease, frames: readonly number[], error: string): void {
  const { ledger, book, terms, nowMs } = transition;
  const again: number[] = [];
  for (const frame of frames) {
    const before = book.get(frame);
    const failures = counted(before?.failures ?? [], lease.worker);
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
    book.set(frame, entry);
    if (final) ledger.counts.failed++;
    else again.push(frame);
  }
  ledger.retry = union(ledger.retry, setOf(again));
  ledger.error = error;
  noteLease(transition, "error", lease, setOf(frames), null, error);
  blameWorker(ledger, lease.worker, nowMs);
  stopIfHopeless(transition, setOf(frames));
}

function counted(failures: readonly [number, number][], worker: number): [number, number][] {
  const known = failures.some(([id]) => id === worker);
  return known ? failures.map(([id, count]) => [id, id === worker ? count + 1 : count]) : [...failures, [worker, 1]];
}

function blameWorker(ledger: Ledger, worker: number, nowMs: number): void {
  const before = ledger.blames.find((blame) => blame.worker === worker) ?? {
    worker,
    streak: 0,
    times: 0,
    kept_off_until_ms: 0,
  };
  const streak = before.streak + 1;
  const keptOff = streak >= KEEP_OFF_AFTER;
  const after: Blame = keptOff
    ? {
        worker,
        streak: 0,
        times: before.times + 1,
        kept_off_until_ms: nowMs + Math.min(KEEP_OFF_LONGEST_MS, KEEP_OFF_MS * 2 ** before.times),
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
export function forgive(ledger: Ledger, worker: number): void {
  if (ledger.streak.failures > 0) ledger.streak = { failures: 0, workers: [] };
  if (ledger.blames.some((blame) => blame.worker === worker))
    ledger.blames = ledger.blames.filter((blame) => blame.worker !== worker);
}

/**
 * Until when this worker is kept off the task, or null. The only able workers are never kept off: the frames' own tries
 * and the stop rule bound what they can burn.
 */
export function keptOffUntil(ledger: Ledger, worker: number, ableWorkers: number, nowMs: number): number | null {
  const off = keptOff(ledger, nowMs);
  if (off.length >= ableWorkers) return null;
  return off.find((blame) => blame.worker === worker)?.kept_off_until_ms ?? null;
}

/** Able workers less those kept off: who can still be asked to try a frame. At least 1. */
export function trustedWorkers(transition: Transition): number {
  const off = keptOff(transition.ledger, transition.nowMs).length;
  return off >= transition.ableWorkers ? transition.ableWorkers : Math.max(1, transition.ableWorkers - off);
}

/** Workers kept off at this time. */
export function keptOff(ledger: Ledger, nowMs: number): Blame[] {
  return ledger.blames.filter((blame) => blame.kept_off_until_ms > nowMs);
}
