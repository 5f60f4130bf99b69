/**
 * D1 answers nothing for 40 seconds. A database does one query at a time, and a query may take 30
 * seconds (https://developers.cloudflare.com/d1/platform/limits/), so others wait; it is moved and
 * restarted now and then (https://developers.cloudflare.com/d1/observability/debug-d1/).
 */
import type { Limit, LimitContext } from "./limit.ts";

/** How long it stalls, from the moment that the limit is switched on. */
export const STALL_MS = 40_000;

/** A call that comes meanwhile is carried out at the end of the stall. */
export function d1Stalled({ bite, sleep, nowMs }: LimitContext): Limit {
  const untilMs = nowMs() + STALL_MS;
  return {
    async call({ service }, carry) {
      const leftMs = untilMs - nowMs();
      if (service === "d1" && leftMs > 0) {
        bite();
        await sleep(leftMs);
      }
      return await carry();
    },
  };
}
