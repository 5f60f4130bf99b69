/**
 * During a deployment a Worker of the new release calls an object of the old one, which lacks the
 * methods that are new
 * (https://developers.cloudflare.com/durable-objects/platform/known-issues/#code-updates). The runtime
 * answers such a call with a TypeError that is not marked `retryable`. Any method may be the new one
 * of some release, so here each is missing for a while.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** So many calls of each method meet the old object. On the platform it is old for seconds. */
export const OLD_FOR_CALLS = 2;

/** The message of the runtime. */
export function missingMethod(method: string): string {
  return `The RPC receiver does not implement the method "${method}".`;
}

/** The first calls of each method of tasks and of the registry find it missing. */
export function oldObject({ bite }: LimitContext): Limit {
  const calls = new Map<string, number>();
  return {
    async call({ service, method }, carry) {
      // Every release has `fetch`: it takes the sockets.
      if ((service !== "task" && service !== "registry") || method === "fetch") return await carry();
      const name = `${service}.${method}`;
      const count = calls.get(name) ?? 0;
      calls.set(name, count + 1);
      if (count >= OLD_FOR_CALLS) return await carry();
      bite();
      throw new TypeError(missingMethod(method));
    },
  };
}
