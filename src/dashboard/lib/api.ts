/**
 * Calls to the manager. The session is a cookie that no script can read. The types of answers are
 * the protocol's own; the page does not check answers, because that would need zod.
 */
import { isNoFile, type AnswerHead } from "../../protocol/answer-origin.ts";
import { ApiError, errorOf, readAnswer } from "./problem.ts";
import { noteTrouble } from "./trouble.ts";

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Call by this token and not by the session. A refusal then says nothing about the session. */
  token?: string;
}

let onUnauthorized: () => void = () => undefined;

/** Call `listener` whenever the manager answers 401: the session has ended. */
export function whenUnauthorized(listener: () => void): void {
  onUnauthorized = listener;
}

/**
 * Call the manager and answer the JSON of its response. Throws `ApiError` for a refusal, and when
 * the manager does not answer, or something else answers in its place.
 */
export async function call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.token !== undefined) headers["Authorization"] = `Bearer ${options.token}`;
  const response = await ask(path, {
    method,
    headers,
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.signal && { signal: options.signal }),
  });
  const text = await reached(response.text(), options.signal);
  return noted(response, text, () => readAnswer(headOf(response), text) as T, options.token !== undefined);
}

/**
 * GET of bytes, which the caller reads. They are not put into the browser's cache. Throws as `call`
 * does.
 */
export async function fetchBytes(path: string, options: Omit<CallOptions, "body">): Promise<Response> {
  const response = await ask(path, { ...options, cache: "no-store" });
  if (response.ok && !isNoFile(headOf(response))) return response;
  const text = await reached(response.text(), options.signal);
  return noted(response, text, () => {
    throw errorOf(headOf(response), text);
  });
}

async function ask(path: string, init: RequestInit & { signal?: AbortSignal }): Promise<Response> {
  return await reached(fetch(path, { ...init, credentials: "same-origin" }), init.signal);
}

function headOf({ status, headers }: Response): AnswerHead {
  return { status, header: (name) => headers.get(name) };
}

/** What `read` makes of an answer. An error concerns the session or the whole manager, too. */
function noted<T>(response: Response, text: string, read: () => T, byToken = false): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof ApiError) {
      noteTrouble(thrown, response, text);
      // The status is the manager's own: with an answer of something else it is 0.
      if (thrown.status === 401 && !byToken) onUnauthorized();
    }
    throw thrown;
  }
}

/** What the network brought. Its failure becomes an `ApiError`, unless `signal` ended it. */
async function reached<T>(what: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await what;
  } catch (thrown) {
    if (signal?.aborted) throw thrown;
    throw new ApiError(0, { code: "unreachable", detail: "The manager cannot be reached." });
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return await call<T>("GET", path, signal ? { signal } : {});
}

/** A path with a query. Values that are undefined, null or empty are left out. */
export function withQuery(path: string, values: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}
