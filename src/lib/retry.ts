/** Backoff, and retries of calls to Durable Objects. */

export interface Backoff {
  /**
   * Upper bound of the first wait with full jitter, least wait without; the bound doubles with
   * every failure.
   */
  baseMs: number;
  /** Upper bound of any wait. */
  capMs: number;
  /**
   * Where in its range a wait lies. Both spread callers that failed together.
   * - `full` (the default): anywhere from 0. For callers that a person or a render waits for.
   * - `above base`: never less than `baseMs`. For work that nobody waits for and whose tries cost
   *   something.
   */
  jitter?: "full" | "above base";
  /** In [0, 1). */
  random: () => number;
}

export interface RetryOptions extends Backoff {
  /** Calls in all, the first included. */
  tries: number;
  sleep: (ms: number) => Promise<void>;
  /** Whether a call that failed like this may be made again. */
  mayRetry: (error: unknown) => boolean;
}

/**
 * A deploy or a move of an object takes about a second: fewer tries, and a deploy shows as errors.
 * All waits together are below what a person waits for a page.
 */
const RETRY_DEFAULTS: RetryOptions = {
  tries: 4,
  baseMs: 100,
  capMs: 1_500,
  random: Math.random,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  mayRetry: isRetryable,
};

/**
 * The platform marks what may be tried again: `retryable` and not `overloaded`. A missing method is
 * not marked, but nothing was done, either.
 */
function isRetryable(error: unknown): boolean {
  if (isMissingMethod(error)) return true;
  if (typeof error !== "object" || error === null) return false;
  const marks = error as { retryable?: unknown; overloaded?: unknown };
  return marks.retryable === true && marks.overloaded !== true;
}

/**
 * Whether an object does not have the method that it was called with. While a deploy is under way,
 * an object may run the code of before it, and its caller that of after it:
 * https://developers.cloudflare.com/durable-objects/platform/known-issues/#code-updates
 */
export function isMissingMethod(error: unknown): boolean {
  return error instanceof Error && /The RPC receiver does not implement the method/.test(error.message);
}

/** The wait after so many failures in a row, in milliseconds. */
export function backoffMs(failures: number, { baseMs, capMs, jitter = "full", random }: Backoff): number {
  const bound = (doublings: number): number => Math.min(capMs, baseMs * 2 ** Math.min(doublings, 30));
  if (jitter === "full") return Math.round(random() * bound(failures - 1));
  return Math.floor(baseMs + random() * (bound(failures) - baseMs));
}

/**
 * Run `call` until it returns, throws what may not be retried, or the tries are used up; then its
 * last error is thrown. Only for calls that may safely run twice. Each try must make its own stub:
 * one that saw an error stays broken.
 */
export async function withRetry<T>(call: () => Promise<T>, options: Partial<RetryOptions> = {}): Promise<T> {
  const settings = { ...RETRY_DEFAULTS, ...options };
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      if (failures >= settings.tries || !settings.mayRetry(error)) throw error;
      await settings.sleep(backoffMs(failures, settings));
    }
  }
}
