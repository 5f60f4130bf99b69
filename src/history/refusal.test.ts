import { expect, test } from "vitest";
import { isLastingRefusal } from "./refusal.ts";

test.each([
  ["D1_ERROR: Exceeded maximum DB size.", true],
  ["D1_ERROR: database or disk is full: SQLITE_FULL", true],
  ["D1_ERROR: Your account has exceeded D1's maximum account storage limit, please contact Cloudflare", true],
  ["D1_ERROR: Your account has exceeded D1's free tier daily row write limit.", true],
  ["D1_ERROR: D1 DB is overloaded. Requests queued for too long.", false],
  ["D1_ERROR: Network connection lost.", false],
  ["no answer within 5000 ms", false],
])("%s: lasting is %s", (message, lasting) => {
  expect(isLastingRefusal(message)).toBe(lasting);
});
