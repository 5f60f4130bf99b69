/** Answers that several resources share. */
import type { Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { headersOf } from "./headers.ts";
import { problemResponse } from "../platform/problem-response.ts";

const JSON_HEADERS = headersOf("application/json");

/** A JSON answer. */
export function json(value: unknown, status = 200, headers?: Headers | Record<string, string>): Response {
  const text = JSON.stringify(value);
  if (headers === undefined) return new Response(text, { status, headers: JSON_HEADERS });
  const all = new Headers(headers);
  all.set("Content-Type", "application/json");
  return new Response(text, { status, headers: all });
}

/** 204, with nothing in it. */
export function noContent(headers?: Headers | Record<string, string>): Response {
  return new Response(null, { status: 204, headers });
}

/** What an object returned: its value as JSON, or its refusal as a problem. */
export function jsonResult(result: Result<unknown, Refusal>, status = 200): Response {
  return result.ok ? json(result.value, status) : problemResponse(result.error);
}

/** 404 for an id that cannot be one, or is none. */
export function notFound(what: string): Response {
  return problemResponse({ code: "not_found", detail: `There is no such ${what}.` });
}
