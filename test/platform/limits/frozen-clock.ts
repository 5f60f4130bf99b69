/**
 * `Date.now()` answers the time of the last I/O and stands still while code runs
 * (https://developers.cloudflare.com/workers/runtime-apis/performance/: timers "only advance or
 * increment after I/O occurs"; locally they always advance). Here the clock moves when an event
 * begins and when a binding has answered. Reading a request's body moves it on the platform, and
 * here not: it stands still for longer here, never for shorter.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** Counted whenever `Date.now()` is behind the clock. */
export function frozenClock({ bite, nowMs }: LimitContext): Limit {
  let stoodMs = nowMs();
  const move = (): void => {
    stoodMs = nowMs();
  };
  return {
    event: move,
    async call(_call, carry) {
      try {
        return await carry();
      } finally {
        move();
      }
    },
    now(clockMs) {
      if (stoodMs < clockMs) bite();
      return stoodMs;
    },
  };
}
