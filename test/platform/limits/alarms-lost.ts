/**
 * An alarm that was set, and does not ring. Cloudflare promises that alarms run at least once
 * (https://developers.cloudflare.com/durable-objects/api/alarms/); users saw some that did not
 * (https://github.com/cloudflare/cloudflare-docs/issues/18324,
 * https://github.com/cloudflare/workerd/issues/6866).
 */
import type { Limit, LimitContext } from "./limit.ts";

/** How many alarms of each object are lost: the first, and the one that was set instead of it. */
export const LOST = 2;

/** Afterwards no alarm is set, as if it had rung. */
export function alarmsLost({ bite }: LimitContext): Limit {
  const lost = new WeakMap<object, number>();
  return {
    async alarm(handler, info, invocation) {
      const count = lost.get(invocation) ?? 0;
      if (count >= LOST) return await handler(info);
      lost.set(invocation, count + 1);
      bite();
    },
  };
}
