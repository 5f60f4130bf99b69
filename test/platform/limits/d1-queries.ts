/**
 * An invocation may make 50 queries to D1 on the free plan, and 1,000 on the paid one
 * (https://developers.cloudflare.com/d1/platform/limits/, "Queries per Worker invocation"). The page
 * does not say whether a batch counts as one; here each of its statements counts, which is the
 * stricter reading. An object's count begins anew with each event.
 */
import type { Limit, LimitContext } from "./limit.ts";
import { TOO_MANY_CALLS } from "./subrequests.ts";

/** Queries of an invocation on the free plan. */
export const FREE_QUERIES = 50;

/** Queries beyond those of the free plan are refused; a batch is then refused whole. */
export function d1Queries({ bite }: LimitContext): Limit {
  const counts = new WeakMap<object, number>();
  return {
    event(invocation) {
      counts.set(invocation, 0);
    },
    async call({ service, args }, carry, invocation) {
      if (service !== "d1") return await carry();
      const count = (counts.get(invocation) ?? 0) + args.length;
      counts.set(invocation, count);
      if (count > FREE_QUERIES) {
        bite();
        throw new Error(`D1_ERROR: ${TOO_MANY_CALLS}`);
      }
      return await carry();
    },
  };
}
