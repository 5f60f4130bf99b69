/**
 * Retries of calls to Durable Objects, for calls that may safely run twice. A stub that saw an
 * error stays broken, so each try must make its own stub. An overloaded object must not be called
 * again.
 */

export interface Backoff {
  /** Upper bound of the first wait; it doubles with every failure. */
  baseMs: number;
  /** Upper bound of any wait. */
  capMs: number;
  /** In [0, 1). */
  random: () => number;
}

export interface RetryOptions extends Backoff {
  /** Calls in all, the first included. */
  tries: number;
  sleep: (ms: number) => Promise<void>;
}

/**
 * A deploy or a move of an object takes about a second: fewer tries, and a deploy shows as errors.
 * All waits together are below what a person waits for a page.
 */
export const RETRY_DEFAULTS: RetryOptions = {
  tries: 4,
  baseMs: 100,
  capMs: 1_500,
  random: Math.random,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** The platform marks what may be tried again: `retryable` and not `overloaded`. */
export function isRetryable(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const marks = error as { retryable?: unknown; overloaded?: unknown };
  return marks.retryable === true && marks.overloaded !== true;
}

/**
 * The wait after so many failures, with full jitter: anywhere between 0 and the bound, so that
 * callers which failed together do not come back together.
 */
export function backoffMs(failures: number, { baseMs, capMs, random }: Backoff): number {
  return Math.round(random() * Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30)));
}

/**
 * Run `call` until it returns, throws what may not be retried, or the tries are used up; then its
 * last error is thrown.
 */
export async function withRetry<T>(call: () => Promise<T>, options: Partial<RetryOptions> = {}): Promise<T> {
  const settings = { ...RETRY_DEFAULTS, ...options };
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      if (failures >= settings.tries || !isRetryable(error)) throw error;
      await settings.sleep(backoffMs(failures, settings));
    }
  }
}
