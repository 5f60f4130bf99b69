/**
 * An alarm whose handler throws is tried again up to six times, and then it is gone
 * (https://developers.cloudflare.com/durable-objects/api/alarms/). The tries take about two minutes
 * (2 s, doubling); here they follow each other at once. The reason for the failure is one that the
 * product cannot handle: while the alarm rings, every write of the object is refused.
 */
import { isWrite, type Limit, type LimitContext } from "./limit.ts";

/** Tries after the first. */
export const RETRIES = 6;
/** The platform's message for storage that fails. */
export const STORAGE_FAILED = "Internal error in Durable Object storage caused object to be reset.";

/** The first alarm of each object fails seven times and is dropped; later alarms ring. */
export function alarmsDropped({ bite }: LimitContext): Limit {
  const dropped = new WeakSet();
  const failing = new WeakSet();
  const refuse = (invocation: object): void => {
    if (failing.has(invocation)) throw new Error(STORAGE_FAILED);
  };
  return {
    statement(statement, _params, invocation) {
      if (isWrite(statement)) refuse(invocation);
    },
    setAlarm: refuse,
    async alarm(handler, info, invocation) {
      if (dropped.has(invocation)) return await handler(info);
      dropped.add(invocation);
      bite();
      failing.add(invocation);
      try {
        for (let retryCount = 0; retryCount <= RETRIES; retryCount++) {
          const failed = await handler({ isRetry: retryCount > 0, retryCount }).then(
            () => false,
            () => true,
          );
          // A handler that returns is not called again, although what it wrote was refused.
          if (!failed) break;
        }
      } finally {
        failing.delete(invocation);
      }
    },
  };
}
