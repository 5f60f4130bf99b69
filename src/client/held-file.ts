/**
 * Files that another program holds on Windows. There, a file that is open elsewhere can often not be
 * opened, replaced or removed: a renderer has not closed its output yet, or a search for viruses or an
 * index reads what was just written. That takes a moment, so the action is tried again. The same codes
 * also mean a right that is missing: then the error comes a moment later. Elsewhere nothing is tried
 * again.
 */
import { setTimeout as delay } from "node:timers/promises";
import { systemCode } from "../lib/errors.ts";

/** What Node makes of ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION and ERROR_ACCESS_DENIED. */
const HELD_CODES = ["EBUSY", "EPERM", "EACCES"];

/** Between the tries: 1.6 s in all, because some callers hold up the whole process. */
const WAITS_MS = [10, 20, 50, 100, 200, 400, 800];

export interface HeldOptions {
  platform?: NodeJS.Platform;
  /** Instead of `WAITS_MS`. */
  waitsMs?: readonly number[];
}

function isHeld(error: unknown, platform: NodeJS.Platform): boolean {
  return platform === "win32" && HELD_CODES.includes(systemCode(error) ?? "");
}

/** Do it, again while the file is held. Rejects with the last error. */
export async function whenFree<T>(
  act: () => Promise<T>,
  { platform = process.platform, waitsMs = WAITS_MS }: HeldOptions = {},
): Promise<T> {
  for (const ms of waitsMs) {
    try {
      return await act();
    } catch (error) {
      if (!isHeld(error, platform)) throw error;
      await delay(ms);
    }
  }
  return await act();
}

/** The same for callers that cannot wait otherwise. Throws the last error. */
export function whenFreeSync<T>(
  act: () => T,
  { platform = process.platform, waitsMs = WAITS_MS }: HeldOptions = {},
): T {
  for (const ms of waitsMs) {
    try {
      return act();
    } catch (error) {
      if (!isHeld(error, platform)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    }
  }
  return act();
}
