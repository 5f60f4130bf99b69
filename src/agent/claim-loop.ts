/** One slot: ask the registry for a task, then stay with that task, lease after lease, until it has nothing more for us. */
import type { Claim } from "../protocol/lease.ts";
import type { Platform } from "../protocol/plan.ts";
import type { WorkerPatched } from "../protocol/worker.ts";
import type { Bell } from "./bell.ts";
import { claimKey, type LooseClaimed, type LooseLease, type NextClaim } from "./lease-calls.ts";
import type { LeaseOutcome } from "./lease-runner.ts";

/** A task that had nothing for this worker, and for how long not to offer it again. */
export interface Refused {
  task_id: number;
  retry_after_ms: number;
}

export interface ClaimLoopOptions {
  platform: Platform;
  bell: Bell;
  /** Ask the registry (PATCH available). Tries until it is answered; rejects only when `signal` fires or the worker is refused. */
  ask: (refused: Refused | undefined) => Promise<WorkerPatched>;
  /** Claim of a task; `claimedMs` is when it went out. Null when the task cannot be claimed at all (gone, broken). */
  claim: (taskId: number, claim: Claim) => Promise<{ claimed: LooseClaimed; claimedMs: number } | null>;
  run: (lease: LooseLease, claimedMs: number, next: NextClaim) => Promise<LeaseOutcome>;
  /** Take no more work; what runs goes on. */
  drained: () => boolean;
  /** Take no work for so long, in any slot (the disk is full). */
  pause: (ms: number) => void;
  /** How long to take no work yet. */
  pausedMs: () => number;
  /** End when there is nothing to do. */
  once: boolean;
  onIdle: () => void;
  onFailed: () => void;
  /** No more questions, no more work. */
  signal: AbortSignal;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** When the task did not say: soon enough to be of use, late enough that somebody else goes first. */
const REFUSE_MS = 5_000;
const GONE_REFUSE_MS = 60_000;
/** A registry that sends us to a task which sends us back: both are right, for a moment only. */
const OUTRANKED_PAUSE_MS = 1_000;

/** Runs until `signal` fires, or with `once` until there is nothing to do. */
export async function claimLoop(options: ClaimLoopOptions): Promise<void> {
  const { ask, bell, signal, now, pausedMs } = options;
  let refused: Refused | undefined;
  /** When a task that we refused may be asked for again. */
  let againMs = Infinity;
  while (!signal.aborted) {
    if (pausedMs() > 0) {
      await bell.wait(pausedMs(), signal);
      continue;
    }
    const answer = options.drained() ? null : await ask(refused);
    refused = undefined;
    if (answer === null || answer.task_id === null) {
      if (options.once) return;
      options.onIdle();
      await bell.wait(Math.max(0, againMs - now()), signal);
      if (now() >= againMs) againMs = Infinity;
      continue;
    }
    refused = await serve(options, answer.task_id, answer.epoch);
    if (refused) againMs = Math.min(againMs, now() + refused.retry_after_ms);
  }
}

/** Serve one task for as long as it has leases for us. Answers with what to tell the registry when it has none. */
async function serve(options: ClaimLoopOptions, taskId: number, epoch: number): Promise<Refused | undefined> {
  const { platform, drained, pausedMs, signal } = options;
  const makeClaim = (): Claim => ({ key: claimKey(), platform, epoch });
  const next = () => (drained() || signal.aborted || pausedMs() > 0 ? null : makeClaim());
  const first = await options.claim(taskId, makeClaim());
  if (!first) return { task_id: taskId, retry_after_ms: GONE_REFUSE_MS };
  let { claimed, claimedMs } = first;
  for (let leases = 0; ; leases++) {
    if (!claimed.lease) {
      // Outranked: the registry knows better; not that this task had nothing for us.
      if (claimed.reason !== "outranked")
        return { task_id: taskId, retry_after_ms: claimed.retry_after_ms ?? REFUSE_MS };
      if (leases === 0) await options.bell.wait(OUTRANKED_PAUSE_MS, signal);
      return undefined;
    }
    options.bell.pass();
    let askedMs = claimedMs;
    const outcome = await options.run(claimed.lease, claimedMs, () => {
      askedMs = options.now();
      return next();
    });
    if (outcome.kind === "released" && outcome.pauseMs > 0) options.pause(outcome.pauseMs);
    if (outcome.kind === "released" && outcome.refuseMs > 0)
      return { task_id: taskId, retry_after_ms: outcome.refuseMs };
    if (outcome.kind !== "settled") return undefined;
    if (outcome.failed) options.onFailed();
    if (!outcome.claimed) return undefined;
    claimed = outcome.claimed;
    claimedMs = askedMs;
  }
}
