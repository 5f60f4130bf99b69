/**
 * D1 is full for ever: a database holds 10 GB on the paid plan and 500 MB on the free one
 * (https://developers.cloudflare.com/d1/platform/limits/). What is stored can be read. The message is
 * that of https://developers.cloudflare.com/d1/observability/debug-d1/.
 */
import { isWrite, type Limit, type LimitContext } from "./limit.ts";

/** The message of the platform. */
export const DATABASE_FULL = "D1_ERROR: Exceeded maximum DB size";

/** Every write is refused. */
export function d1Full({ bite }: LimitContext): Limit {
  return {
    async call({ service, args }, carry) {
      if (service !== "d1" || !args.some((statement) => isWrite(String(statement)))) return await carry();
      bite();
      throw new Error(DATABASE_FULL);
    },
  };
}
