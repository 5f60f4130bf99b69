import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { now } from "./clock.ts";
import { apiErrorOf } from "./problem.ts";
import { dismissTrouble, noteTrouble, trouble } from "./trouble.ts";

const EVENING = Date.UTC(2026, 10, 27, 22);

function at(ms: number): string | null {
  vi.setSystemTime(ms);
  now.value = ms;
  return trouble.value;
}

function answered(status: number, body: string, retryAfter: string | null): void {
  const headers = new Headers(retryAfter === null ? {} : { "Retry-After": retryAfter });
  noteTrouble(apiErrorOf(status, body), { status, headers }, body);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  at(EVENING);
});
afterEach(() => {
  dismissTrouble();
  vi.useRealTimers();
});

it("P13: a used-up quota is shown until it starts anew", () => {
  answered(503, JSON.stringify({ code: "quota_exceeded", detail: "used up until 00:00 UTC" }), "7200");
  expect(trouble.value).toBe("used up until 00:00 UTC");
  expect([at(EVENING + 7_199_000), at(EVENING + 7_200_000)]).toEqual(["used up until 00:00 UTC", null]);
});

it("Cloudflare's own page about used-up requests is shown until 00:00 UTC", () => {
  answered(429, "<html><h2>Error 1027</h2></html>", null);
  expect(trouble.value).toMatch(/requests.*00:00 UTC/);
  expect(at(EVENING + 2 * 3_600_000)).toBeNull();
});

it("data of a newer version is shown for as long as calls are refused for it", () => {
  answered(503, JSON.stringify({ code: "manager_outdated", detail: "deploy the newer version" }), "60");
  expect([at(EVENING + 59_000), at(EVENING + 60_000)]).toEqual(["deploy the newer version", null]);
});

it("other refusals say nothing of the manager as a whole, and the banner can be put away", () => {
  answered(503, JSON.stringify({ code: "overloaded", detail: "busy" }), "2");
  answered(429, "too many requests", null);
  answered(404, JSON.stringify({ code: "not_found", detail: "1027" }), null);
  expect(trouble.value).toBeNull();
  answered(503, JSON.stringify({ code: "quota_exceeded", detail: "used up" }), null);
  dismissTrouble();
  expect(trouble.value).toBeNull();
});
