/**
 * One object of R2 takes one write a second
 * (https://developers.cloudflare.com/r2/platform/limits/: "Maximum concurrent writes to the same
 * object name (key): 1 per second"). The code is that of
 * https://developers.cloudflare.com/r2/api/error-codes/.
 */
import type { Limit, LimitContext } from "./limit.ts";

const INTERVAL_MS = 1_000;
/** The message of the platform, as users report it. */
export const TOO_FAST = "put: Reduce your concurrent request rate for the same object. (10058)";

/** A put of a key within a second of the last put of it is refused, also a conditional one. */
export function writeRate({ bite, nowMs }: LimitContext): Limit {
  const puts = new Map<string, number>();
  return {
    async call({ service, method, args }, carry) {
      if (service !== "r2" || method !== "put") return await carry();
      const key = String(args[0]);
      const lastMs = puts.get(key);
      if (lastMs !== undefined && nowMs() - lastMs < INTERVAL_MS) {
        bite();
        throw new Error(TOO_FAST);
      }
      puts.set(key, nowMs());
      return await carry();
    },
  };
}
