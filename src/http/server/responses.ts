/**
 * Responses with a JSON body or without a body. Problem documents are made in
 * `platform/problem-response.ts`.
 */
import { ok } from "../../lib/result.ts";
import { headersOf } from "./headers.ts";

const JSON_HEADERS = headersOf("application/json");

/** An answer for which a handler chooses the status, or adds headers. */
export class Reply<Status extends number, Body> {
  readonly status: Status;
  readonly body: Body;
  readonly headers: Headers | Record<string, string> | undefined;

  constructor(status: Status, body: Body, headers?: Headers | Record<string, string>) {
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

/** Return this from a handler to answer with one of several declared statuses, or with headers. */
export function reply<const Status extends number, Body>(
  status: Status,
  body: Body,
  headers?: Headers | Record<string, string>,
): { ok: true; value: Reply<Status, Body> } {
  return ok(new Reply(status, body, headers));
}

/** A JSON response. */
export function json(value: unknown, status: number, headers?: Headers | Record<string, string>): Response {
  const text = JSON.stringify(value);
  if (headers === undefined) return new Response(text, { status, headers: JSON_HEADERS });
  const all = new Headers(headers);
  all.set("Content-Type", "application/json");
  return new Response(text, { status, headers: all });
}

/** 204, which has no body. */
export function noContent(headers?: Headers | Record<string, string>): Response {
  return new Response(null, { status: 204, headers });
}
