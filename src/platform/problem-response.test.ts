import { describe, expect, it } from "vitest";
import { PROBLEMS, type ProblemCode } from "../protocol/problem.ts";
import { problemSchema } from "../protocol/problem-schema.ts";
import { newerSchema } from "./newer-schema.ts";
import { failureOf, problemResponse } from "./problem-response.ts";
import { storageFailure } from "./storage-failure.ts";

describe("problemResponse", () => {
  it.each(Object.keys(PROBLEMS) as ProblemCode[])("%s has its own status and is a problem document", async (code) => {
    const response = problemResponse({ code, detail: "why", errors: [{ field: "a.0", message: "no" }] });
    expect(response.status).toBe(PROBLEMS[code].status);
    expect(response.headers.get("Content-Type")).toBe("application/problem+json");
    expect(problemSchema.parse(await response.json())).toMatchObject({
      code,
      detail: "why",
      status: response.status,
      errors: [{ field: "a.0" }],
    });
  });

  it("says when to try again", () => {
    expect(problemResponse({ code: "overloaded", detail: "" }).headers.get("Retry-After")).toBe("2");
    expect(
      problemResponse({ code: "overloaded", detail: "" }, { headers: { "Retry-After": "9" } }).headers.get(
        "Retry-After",
      ),
    ).toBe("9");
    expect(problemResponse({ code: "conflict", detail: "" }).headers.has("Retry-After")).toBe(false);
  });
});

describe("failureOf", () => {
  it.each(["overloaded", "retryable"])("a Durable Object that is %s is a 503", (flag) => {
    const { response, incident } = failureOf(Object.assign(new Error("secret inside"), { [flag]: true }));
    expect([response.status, incident]).toEqual([503, null]);
    expect(response.headers.has("Retry-After")).toBe(true);
  });

  it("P13: a used-up quota is a 503 until it starts anew", async () => {
    const error = new Error("Exceeded allowed rows written in Durable Objects free tier.");
    const { response, incident } = failureOf(error, Date.UTC(2026, 10, 27, 23));
    expect([response.status, response.headers.get("Retry-After"), incident]).toEqual([503, "3600", null]);
    expect(problemSchema.parse(await response.json())).toMatchObject({ code: "quota_exceeded" });
  });

  it("rows of a newer version are a 503 that says what to deploy", async () => {
    const { response, incident } = failureOf(newerSchema(3, 2));
    expect([response.status, response.headers.get("Retry-After"), incident]).toEqual([503, "60", null]);
    const { code, detail } = problemSchema.parse(await response.json());
    expect([code, detail]).toEqual(["manager_outdated", expect.stringContaining("schema 3; this version knows 2")]);
  });

  it("a method that the object does not have yet is a 503", () => {
    const error = new TypeError('The RPC receiver does not implement the method "nextVersion".');
    const { response, incident } = failureOf(error);
    expect([response.status, response.headers.get("Retry-After"), incident]).toEqual([503, "2", null]);
  });

  it.each([
    ["R2", "Network connection lost."],
    ["R2", "get: We encountered an internal error. Please try again. (10001)"],
    ["D1", "D1_ERROR: D1 DB is overloaded. Requests queued for too long."],
    ["D1", "D1_ERROR: database or disk is full: SQLITE_FULL"],
  ] as const)("P13: a failure of %s that may pass is a 503: %s", async (service, text) => {
    const { response, incident, message } = failureOf(storageFailure(service, "get", new Error(text)));
    expect([response.status, response.headers.get("Retry-After"), incident]).toEqual([503, "2", null]);
    expect(await response.text()).not.toContain(text);
    expect(message).toBe(`${service} get: ${text}`);
  });

  it("a used-up quota of D1 is still told as one", async () => {
    const text = "D1_ERROR: Your account has exceeded D1's free tier daily row write limit.";
    const { response } = failureOf(storageFailure("D1", "batch", new Error(text)));
    expect(problemSchema.parse(await response.json())).toMatchObject({ code: "quota_exceeded" });
  });

  it.each([
    new Error("D1_ERROR: no such column: x: SQLITE_ERROR"),
    new Error("D1_ERROR: UNIQUE constraint failed: a.b: SQLITE_CONSTRAINT"),
    new Error("Too many API requests by single Worker invocation."),
    new TypeError("Incorrect type for the argument"),
  ])("P10: %s of the storage is a fault of ours", (error) => {
    expect(failureOf(storageFailure("D1", "batch", error)).response.status).toBe(500);
  });

  it("P10: any other error is a 500 that says only where to look", async () => {
    const { response, incident, message } = failureOf(
      Object.assign(new Error("secret inside"), { stack: "at secret.ts:1", extra: "secret" }),
    );
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).not.toContain("secret");
    expect(text).toContain(incident);
    expect(message).toBe("Error: secret inside");
  });
});
