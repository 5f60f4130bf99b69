/**
 * Reasons to release a lease: the machine's or the network's, never the render's, so no frame's
 * tries are used up (P6). What the manager does with each cause is in `task/rules/verdicts.ts`.
 */
import { ManagerError } from "../client/manager-client.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { ReleaseCause } from "../protocol/lease.ts";

/** Throw to release the lease with this reason. */
export class ReleaseLease extends Error {
  override name = "ReleaseLease";
  override readonly cause: ReleaseCause;
  /** For how long not to ask for this task again. */
  readonly declineMs: number;
  /** For how long to take no work at all. */
  readonly pauseMs: number;

  constructor(
    reason: string,
    cause: ReleaseCause,
    { declineMs = 0, pauseMs = 0 }: { declineMs?: number; pauseMs?: number } = {},
  ) {
    super(reason);
    this.cause = cause;
    this.declineMs = declineMs;
    this.pauseMs = pauseMs;
  }
}

/**
 * A plan that this agent may not run stays one: without a long wait, the same lease would come back
 * every second.
 */
export const POLICY_DECLINE_MS = 10 * 60_000;
/**
 * Other programs, or a person, may make room meanwhile: without the pause, each lease would fail
 * for the same reason.
 */
const DISK_PAUSE_MS = 60_000;
/**
 * Any other trouble, such as an input that does not arrive: another worker, or another minute, may
 * do better.
 */
const TROUBLE_DECLINE_MS = 60_000;
/**
 * A render that fails with less room than this has most likely failed for want of room, and its
 * frames are not to blame.
 */
export const DISK_LOW_BYTES = 64 * 1024 * 1024;

/** Whether the disk, or the user's quota of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** The reason to release a lease for want of room. */
export function diskFull(): ReleaseLease {
  return new ReleaseLease("the worker's disk is full", "disk", { pauseMs: DISK_PAUSE_MS });
}

/** The reason to release a lease whose inputs or outputs do not get through. */
export function undeliverable(reason: string): ReleaseLease {
  return new ReleaseLease(reason, "transfer", { declineMs: TROUBLE_DECLINE_MS });
}

/**
 * The release that follows from anything that was thrown: what is no `ReleaseLease` is the
 * machine's or the network's fault.
 */
export function asRelease(error: unknown): ReleaseLease {
  if (error instanceof ReleaseLease) return error;
  if (isDiskFull(error)) return diskFull();
  if (error instanceof ManagerError) return undeliverable(error.message);
  return new ReleaseLease(messageOf(error), "other", { declineMs: TROUBLE_DECLINE_MS });
}
