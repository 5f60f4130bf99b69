/**
 * Problem documents (RFC 9457). Every error that leaves the manager is one of these: `code` is the
 * stable, machine-readable word, `detail` is for people, and `errors` names each offending field.
 * The page uses this file, too, so it does not import zod; the schema is in `problem-schema.ts`.
 */

/**
 * Every code that the manager can answer, with its HTTP status and title. The Worker, the agent and
 * the command line share this list. Clients act on codes and statuses, so another code or status
 * would break older clients.
 */
export const PROBLEMS = {
  invalid_request: { status: 400, title: "The request cannot be read" },
  unauthorized: { status: 401, title: "A valid token is required" },
  forbidden: { status: 403, title: "This token may not do that" },
  not_found: { status: 404, title: "There is no such thing here" },
  method_not_allowed: { status: 405, title: "That method is not supported here" },
  conflict: { status: 409, title: "The present state does not allow that" },
  lease_lost: { status: 409, title: "This lease is no longer yours" },
  length_required: { status: 411, title: "A Content-Length is required" },
  too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "That content type is not understood" },
  range_not_satisfiable: { status: 416, title: "That byte range does not exist" },
  upgrade_required: { status: 426, title: "This is a WebSocket" },
  invalid: { status: 422, title: "The request breaks a rule" },
  rate_limited: { status: 429, title: "Too many tries" },
  internal: { status: 500, title: "Something went wrong inside the manager" },
  not_configured: { status: 503, title: "The manager has no admin token yet" },
  misconfigured: { status: 503, title: "The manager's configuration is wrong" },
  overloaded: { status: 503, title: "The manager is busy" },
  quota_exceeded: { status: 503, title: "A quota of the platform is used up" },
  manager_outdated: { status: 503, title: "The manager is older than its data" },
} as const;

/** The code of a problem. */
export type ProblemCode = keyof typeof PROBLEMS;

/** One offending field: a path such as `settings.frames`, and the rule that it broke. */
export interface FieldError {
  field: string;
  message: string;
}

/**
 * A refusal, as Durable Objects and pure rules return it; `src/platform/problem-response.ts` makes
 * the response of it.
 */
export interface Refusal {
  code: ProblemCode;
  detail: string;
  errors?: FieldError[];
}

/**
 * A failed `Result` with a refusal. With `field`, the refusal names that field, with `detail` as
 * the rule that it broke.
 */
export function refuse(code: ProblemCode, detail: string, field?: string): { ok: false; error: Refusal } {
  return {
    ok: false,
    error: field === undefined ? { code, detail } : { code, detail, errors: [{ field, message: detail }] },
  };
}

/** A problem document, as clients get it. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  errors?: FieldError[] | undefined;
}

/** The media type of problem documents. */
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/**
 * The `type` of a problem: a relative address, so that it holds under any host. `GET
 * /problems/{code}` answers it. Clients know the manager's problem documents by it
 * (`answer-origin.ts`).
 */
export function problemType(code: string): string {
  return `/problems/${code}`;
}
