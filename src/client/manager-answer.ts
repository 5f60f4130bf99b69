/** Reads the answers of a manager, and those of proxies and other servers in its place. */
import type { FieldError } from "../protocol/problem.ts";
import { problemSchema } from "../protocol/problem-schema.ts";

/** The longest `Retry-After` that is honoured: a wrong header must not stop a client for ever. */
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * A refusal by the manager, or the lack of an answer (`status` 0, `code` `unreachable` or
 * `bad_answer`).
 */
export class ManagerError extends Error {
  override name = "ManagerError";
  readonly status: number;
  /**
   * A code of PROBLEMS. Or `unreachable`: no answer came in time; `bad_answer`: no manager gives
   * such an answer.
   */
  readonly code: string;
  readonly detail: string;
  readonly errors: FieldError[];
  /** From `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, code: string, detail: string, errors: FieldError[] = [], retryAfterMs?: number) {
    super(sentence(detail, errors));
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether another try may succeed: no answer, one of a proxy, too busy, or being replaced. */
  get transient(): boolean {
    return (
      this.status === 0 ||
      this.status === 429 ||
      (this.status >= 500 && this.status !== 501 && this.code !== "not_configured")
    );
  }
}

/** The detail, and the fields that it does not name already. */
function sentence(detail: string, errors: readonly FieldError[]): string {
  const words = detail.split(/[^\w.-]+/);
  const [first] = errors;
  if (errors.length === 1 && first!.message === detail)
    return words.includes(first!.field) ? detail : `${first!.field}: ${detail}`;
  const unsaid = errors.filter(({ field, message }) => !(words.includes(field) && detail.includes(message)));
  return unsaid.length === 0 ? detail : `${detail} (${unsaid.map((e) => `${e.field}: ${e.message}`).join("; ")})`;
}

/** The address as the client uses it; throws a `TypeError` that says what is wrong with it. */
export function managerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new TypeError(
      `'${text}' is not the address of a manager; it looks like https://farm.example.com or http://127.0.0.1:8787`,
    );
  }
  if (url.username || url.password || url.search || url.hash)
    throw new TypeError("the manager's address must not hold a user, a password, a query or a '#'");
  return url.href.replace(/\/+$/, "");
}

/** The body as JSON; a `ManagerError` that is worth another try when it broke off or is none. */
export async function readJson(response: Response): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw new ManagerError(0, "unreachable", `the answer broke off: ${whyUnreachable(error)}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // A hotel's sign-in page or a proxy answered instead of the manager. That is likely to pass.
    throw new ManagerError(
      0,
      "bad_answer",
      `${new URL(response.url).host} answered ${response.status} with something that is not JSON`,
    );
  }
}

/** The refusal in an answer that is no success; `what` names the call in texts. */
export async function refusalOf(response: Response, what: string): Promise<ManagerError> {
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), Date.now());
  const problem = problemSchema.safeParse(await response.json().catch(() => undefined));
  if (problem.success) {
    const { code, detail, title, errors } = problem.data;
    return new ManagerError(response.status, code, detail || title, errors, retryAfterMs);
  }
  const location = response.status >= 300 && response.status < 400 ? response.headers.get("location") : null;
  const hint = location === null ? "" : `; it points to ${location.slice(0, 200)}`;
  return new ManagerError(
    response.status,
    "bad_answer",
    `${what} answered ${response.status}, and not as a manager does${hint}`,
    [],
    retryAfterMs,
  );
}

/** `Retry-After` in milliseconds: seconds or a date; at most a minute. */
export function parseRetryAfter(text: string | null, nowMs: number): number | undefined {
  if (text === null) return undefined;
  const waitMs = /^\d+$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

/** The reason why `fetch` threw, for people. */
export function whyUnreachable(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError" || error.name === "AbortError") return "no answer in time";
  // undici says "fetch failed" and keeps the reason (ECONNREFUSED, ENOTFOUND, a certificate) in the
  // cause.
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  const { code, message } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : (error as NodeJS.ErrnoException);
  return code && !message.includes(code) ? `${code} ${message}`.trim() : message;
}
