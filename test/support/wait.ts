/** Waits until something is true, with a limit and a message that tells what was waited for. */
import { setTimeout as sleep } from "node:timers/promises";

/** Ends a hang. A shorter bound would fail tests on a busy machine. */
export const HANG_MS = 120_000;

export interface WaitOptions {
  /** `HANG_MS` unless the time itself is tested. */
  withinMs?: number;
  /** What is waited for, for the message. */
  what: string;
  everyMs?: number;
}

/**
 * Poll `probe` until it answers something other than undefined, null or false. When the last try
 * threw, its error is the cause of the timeout.
 */
export async function until<T>(
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { withinMs = HANG_MS, what, everyMs = 100 }: WaitOptions,
): Promise<T> {
  const limit = performance.now() + withinMs;
  for (;;) {
    let cause: unknown;
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (thrown) {
      cause = thrown;
    }
    if (performance.now() > limit) throw new Error(`not within ${withinMs} ms: ${what}`, { cause });
    await sleep(everyMs);
  }
}
