/**
 * Notices that this process did not run for a while: a closed laptop, a debugger, SIGSTOP, a clock
 * that was set forward.
 */

const TICK_MS = 1_000;
/**
 * Above what garbage collection and a busy machine delay a timer by: lower, and leases are renewed
 * for nothing.
 */
const SUSPENDED_MS = 5_000;

export interface Instant {
  /** Monotonic: stands still while the machine sleeps (Linux, macOS). */
  monoMs: number;
  wallMs: number;
}

/**
 * For how long nothing ran between two ticks, beyond the tick itself, by the clock that moved more;
 * 0 when all is well. Pure.
 */
export function suspendedMs(before: Instant, now: Instant): number {
  const gone = Math.max(now.monoMs - before.monoMs, now.wallMs - before.wallMs) - TICK_MS;
  return gone > SUSPENDED_MS ? gone : 0;
}

/** Calls `onResume` after every such pause, with its length. Returns what stops the watch. */
export function watchForSuspension(onResume: (pauseMs: number) => void): () => void {
  let before = readClocks();
  const timer = setInterval(() => {
    const now = readClocks();
    const pauseMs = suspendedMs(before, now);
    before = now;
    if (pauseMs > 0) onResume(pauseMs);
  }, TICK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function readClocks(): Instant {
  return { monoMs: performance.now(), wallMs: Date.now() };
}
