/**
 * Every call of a binding takes time: the service is in another data centre. Locally a call takes
 * less than a millisecond. Cloudflare states no figure for it. An object stays where it was first
 * used (https://developers.cloudflare.com/durable-objects/reference/data-location/), and 50 to 300 ms
 * are the round trips between cities of one continent and between continents.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** The shortest round trip, in milliseconds. */
export const LEAST_MS = 50;
/** The longest round trip, in milliseconds. */
const MOST_MS = 300;

/** Half of the time passes before the service has the call, half before its answer is here. */
export function latency({ bite, sleep, random }: LimitContext): Limit {
  return {
    async call(_call, carry) {
      const halfMs = (LEAST_MS + random() * (MOST_MS - LEAST_MS)) / 2;
      bite();
      await sleep(halfMs);
      try {
        return await carry();
      } finally {
        await sleep(halfMs);
      }
    },
  };
}
