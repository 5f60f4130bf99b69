/**
 * An invocation may call Cloudflare's services so many times: 1,000 on the free plan, 10,000 by
 * default on the paid one
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests,
 * https://developers.cloudflare.com/changelog/2026-02-11-subrequests-limit/). An object's count
 * begins anew with each event. Calls of `fetch` to other hosts have a limit of their own, which is
 * not emulated: the product makes them for webhooks only, one for each delivery.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** The message of the platform, as users report it. */
export const TOO_MANY_CALLS =
  "Too many API requests by single Worker invocation. To configure this limit, refer to https://developers.cloudflare.com/workers/wrangler/configuration/#limits";

/** Calls beyond `max` are refused. */
export function subrequests(max: number, { bite }: LimitContext): Limit {
  const counts = new WeakMap<object, number>();
  return {
    event(invocation) {
      counts.set(invocation, 0);
    },
    async call(_call, carry, invocation) {
      const count = (counts.get(invocation) ?? 0) + 1;
      counts.set(invocation, count);
      if (count > max) {
        bite();
        throw new Error(TOO_MANY_CALLS);
      }
      return await carry();
    },
  };
}
