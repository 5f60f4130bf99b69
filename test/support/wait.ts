/** Waiting for something to become true, with a limit and a telling message. */
import { setTimeout as sleep } from "node:timers/promises";

export interface WaitOptions {
  withinMs: number;
  /** What is waited for, for the message. */
  what: string;
  everyMs?: number;
}

/** Poll `probe` until it answers something other than undefined, null or false; a throw of the last try is the cause. */
export async function until<T>(
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { withinMs, what, everyMs = 100 }: WaitOptions,
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
