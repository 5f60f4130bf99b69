/**
 * Refusals, field errors and thrown errors as problem documents (RFC 9457). No internal detail is
 * in them (P10).
 */
import { isMissingMethod } from "../lib/retry.ts";
import {
  PROBLEM_MEDIA_TYPE,
  PROBLEMS,
  problemType,
  type FieldError,
  type Problem,
  type ProblemCode,
  type Refusal,
} from "../protocol/problem.ts";
import { newerSchemaRefusal } from "./newer-schema.ts";
import { quotaRefusal, usedUpQuota } from "./quota.ts";
import { storageFailureRefusal } from "./storage-failure.ts";

/**
 * `Retry-After` in seconds, unless the caller sets it. An overloaded object recovers in seconds;
 * rate limits count by the minute; another version is deployed by a person.
 */
const RETRY_AFTER_S: Partial<Record<ProblemCode, number>> = { overloaded: 2, rate_limited: 60, manager_outdated: 60 };

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
  headers.set("Content-Type", PROBLEM_MEDIA_TYPE);
  const retryAfterS = RETRY_AFTER_S[refusal.code];
  if (!headers.has("Retry-After") && retryAfterS !== undefined) headers.set("Retry-After", String(retryAfterS));
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
 * The answer to a thrown error. Most errors of objects and of the storage pass, and are a 503 with
 * `Retry-After`:
 * - a quota of the platform is used up;
 * - R2 or D1 could not be reached, or failed (`storage-failure.ts`);
 * - the object's rows were written by a newer version of the manager;
 * - the object runs the code of before a deploy, and lacks the method;
 * - the error is marked `overloaded` or `retryable` (those have been retried by then).
 *
 * Every other error is a bug: 500 with an incident id, and nothing of the error itself.
 */
export function failureOf(error: unknown, nowMs = Date.now()): Failure {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const quota = usedUpQuota(error);
  if (quota) {
    const { refusal, retryAfterS } = quotaRefusal(quota, nowMs);
    const response = problemResponse(refusal, { headers: { "Retry-After": String(retryAfterS) } });
    return { response, message, incident: null };
  }
  const passing = newerSchemaRefusal(error) ?? storageFailureRefusal(error) ?? passingRefusal(error);
  if (passing) return { response: problemResponse(passing), message, incident: null };
  const incident = crypto.randomUUID();
  const refusal: Refusal = {
    code: "internal",
    detail: `This is a fault of the manager; its log has more under ${incident}.`,
  };
  return { response: problemResponse(refusal, { instance: `urn:uuid:${incident}` }), message, incident };
}

function passingRefusal(error: unknown): Refusal | null {
  if (isMissingMethod(error))
    return { code: "overloaded", detail: "The manager is being replaced by another version; try again shortly." };
  if (hasFlag(error, "overloaded") || hasFlag(error, "retryable"))
    return { code: "overloaded", detail: "The manager is busy or restarting; try again shortly." };
  return null;
}

function hasFlag(error: unknown, flag: "overloaded" | "retryable"): boolean {
  return (
    typeof error === "object" && error !== null && flag in error && (error as Record<string, unknown>)[flag] === true
  );
}
