import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { now } from "./clock.ts";
import { refusal } from "../../../test/support/refusals.ts";
import type { ProblemCode } from "../../protocol/problem.ts";
import { readAnswer, type ApiError } from "./problem.ts";
import { dismissTrouble, noteTrouble, trouble } from "./trouble.ts";

const EVENING = Date.UTC(2026, 10, 27, 22);

function at(ms: number): string | null {
  vi.setSystemTime(ms);
  now.value = ms;
  return trouble.value;
}

/** The manager refuses. */
async function refused(code: ProblemCode, detail: string, retryAfter: string | null): Promise<void> {
  await answered(refusal(code, detail, retryAfter === null ? {} : { "Retry-After": retryAfter }));
}

async function answered(response: Response): Promise<void> {
  const body = await response.text();
  try {
    readAnswer({ status: response.status, header: (name) => response.headers.get(name) }, body);
  } catch (thrown) {
    noteTrouble(thrown as ApiError, response, body);
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  at(EVENING);
});
afterEach(() => {
  dismissTrouble();
  vi.useRealTimers();
});

it("P13: a used-up quota is shown until it starts anew", async () => {
  await refused("quota_exceeded", "used up until 00:00 UTC", "7200");
  expect(trouble.value).toBe("used up until 00:00 UTC");
  expect([at(EVENING + 7_199_000), at(EVENING + 7_200_000)]).toEqual(["used up until 00:00 UTC", null]);
});

it("Cloudflare's own page about used-up requests is shown until 00:00 UTC", async () => {
  await answered(new Response("<html><h2>Error 1027</h2></html>", { status: 429 }));
  expect(trouble.value).toMatch(/requests.*00:00 UTC/);
  expect(at(EVENING + 2 * 3_600_000)).toBeNull();
});

it("data of a newer version is shown for as long as calls are refused for it", async () => {
  await refused("manager_outdated", "deploy the newer version", "60");
  expect([at(EVENING + 59_000), at(EVENING + 60_000)]).toEqual(["deploy the newer version", null]);
});

it("other refusals say nothing of the manager as a whole, and the banner can be put away", async () => {
  await refused("overloaded", "busy", "2");
  await answered(new Response("too many requests", { status: 429 }));
  await refused("not_found", "1027", null);
  expect(trouble.value).toBeNull();
  await refused("quota_exceeded", "used up", null);
  dismissTrouble();
  expect(trouble.value).toBeNull();
});
