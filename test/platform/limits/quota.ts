/**
 * The free plan's rows of the day are used up: objects and D1 refuse writes until 00:00 UTC
 * (https://developers.cloudflare.com/durable-objects/platform/pricing/,
 * https://developers.cloudflare.com/changelog/post/2026-09-01-d1-free-tier-limit-enforcement/).
 * `setAlarm` counts as a written row. The texts are those that users report. That `CREATE TABLE IF
 * NOT EXISTS` is refused where it creates nothing is an assumption: nobody reports either.
 */
import { isWrite, type Limit, type LimitContext } from "./limit.ts";

/** The message of Durable Objects. */
export const OBJECT_QUOTA = "Exceeded allowed rows written in Durable Objects free tier.";
/** The message of D1. */
export const D1_QUOTA =
  "D1_ERROR: Your account has exceeded D1's free tier daily row write limit. Upgrade to a paid plan or wait until tomorrow (midnight UTC) to continue. See https://developers.cloudflare.com/d1/platform/limits/ for more details.";

const DAY_MS = 86_400_000;

/** Used up from the moment that the limit is switched on until the next midnight. */
export function quota({ bite, nowMs }: LimitContext): Limit {
  const untilMs = (Math.floor(nowMs() / DAY_MS) + 1) * DAY_MS;
  const refuse = (message: string): void => {
    if (nowMs() >= untilMs) return;
    bite();
    throw new Error(message);
  };
  return {
    statement(statement) {
      if (isWrite(statement)) refuse(OBJECT_QUOTA);
    },
    setAlarm() {
      refuse(OBJECT_QUOTA);
    },
    async call({ service, args }, carry) {
      if (service === "d1" && args.some((statement) => isWrite(String(statement)))) refuse(D1_QUOTA);
      return await carry();
    },
  };
}
