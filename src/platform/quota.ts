/**
 * What the platform says when a quota or a spending limit is used up. Its errors have no code, so
 * they are known by their texts, and this is the one place that knows the texts. Pure.
 */
import { messageOf } from "../lib/errors.ts";
import type { Refusal } from "../protocol/problem.ts";

/**
 * Durable Objects on the free plan: "Exceeded allowed rows written in Durable Objects free tier."
 * That all of them start anew at 00:00 UTC:
 * https://developers.cloudflare.com/durable-objects/platform/pricing/
 */
const OBJECTS = /Exceeded allowed (.{1,60}?) in Durable Objects free tier/;
/** The quotas of `OBJECTS` that are daily, in the platform's words. Any other may never end. */
const DAILY = ["rows written", "rows read", "duration", "volume of requests"];
/**
 * D1 on the free plan, since September 2026:
 * https://developers.cloudflare.com/d1/observability/debug-d1/
 */
const DATABASE = /exceeded D1's free tier daily row (read|write) limit/;
/**
 * A spending limit that the owner of the account has set:
 * https://developers.cloudflare.com/durable-objects/platform/spend-management/
 */
const SPENDING = /Exceeded the account's spending cap for ([\w ]{1,60})/;

const DAY_MS = 86_400_000;
/**
 * `Retry-After` where nobody knows when the limit ends, in seconds. Clients of ours come again
 * after a minute anyway.
 */
const UNKNOWN_END_S = 3_600;

/** A quota that is used up. */
export interface UsedUpQuota {
  /** Which one, for people: "Durable Objects: rows written". */
  name: string;
  /** When it ends: at the next 00:00 UTC, when its owner raises it, or nobody knows. */
  until: "midnight" | "raised" | "unknown";
}

/** The quota that an error of a binding or an object names as used up; null for any other error. */
export function usedUpQuota(error: unknown): UsedUpQuota | null {
  const message = messageOf(error);
  const [, ofObjects] = OBJECTS.exec(message) ?? [];
  if (ofObjects !== undefined)
    return { name: `Durable Objects: ${ofObjects}`, until: DAILY.includes(ofObjects) ? "midnight" : "unknown" };
  const [, ofDatabase] = DATABASE.exec(message) ?? [];
  if (ofDatabase !== undefined)
    return { name: `D1: rows ${ofDatabase === "read" ? "read" : "written"}`, until: "midnight" };
  const [, product] = SPENDING.exec(message) ?? [];
  return product === undefined ? null : { name: product.trim(), until: "raised" };
}

/** The refusal of a call that needs the quota, and the seconds until another try may succeed. */
export function quotaRefusal(quota: UsedUpQuota, nowMs: number): { refusal: Refusal; retryAfterS: number } {
  const { name, until } = quota;
  const untilMidnightS = Math.ceil((DAY_MS - (nowMs % DAY_MS)) / 1_000);
  const detail = {
    midnight: `Today's quota of Cloudflare's free plan is used up (${name}). It starts anew at 00:00 UTC.`,
    raised: `The spending limit of the Cloudflare account is reached (${name}). Raise it in Cloudflare's dashboard.`,
    unknown: `A limit of Cloudflare's free plan is reached (${name}).`,
  }[until];
  return {
    refusal: { code: "quota_exceeded", detail },
    retryAfterS: until === "midnight" ? untilMidnightS : UNKNOWN_END_S,
  };
}
