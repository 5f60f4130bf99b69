import { describe, expect, it } from "vitest";
import { quotaRefusal, usedUpQuota } from "./quota.ts";

const MORNING = Date.UTC(2026, 10, 27, 9, 30);

describe("usedUpQuota", () => {
  it.each([
    ["Exceeded allowed rows written in Durable Objects free tier.", "Durable Objects: rows written", "midnight"],
    ["Exceeded allowed rows read in Durable Objects free tier.", "Durable Objects: rows read", "midnight"],
    ["Exceeded allowed duration in Durable Objects free tier.", "Durable Objects: duration", "midnight"],
    [
      "Exceeded allowed volume of requests in Durable Objects free tier.",
      "Durable Objects: volume of requests",
      "midnight",
    ],
    ["Exceeded allowed storage in Durable Objects free tier.", "Durable Objects: storage", "unknown"],
    [
      "D1_ERROR: Your account has exceeded D1's free tier daily row write limit. Upgrade to a paid plan or wait until " +
        "tomorrow (midnight UTC) to continue.",
      "D1: rows written",
      "midnight",
    ],
    [
      "D1_ERROR: Your account has exceeded D1's free tier daily row read limit. Upgrade to a paid plan or wait until " +
        "tomorrow (midnight UTC) to continue.",
      "D1: rows read",
      "midnight",
    ],
    ["Exceeded the account's spending cap for Durable Objects.", "Durable Objects", "raised"],
  ])("%s", (message, name, until) => {
    expect(usedUpQuota(new Error(message))).toEqual({ name, until });
  });

  it.each(["", "out of memory", "Durable Object is overloaded. Too many requests queued.", "the quota is used up"])(
    "knows nothing of other errors: %j",
    (message) => {
      expect([usedUpQuota(new Error(message)), usedUpQuota(message), usedUpQuota(undefined)]).toEqual([
        null,
        null,
        null,
      ]);
    },
  );
});

describe("quotaRefusal", () => {
  it("names the quota and its end, and counts the seconds until 00:00 UTC", () => {
    const { refusal, retryAfterS } = quotaRefusal({ name: "D1: rows read", until: "midnight" }, MORNING);
    expect(refusal).toEqual({
      code: "quota_exceeded",
      detail: "Today's quota of Cloudflare's free plan is used up (D1: rows read). It starts anew at 00:00 UTC.",
    });
    expect(retryAfterS).toBe(14.5 * 3_600);
    expect(quotaRefusal({ name: "", until: "midnight" }, Date.UTC(2026, 10, 28)).retryAfterS).toBe(86_400);
    expect(quotaRefusal({ name: "", until: "midnight" }, Date.UTC(2026, 10, 28) - 1).retryAfterS).toBe(1);
  });

  it("promises no end where it knows none", () => {
    for (const until of ["raised", "unknown"] as const) {
      const { refusal, retryAfterS } = quotaRefusal({ name: "Durable Objects", until }, MORNING);
      expect(refusal.detail).not.toContain("UTC");
      expect(retryAfterS).toBe(3_600);
    }
  });
});
