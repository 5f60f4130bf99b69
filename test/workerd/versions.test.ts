/**
 * Versions of the manager that meet: an object of the version before under a Worker of the next
 * one, while a deploy is under way.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import { ADMIN_TOKEN, ask, problem } from "./http-client.ts";

const withToken = { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } };

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("an object of the version before, which lacks a method", () => {
  /** A registry whose methods fail like this, as often as errors are given. */
  function lacking(method: string, errors: Error[]): { REGISTRY: Env["REGISTRY"]; calls: () => number } {
    let calls = 0;
    const call = async (): Promise<unknown> => {
      calls++;
      const error = errors.shift();
      if (error) throw error;
      return method === "createToken" ? { token: { id: 1 }, secret: "made" } : [];
    };
    return { REGISTRY: { getByName: () => ({ [method]: call }) } as unknown as Env["REGISTRY"], calls: () => calls };
  }

  const missing = (method: string): Error =>
    new TypeError(`The RPC receiver does not implement the method "${method}".`);

  test("is called again, also with a call that creates something: nothing was done", async () => {
    const listed = lacking("listTokens", [missing("listTokens"), missing("listTokens")]);
    expect((await ask("/tokens", { REGISTRY: listed.REGISTRY }, withToken)).status).toBe(200);
    expect(listed.calls()).toBe(3);
    const made = lacking("createToken", [missing("createToken")]);
    const headers = { ...withToken.headers, "Content-Type": "application/json" };
    const body = JSON.stringify({ role: "viewer", name: "wall" });
    expect((await ask("/tokens", { REGISTRY: made.REGISTRY }, { method: "POST", headers, body })).status).toBe(201);
    expect(made.calls()).toBe(2);
  });

  test("is a 503 for as long as it lasts, and no fault of the manager", async () => {
    const { REGISTRY } = lacking(
      "listTokens",
      Array.from({ length: 9 }, () => missing("listTokens")),
    );
    const answer = await ask("/tokens", { REGISTRY }, withToken);
    expect(answer.headers.get("Retry-After")).toBe("2");
    expect((await problem(answer, 503, "overloaded")).detail).toContain("replaced by another version");
  });
});
