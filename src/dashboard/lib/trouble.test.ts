import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { now } from "./clock.ts";
import { PROBLEMS, problemType, type ProblemCode } from "../../protocol/problem.ts";
import { readAnswer, type ApiError } from "./problem.ts";
import { dismissTrouble, noteTrouble, trouble } from "./trouble.ts";

const EVENING = Date.UTC(2026, 10, 27, 22);

function at(ms: number): string | null {
  vi.setSystemTime(ms);
  now.value = ms;
  return trouble.value;
}

/** A refusal by the manager. */
function refused(code: ProblemCode, detail: string, retryAfter: string | null): void {
  const { status, title } = PROBLEMS[code];
  const type = "application/problem+json";
  answered(status, type, JSON.stringify({ type: problemType(code), title, status, code, detail }), retryAfter);
}

function answered(status: number, type: string, body: string, retryAfter: string | null): void {
  const headers = new Headers({ "Content-Type": type, ...(retryAfter !== null && { "Retry-After": retryAfter }) });
  try {
    readAnswer({ status, header: (name) => headers.get(name) }, body);
  } catch (thrown) {
    noteTrouble(thrown as ApiError, { status, headers }, body);
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

it("P13: a used-up quota is shown until it starts anew", () => {
  refused("quota_exceeded", "used up until 00:00 UTC", "7200");
  expect(trouble.value).toBe("used up until 00:00 UTC");
  expect([at(EVENING + 7_199_000), at(EVENING + 7_200_000)]).toEqual(["used up until 00:00 UTC", null]);
});

it("Cloudflare's own page about used-up requests is shown until 00:00 UTC", () => {
  answered(429, "text/html", "<html><h2>Error 1027</h2></html>", null);
  expect(trouble.value).toMatch(/requests.*00:00 UTC/);
  expect(at(EVENING + 2 * 3_600_000)).toBeNull();
});

it("data of a newer version is shown for as long as calls are refused for it", () => {
  refused("manager_outdated", "deploy the newer version", "60");
  expect([at(EVENING + 59_000), at(EVENING + 60_000)]).toEqual(["deploy the newer version", null]);
});

it("other refusals say nothing of the manager as a whole, and the banner can be put away", () => {
  refused("overloaded", "busy", "2");
  answered(429, "text/plain", "too many requests", null);
  refused("not_found", "1027", null);
  expect(trouble.value).toBeNull();
  refused("quota_exceeded", "used up", null);
  dismissTrouble();
  expect(trouble.value).toBeNull();
});
