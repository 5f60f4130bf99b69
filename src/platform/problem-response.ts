/**
 * Refusals, field errors and thrown errors as problem documents (RFC 9457). No internal detail is
 * in them (P10).
 */
import { PROBLEMS, type FieldError, type Problem, type Refusal } from "../protocol/problem.ts";

/**
 * The `type` of a problem: a relative address, so that it holds under any host. `GET
 * /problems/{code}` answers it.
 */
export function problemType(code: string): string {
  return `/problems/${code}`;
}

/**
 * `Retry-After` in seconds, unless the caller sets it. An overloaded object recovers in seconds;
 * rate limits count by the minute.
 */
const RETRY_AFTER_S = { overloaded: 2, rate_limited: 60 } as const;

export interface ProblemInit {
  headers?: Record<string, string>;
  /** Path or id of this occurrence. */
  instance?: string;
}

/** A refusal as a problem document, for an answer that contains several of them. */
export function problemOf(refusal: Refusal): Problem {
  const { status, title } = PROBLEMS[refusal.code];
  return {
    type: problemType(refusal.code),
    title,
    status,
    code: refusal.code,
    detail: refusal.detail,
    ...(refusal.errors && refusal.errors.length > 0 ? { errors: refusal.errors } : {}),
  };
}

/** A refusal as a response: `application/problem+json` with the status of its code. */
export function problemResponse(refusal: Refusal, init: ProblemInit = {}): Response {
  const problem: Problem & { instance?: string } = {
    ...problemOf(refusal),
    ...(init.instance === undefined ? {} : { instance: init.instance }),
  };
  const headers = new Headers(init.headers);
  headers.set("Content-Type", "application/problem+json");
  if (!headers.has("Retry-After") && (refusal.code === "overloaded" || refusal.code === "rate_limited")) {
    headers.set("Retry-After", String(RETRY_AFTER_S[refusal.code]));
  }
  if (refusal.code === "unauthorized") headers.set("WWW-Authenticate", 'Bearer realm="tablao"');
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** One refusal for a body or query that breaks rules; it names every field that does. */
export function invalidFields(errors: FieldError[]): Refusal {
  const first = errors[0];
  const rest = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  const detail = first
    ? `${first.field === "" ? "the body" : first.field}: ${first.message}${rest}`
    : "the request breaks a rule";
  return { code: "invalid", detail, errors };
}

/** A thrown error: the answer to the client, and what belongs in the log. */
export interface Failure {
  response: Response;
  /** The error itself; for the log only. */
  message: string;
  /** The id that ties the answer to the log line; null when the answer is an ordinary "busy". */
  incident: string | null;
}

/**
 * The answer to a thrown error. Errors of Durable Object stubs are marked `overloaded` or
 * `retryable` (those have been retried by then): 503 with `Retry-After`. Every other error is a
 * bug: 500 with an incident id, and nothing of the error itself.
 */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (hasFlag(error, "overloaded") || hasFlag(error, "retryable")) {
    return {
      response: problemResponse({
        code: "overloaded",
        detail: "The manager is busy or restarting; try again shortly.",
      }),
      message,
      incident: null,
    };
  }
  const incident = crypto.randomUUID();
  const refusal: Refusal = {
    code: "internal",
    detail: `This is a fault of the manager; its log has more under ${incident}.`,
  };
  return { response: problemResponse(refusal, { instance: `urn:uuid:${incident}` }), message, incident };
}

function hasFlag(error: unknown, flag: "overloaded" | "retryable"): boolean {
  return (
    typeof error === "object" && error !== null && flag in error && (error as Record<string, unknown>)[flag] === true
  );
}
