/** Requests to the manager as a client makes them, for the tests of its HTTP layer. */
import { createExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import worker from "../../src/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import type { Problem, ProblemCode } from "../../src/protocol/problem.ts";
import { problemSchema } from "../../src/protocol/problem-schema.ts";
import { tokenCreatedSchema, type Role } from "../../src/protocol/token.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";

/** As the test configuration sets it. */
export const ADMIN_TOKEN = "test-admin-token-7fQx2LmV9cTzRk4wNbHs";

export const HOST = "https://farm.example";

export interface Sent {
  /** Null sends no token. */
  token?: string | null;
  json?: unknown;
  form?: Record<string, string>;
  body?: BodyInit;
  headers?: Record<string, string>;
}

function manager(): Fetcher {
  return (exports as unknown as { default: Fetcher }).default;
}

/** Send one request, as the admin unless another token is given. */
export async function send(
  method: string,
  path: string,
  { token = ADMIN_TOKEN, json, form, body, headers = {} }: Sent = {},
): Promise<Response> {
  const all = new Headers(headers);
  if (token !== null) all.set("Authorization", `Bearer ${token}`);
  if (json !== undefined) all.set("Content-Type", "application/json");
  if (form !== undefined) all.set("Content-Type", "application/x-www-form-urlencoded");
  const content =
    json !== undefined ? JSON.stringify(json) : form !== undefined ? new URLSearchParams(form).toString() : body;
  return await manager().fetch(HOST + path, { method, headers: all, body: content, redirect: "manual" });
}

/** Ask the Worker itself, with other bindings than those of the test run. */
export async function ask(path: string, other: Partial<Env>, init: RequestInit = {}): Promise<Response> {
  return await worker.fetch(
    new Request(HOST + path, init),
    { ...(env as unknown as Env), ...other },
    createExecutionContext(),
  );
}

/** The body, after its status and type have been checked. */
export async function okJson(response: Response, status: number): Promise<Record<string, unknown>> {
  const text = await response.text();
  expect({ status: response.status, text: response.status === status ? "" : text }).toEqual({ status, text: "" });
  expect(response.headers.get("Content-Type")).toBe("application/json");
  return JSON.parse(text) as Record<string, unknown>;
}

/** The problem document, after its status, code and type have been checked. */
export async function problem(response: Response, status: number, code: ProblemCode): Promise<Problem> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  const document = problemSchema.parse(await response.json());
  expect({ status: response.status, inBody: document.status, code: document.code }).toEqual({
    status,
    inBody: status,
    code,
  });
  return document;
}

/** A new token of a role, which may be `join`. */
export async function newToken(role: Role, name: string = role): Promise<{ id: number; token: string }> {
  return tokenCreatedSchema.parse(await okJson(await send("POST", "/tokens", { json: { role, name } }), 201));
}

/** A new worker with its secret. */
export async function newWorker(hostname: string): Promise<{ id: number; secret: string }> {
  const programs = { "tablao-tool": "1" };
  const answer = await send("POST", "/workers", {
    json: { hostname, system: "Linux 6.1", platform: "linux", programs },
  });
  const [worker] = Object.values(workerRegisteredSchema.parse(await okJson(answer, 201)));
  return { id: worker!.id, secret: worker!.secret! };
}

/** A task with three frames; returns its id. */
export async function newTask(token: string = ADMIN_TOKEN, more: Record<string, unknown> = {}): Promise<number> {
  const json = { type: "print_string", settings: { text: "hello", frames: "1-3" }, ...more };
  return (await okJson(await send("POST", "/tasks", { token, json }), 202))["id"] as number;
}
