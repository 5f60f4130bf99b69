/** Reasons to hand a lease back: the machine's, never the render's (P6). */
import { messageOf } from "../lib/errors.ts";

/** Throw to release the lease with this reason. */
export class GiveBack extends Error {
  override name = "GiveBack";
  /** Do not ask for this task again for so long. */
  readonly refuseMs: number;
  /** Take no work at all for so long. */
  readonly pauseMs: number;

  constructor(reason: string, { refuseMs = 0, pauseMs = 0 }: { refuseMs?: number; pauseMs?: number } = {}) {
    super(reason);
    this.refuseMs = refuseMs;
    this.pauseMs = pauseMs;
  }
}

/** A plan that this agent will not run stays one: long enough for somebody to look. */
export const POLICY_REFUSE_MS = 10 * 60_000;
/** Room may be made by other programs, or by a person. */
export const DISK_PAUSE_MS = 60_000;
/** Below this a render that fails has most likely failed for want of room. */
export const DISK_LOW_BYTES = 64 * 1024 * 1024;

/** The disk, or the user's quota of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** The lease goes back because there is no room. */
export function diskFull(): GiveBack {
  return new GiveBack("the worker's disk is full", { pauseMs: DISK_PAUSE_MS });
}

/** Whatever else went wrong is the machine's or the network's, and no reason to blame a frame. */
export function asGiveBack(error: unknown): GiveBack {
  if (error instanceof GiveBack) return error;
  if (isDiskFull(error)) return diskFull();
  return new GiveBack(messageOf(error), { refuseMs: 60_000 });
}
