/** Reads the answers of a manager, and those of whatever answers in its place. */
import { foreignAnswerText, ownProblem, type AnswerHead } from "../protocol/answer-origin.ts";
import type { FieldError } from "../protocol/problem.ts";
import { certificateFault, proxyRefusal } from "./network-fault.ts";

/** The longest `Retry-After` that is honoured: a wrong header must not stop a client for ever. */
const MAX_RETRY_AFTER_MS = 60_000;
/**
 * Of a refusal, so many bytes are read: more than a body that the manager takes. Without a bound, a
 * page that never ends would fill the memory.
 */
const MAX_REFUSAL_BYTES = 4 * 1024 * 1024;

/**
 * Of a success in JSON, so many bytes are read, counted after it was unpacked. The manager's own have
 * less: the largest that its objects can answer has 32 MiB.
 */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A refusal by the manager, or the lack of an answer of the manager. */
export class ManagerError extends Error {
  override name = "ManagerError";
  /**
   * The HTTP status of the manager's refusal. 0 when the manager did not answer, whatever another
   * server answered in its place: so no code that asks for a status takes that server's word.
   */
  readonly status: number;
  /**
   * - A code of PROBLEMS, or of a newer manager: a refusal.
   * - `unreachable`: no answer came in time.
   * - `certificate`: the one of the manager, or of the proxy, is not trusted or out of time.
   * - `proxy`: the proxy opened no connection to the manager.
   * - `foreign`: something between answered (`ForeignAnswer`).
   * - `bad_answer`: a success whose content this version cannot use.
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

  /** Whether another try may succeed: no answer of the manager, too busy, or being replaced. */
  get transient(): boolean {
    return (
      this.status === 0 ||
      this.status === 429 ||
      (this.status >= 500 && this.status !== 501 && this.code !== "not_configured")
    );
  }
}

/**
 * An answer that is not the manager's: that of a firewall, a proxy, a sign-in page, or of the
 * network's edge while the manager is being replaced. It is nobody's word, so it ends nothing.
 */
export class ForeignAnswer extends ManagerError {
  override name = "ForeignAnswer";
  /** The HTTP status of that answer. */
  readonly answered: number;

  /** `text` is the beginning of the body, `url` the manager's address. */
  constructor(head: AnswerHead, text: string, url: string) {
    const detail = foreignAnswerText(head, text, `this machine and ${url}`);
    super(0, "foreign", detail, [], parseRetryAfter(head.header("retry-after"), Date.now()));
    this.answered = head.status;
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

/** Status and headers of an answer of `fetch`. */
export function headOf(response: Response): AnswerHead {
  return { status: response.status, header: (name) => response.headers.get(name) };
}

/**
 * The body of a success as JSON. Throws a `ManagerError` that is worth another try when it broke
 * off, is none, or has more than `MAX_ANSWER_BYTES`; `url` is the manager's address.
 */
export async function readJson(response: Response, url: string): Promise<unknown> {
  let text: string;
  try {
    text = await textWithin(response.body, MAX_ANSWER_BYTES, url);
  } catch (error) {
    if (error instanceof ManagerError) throw error;
    throw new ManagerError(0, "unreachable", `the answer broke off: ${whyUnreachable(error)}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ForeignAnswer(headOf(response), text, url);
  }
}

async function textWithin(body: AsyncIterable<Uint8Array> | null, maxBytes: number, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (size > maxBytes) throw new ManagerError(0, "bad_answer", `${url} answered with more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/**
 * The error for an answer that is no success. `text` is its body, or the beginning of that; `url`
 * is the manager's address.
 */
export function refusal(head: AnswerHead, text: string, url: string): ManagerError {
  const problem = ownProblem(head, text);
  if (!problem) return new ForeignAnswer(head, text, url);
  const { code, detail, title, errors } = problem;
  const retryAfterMs = parseRetryAfter(head.header("retry-after"), Date.now());
  return new ManagerError(head.status, code, detail || title, errors, retryAfterMs);
}

/** The error for an answer of `fetch` that is no success; `url` is the manager's address. */
export async function refusalOf(response: Response, url: string): Promise<ManagerError> {
  return refusal(headOf(response), await beginningOf(response.body), url);
}

/** The text of a body, at most `MAX_REFUSAL_BYTES` of it. A body that breaks off ends there. */
export async function beginningOf(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      chunks.push(chunk);
      size += chunk.byteLength;
      // Leaving the loop cancels the body.
      if (size >= MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // The connection broke: what has come says whose answer it is.
  }
  return Buffer.concat(chunks).toString();
}

/** `Retry-After` in milliseconds: seconds or a date; at most a minute. */
export function parseRetryAfter(text: string | null, nowMs: number): number | undefined {
  if (text === null) return undefined;
  const waitMs = /^\d+$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

/** The error for a request to the manager at `url` for which `fetch` threw. */
export function unreachable(url: string, error: unknown): ManagerError {
  const code = certificateFault(error) ? "certificate" : proxyRefusal(error) ? "proxy" : "unreachable";
  return new ManagerError(0, code, `${url} cannot be reached: ${whyUnreachable(error)}`);
}

/** The reason why `fetch`, or the opening of a socket, failed, for people. */
export function whyUnreachable(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const known = proxyRefusal(error)?.message ?? certificateFault(error);
  if (known !== undefined) return known;
  if (error.name === "TimeoutError" || error.name === "AbortError") return "no answer in time";
  // undici says "fetch failed" and keeps the reason (ECONNREFUSED, ENOTFOUND, a certificate) in the
  // cause.
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  const { code, message } =
    cause instanceof Error ? (cause as NodeJS.ErrnoException) : (error as NodeJS.ErrnoException);
  // An answer 407 is for `fetch` none, and an error without a word.
  if (message === "" && code === undefined) return "something on the way wants a sign-in, as a proxy does (407)";
  return code && !message.includes(code) ? `${code} ${message}`.trim() : message;
}
