/** Notices that the process stood still: a laptop's lid, a debugger, SIGSTOP, a clock that was set forward. */

const TICK_MS = 1_000;
/** Garbage collection and a busy machine delay a timer by less than this. */
const STILL_MS = 5_000;

export interface Instant {
  /** Monotonic: stands still while the machine sleeps (Linux, macOS). */
  monoMs: number;
  wallMs: number;
}

/** How long nothing ran between two ticks, beyond the tick itself; 0 when all is well. Pure. */
export function stillness(before: Instant, now: Instant): number {
  const gone = Math.max(now.monoMs - before.monoMs, now.wallMs - before.wallMs) - TICK_MS;
  return gone > STILL_MS ? gone : 0;
}

/** Calls `onWake` after every such pause. Returns what stops the watch. */
export function watchForWaking(onWake: (stillMs: number) => void): () => void {
  let before = here();
  const timer = setInterval(() => {
    const now = here();
    const stillMs = stillness(before, now);
    before = now;
    if (stillMs > 0) onWake(stillMs);
  }, TICK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function here(): Instant {
  return { monoMs: performance.now(), wallMs: Date.now() };
}
