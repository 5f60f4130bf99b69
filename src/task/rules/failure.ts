/**
 * What failures and refusals lead to (P6): new tries of the frame, a worker that is blocklisted or held
 * off, a stopped task. Which of them a lease's end is says the table of `verdicts.ts`. Pure; time is
 * an argument.
 */
import { format, setOf, union, type FrameSet } from "./frame-set.ts";
import { holdMs, REFUSED_BY, VERDICTS, type Verdict } from "./verdicts.ts";
import {
  noteLease,
  type FailureRecord,
  type FrameEntry,
  type Ledger,
  type RenderedBy,
  type Transition,
} from "./ledger.ts";
import type { LiveLease } from "./lease-index.ts";

/**
 * After so many consecutive failures on a task, a worker is blocklisted for it. Fewer: one bad
 * frame blocks good workers.
 */
const BLOCKLIST_AFTER = 3;
/** How long the first time. It doubles each time (`holdMs`). */
const BLOCKLIST_MS = 5 * 60_000;
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

/** What is known of a frame after one more lease that did not deliver it. */
interface AfterTry extends Pick<FrameEntry, "failures" | "refusals"> {
  /** Whether the frame stops as failed; else it is tried again. */
  final: boolean;
}

/**
 * Record that this lease did not deliver these frames, for `error`; all are still open. `after` says
 * what follows for each, by what was known of it before.
 */
function recordTry(
  { ledger, table, nowMs }: Transition,
  lease: RenderedBy,
  frames: readonly number[],
  error: string,
  after: (before: FrameEntry | undefined) => AfterTry,
): { again: FrameSet; final: FrameSet } {
  const [again, stopped]: [number[], number[]] = [[], []];
  for (const frame of frames) {
    const { final, ...known } = after(table.get(frame));
    const { attempt, worker } = lease;
    const state = final ? "failed" : "retry";
    table.set(frame, { state, attempt, worker, seconds: 0, at_ms: nowMs, files: [], ...known, error });
    (final ? stopped : again).push(frame);
  }
  ledger.counts.failed += stopped.length;
  ledger.retry = union(ledger.retry, setOf(again));
  ledger.error = error;
  return { again: setOf(again), final: setOf(stopped) };
}

/**
 * Record that these frames of the lease failed with `error`; all are pending, or still open. The caller has
 * committed what was done. `verdict`: that of the failure.
 */
export function recordFailures(
  transition: Transition,
  lease: RenderedBy,
  frames: readonly number[],
  error: string,
  verdict: Verdict = VERDICTS.failed,
): void {
  const { ledger, terms, nowMs } = transition;
  recordTry(transition, lease, frames, error, (before) => {
    const failures = withFailure(before?.failures ?? [], lease.worker);
    const final = isFinal(failures, terms.tries, trustedWorkers(transition));
    return { failures, ...(before?.refusals && { refusals: before.refusals }), final };
  });
  noteLease(transition, "error", lease, setOf(frames), null, error);
  if (verdict.stops !== undefined) {
    ledger.stopped ??= verdict.stops;
    return;
  }
  recordWorkerFailure(ledger, lease.worker, nowMs);
  stopIfHopeless(transition, setOf(frames));
}

function withFailure(failures: readonly [number, number][], worker: number): [number, number][] {
  const known = failures.some(([id]) => id === worker);
  return known ? failures.map(([id, count]) => [id, id === worker ? count + 1 : count]) : [...failures, [worker, 1]];
}

/**
 * Record that the worker's machine could not get or deliver these frames of the lease, for this
 * reason; all are still open.
 */
export function recordRefusals(
  transition: Transition,
  lease: LiveLease,
  frames: readonly number[],
  reason: string,
): void {
  const { again, final } = recordTry(transition, lease, frames, reason, (before) => {
    const refusals = [...new Set([...(before?.refusals ?? []), lease.worker])];
    return { failures: before?.failures ?? [], refusals, final: refusals.length >= REFUSED_BY };
  });
  if (again.length > 0) noteLease(transition, "lost", lease, again, null, reason);
  if (final.length > 0) noteLease(transition, "error", lease, final, null, reason);
}

/** Hold the worker off the task, each time for twice as long; `firstMs`: how long the first time. */
export function holdOff(ledger: Ledger, worker: number, firstMs: number, reason: string, nowMs: number): void {
  const before = recordOf(ledger, worker);
  const holds = before.holds ?? 0;
  setRecord(ledger, { ...before, holds: holds + 1, held_until_ms: nowMs + holdMs(firstMs, holds), reason });
}

function recordOf(ledger: Ledger, worker: number): FailureRecord {
  const known = ledger.blames.find((record) => record.worker === worker);
  return known ?? { worker, streak: 0, times: 0, kept_off_until_ms: 0 };
}

function setRecord(ledger: Ledger, after: FailureRecord): void {
  ledger.blames = [...ledger.blames.filter((record) => record.worker !== after.worker), after];
}

function recordWorkerFailure(ledger: Ledger, worker: number, nowMs: number): void {
  const before = recordOf(ledger, worker);
  const streak = before.streak + 1;
  if (streak < BLOCKLIST_AFTER) return setRecord(ledger, { ...before, streak });
  const untilMs = nowMs + holdMs(BLOCKLIST_MS, before.times);
  setRecord(ledger, { ...before, streak: 0, times: before.times + 1, kept_off_until_ms: untilMs });
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
  const { failures } = ledger.streak;
  const times = failures === 1 ? "1 failure" : `${failures} failures`;
  ledger.stopped = `stopped after ${times} ${what}, the last on frame ${format(frames)}`;
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

/** A worker that gets nothing of a task for a while. */
export interface KeptOff {
  worker: number;
  untilMs: number;
  /** Why its machine is at fault; null when it is blocklisted. */
  reason: string | null;
}

/** The workers that are blocklisted or held off at this time. */
export function keptOff(ledger: Ledger, nowMs: number): KeptOff[] {
  return ledger.blames.flatMap((record): KeptOff[] => {
    const heldUntilMs = record.held_until_ms ?? 0;
    const untilMs = Math.max(record.kept_off_until_ms, heldUntilMs);
    if (untilMs <= nowMs) return [];
    const reason = heldUntilMs > nowMs ? (record.reason ?? null) : null;
    return [{ worker: record.worker, untilMs, reason }];
  });
}

/**
 * Until when this worker gets nothing of the task, or null. When every able worker is kept off, none
 * counts as blocklisted: the tries of the frames and the rule that stops a task bound what they can
 * waste. A worker that is held off stays so: nothing else bounds what it would waste.
 */
export function keptOffUntil(ledger: Ledger, worker: number, ableWorkers: number, nowMs: number): number | null {
  const record = ledger.blames.find((one) => one.worker === worker);
  if (!record) return null;
  const all = keptOff(ledger, nowMs).length >= ableWorkers;
  const untilMs = Math.max(all ? 0 : record.kept_off_until_ms, record.held_until_ms ?? 0);
  return untilMs > nowMs ? untilMs : null;
}

/** Able workers that are not kept off: how many can still try a frame. At least 1. */
export function trustedWorkers(transition: Transition): number {
  const off = keptOff(transition.ledger, transition.nowMs).length;
  return off >= transition.ableWorkers ? transition.ableWorkers : Math.max(1, transition.ableWorkers - off);
}
