/**
 * At most six calls of one invocation wait for the head of their answer; others queue. R2 and D1
 * count, Durable Objects do not
 * (https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections,
 * https://developers.cloudflare.com/d1/platform/limits/). workerd alone does not limit them.
 */
import { Semaphore } from "../../../src/lib/concurrency.ts";
import type { Limit, LimitContext } from "./limit.ts";

/** Calls that may wait at a time. */
export const CONNECTIONS = 6;

interface Waiting {
  gate: Semaphore;
  calls: number;
}

/** A call that finds all connections taken waits, and is counted. */
export function connections({ bite }: LimitContext): Limit {
  const waiting = new WeakMap<object, Waiting>();
  return {
    async call({ service }, carry, invocation) {
      if (service !== "r2" && service !== "d1") return await carry();
      const here = waiting.get(invocation) ?? { gate: new Semaphore(CONNECTIONS), calls: 0 };
      waiting.set(invocation, here);
      if (++here.calls > CONNECTIONS) bite();
      try {
        return await here.gate.run(carry);
      } finally {
        here.calls--;
      }
    },
  };
}
