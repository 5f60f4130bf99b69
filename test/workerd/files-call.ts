/**
 * Calls routes as the router does after it has authorised the caller, with the bindings of the
 * test's own isolate.
 */
import { env as bindings } from "cloudflare:workers";
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { expect } from "vitest";
import type { Route } from "../../src/http/server/route.ts";
import { runRoute } from "../../src/http/server/run-route.ts";
import type { Env } from "../../src/rpc/env.ts";
import type { Grant } from "../../src/protocol/file.ts";
import type { Principal } from "../../src/protocol/token.ts";

export const SECRET = "a secret of this test";
/** The bindings; a test may replace one with a fake. */
export const env: Env = { ...(bindings as unknown as Env), TABLAO_SIGNING_KEY: SECRET };
export const ARTIST: Principal = { role: "artist", id: 1, name: "ana" };
export const WORKER: Principal = { role: "worker", id: 5, name: "box" };
export const GRANT: Grant = {
  task: 3,
  lease_id: "l1",
  attempt: 2,
  worker: 5,
  input_task: null,
  exp_ms: Date.now() + 600_000,
};

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function text(content: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(content));
}

export interface Call {
  /** The path parameters and query as the router passes them. */
  query?: string;
  params?: Record<string, string>;
  principal?: Principal;
  method?: string;
  headers?: Record<string, string>;
  body?: BodyInit;
}

export async function call(
  route: Route,
  { params = {}, principal = ARTIST, query = "", ...init }: Call = {},
): Promise<Response> {
  const request = new Request(`https://farm.example/x?${query}`, {
    ...init,
    method: init.method ?? (init.body === undefined ? "GET" : "PUT"),
  });
  const ctx = createExecutionContext();
  const context = { request, url: new URL(request.url), env, ctx };
  const response = await runRoute(route, context, params, { principal, credential: "access", untilMs: null });
  const answer = new Response(response.body && (await response.arrayBuffer()), response);
  await waitOnExecutionContext(ctx);
  return answer;
}

/** PUT of bytes, with their length unless `headers` says otherwise. */
export function put(route: Route, bytes: Uint8Array<ArrayBuffer>, more: Call = {}): Promise<Response> {
  return call(route, { ...more, body: bytes, headers: { "Content-Length": String(bytes.length), ...more.headers } });
}

export function post(route: Route, value: unknown, more: Call = {}): Promise<Response> {
  return call(route, {
    ...more,
    method: "POST",
    body: JSON.stringify(value),
    headers: { "Content-Type": "application/json", ...more.headers },
  });
}

export async function problem(response: Response): Promise<{ status: number; code: string; fields: string[] }> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  const body = await response.json<{ code: string; errors?: { field: string }[] }>();
  return { status: response.status, code: body.code, fields: (body.errors ?? []).map((error) => error.field) };
}

export async function keys(prefix: string): Promise<string[]> {
  return (await env.FILES.list({ prefix })).objects.map((object) => object.key);
}
