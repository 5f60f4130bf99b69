/**
 * Calls to the manager. The session is a cookie that no script can read; a share link's token is the one exception, and goes
 * in a header. Types are the protocol's own; the manager checks what it sends by the same schemas.
 */
import { ApiError, problemOf } from "./problem.ts";

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let onUnauthorized: () => void = () => undefined;
let bearer: string | null = null;

/** Called when the manager no longer knows us. */
export function whenUnauthorized(listener: () => void): void {
  onUnauthorized = listener;
}

/** Act by a share link's token instead of the session. */
export function useBearer(token: string): void {
  bearer = token;
}

/** Call the manager; a refusal or an unreachable manager throws `ApiError`. */
export async function call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (bearer !== null) headers["Authorization"] = `Bearer ${bearer}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: bearer === null ? "same-origin" : "omit",
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
      ...(options.signal && { signal: options.signal }),
    });
    text = await response.text();
  } catch (thrown) {
    if (options.signal?.aborted) throw thrown;
    throw new ApiError(0, { code: "unreachable", detail: "The manager cannot be reached." });
  }
  if (!response.ok) {
    if (response.status === 401) onUnauthorized();
    throw problemOf(response.status, text);
  }
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return await call<T>("GET", path, signal ? { signal } : {});
}

/** A path with a query; values that are undefined, null or empty are left out. */
export function withQuery(path: string, values: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}
