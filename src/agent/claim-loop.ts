/**
 * One slot of the agent: it asks the registry for a task, then takes lease after lease of that task
 * until the task has none for this worker, and asks the registry again.
 */
import type { Claim } from "../protocol/lease.ts";
import type { Platform } from "../protocol/plan.ts";
import type { WorkerPatched } from "../protocol/worker.ts";
import type { WorkNotifier } from "./work-notifier.ts";
import { claimKey, type LooseClaimed, type LooseLease, type NextClaim } from "./lease-calls.ts";
import type { LeaseOutcome } from "./lease-runner.ts";

/**
 * A task that had no lease for this worker, and for how long not to offer it again. The field names
 * go over the wire.
 */
export interface DeclinedTask {
  task_id: number;
  retry_after_ms: number;
}

export interface ClaimLoopOptions {
  platform: Platform;
  notifier: WorkNotifier;
  /**
   * Ask the registry (PATCH available). Tries until it is answered; rejects when `signal` fires or
   * the worker is unknown.
   */
  ask: (refused: DeclinedTask | undefined) => Promise<WorkerPatched>;
  /**
   * Claim from a task; `claimedMs` is when the call went out. Null when no lease can be had from
   * the task (gone, broken).
   */
  claim: (taskId: number, claim: Claim) => Promise<{ claimed: LooseClaimed; claimedMs: number } | null>;
  run: (lease: LooseLease, claimedMs: number, next: NextClaim) => Promise<LeaseOutcome>;
  /** Whether the worker takes no more work (the manager drains it); what runs goes on. */
  drained: () => boolean;
  /** Take no work for so long, in all slots (the disk is full). */
  pause: (ms: number) => void;
  /** For how long no work is to be taken yet; 0 when work may be taken. */
  pausedMs: () => number;
  /** End the loop when there is nothing to do. */
  once: boolean;
  onIdle: () => void;
  onFailed: () => void;
  /** Ends the loop: no more questions, no more work. */
  signal: AbortSignal;
  /** Monotonic milliseconds. */
  now: () => number;
}

/**
 * For a task that gave no time. Shorter, and the registry offers the same task again before it has
 * anything.
 */
const DECLINE_MS = 5_000;
/** For a task that is gone or broken: a restarted or mended one is found again after this. */
const GONE_DECLINE_MS = 60_000;
/**
 * The registry assigned a task that answered "outranked": one of them has not heard of the newest
 * priorities yet. Without the pause, worker, registry and task would ask each other as fast as they
 * can.
 */
const PREEMPTED_PAUSE_MS = 1_000;

/** Runs until `signal` fires, or with `once` until there is nothing to do. */
export async function claimLoop(options: ClaimLoopOptions): Promise<void> {
  const { ask, notifier, signal, now, pausedMs } = options;
  let refused: DeclinedTask | undefined;
  /** When a declined task may be asked for again. */
  let againMs = Infinity;
  while (!signal.aborted) {
    if (pausedMs() > 0) {
      await notifier.wait(pausedMs(), signal);
      continue;
    }
    const answer = options.drained() ? null : await ask(refused);
    refused = undefined;
    if (answer === null || answer.task_id === null) {
      if (options.once) return;
      options.onIdle();
      await notifier.wait(Math.max(0, againMs - now()), signal);
      if (now() >= againMs) againMs = Infinity;
      continue;
    }
    refused = await serve(options, answer.task_id, answer.epoch);
    if (refused) againMs = Math.min(againMs, now() + refused.retry_after_ms);
  }
}

/**
 * Take leases of one task for as long as it has some. Answers with what to tell the registry when
 * it has none.
 */
async function serve(options: ClaimLoopOptions, taskId: number, epoch: number): Promise<DeclinedTask | undefined> {
  const { platform, drained, pausedMs, signal } = options;
  const makeClaim = (): Claim => ({ key: claimKey(), platform, epoch });
  const next = () => (drained() || signal.aborted || pausedMs() > 0 ? null : makeClaim());
  const first = await options.claim(taskId, makeClaim());
  if (!first) return { task_id: taskId, retry_after_ms: GONE_DECLINE_MS };
  let { claimed, claimedMs } = first;
  for (let leases = 0; ; leases++) {
    if (!claimed.lease) {
      // "outranked": work of higher priority waits, so the registry is asked, and this task is not
      // declined.
      if (claimed.reason !== "outranked")
        return { task_id: taskId, retry_after_ms: claimed.retry_after_ms ?? DECLINE_MS };
      if (leases === 0) await options.notifier.wait(PREEMPTED_PAUSE_MS, signal);
      return undefined;
    }
    options.notifier.wakeNext();
    let askedMs = claimedMs;
    const outcome = await options.run(claimed.lease, claimedMs, () => {
      askedMs = options.now();
      return next();
    });
    if (outcome.kind === "released" && outcome.pauseMs > 0) options.pause(outcome.pauseMs);
    if (outcome.kind === "released" && outcome.declineMs > 0)
      return { task_id: taskId, retry_after_ms: outcome.declineMs };
    if (outcome.kind !== "settled") return undefined;
    if (outcome.failed) options.onFailed();
    if (!outcome.claimed) return undefined;
    claimed = outcome.claimed;
    claimedMs = askedMs;
  }
}
