/**
 * Calls to the manager. The session is a cookie that no script can read. The types of answers are
 * the protocol's own; the page does not check answers, because that would need zod.
 */
import { ApiError, readAnswer } from "./problem.ts";
import { noteTrouble } from "./trouble.ts";

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
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
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
      ...(options.signal && { signal: options.signal }),
    });
    text = await response.text();
  } catch (thrown) {
    if (options.signal?.aborted) throw thrown;
    throw new ApiError(0, { code: "unreachable", detail: "The manager cannot be reached." });
  }
  try {
    return readAnswer({ status: response.status, header: (name) => response.headers.get(name) }, text) as T;
  } catch (thrown) {
    if (thrown instanceof ApiError) {
      noteTrouble(thrown, response, text);
      // The status is the manager's own: with an answer of something else it is 0.
      if (thrown.status === 401) onUnauthorized();
    }
    throw thrown;
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
