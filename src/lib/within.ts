/** A bound on how long somebody waits. */

/**
 * Settles as the promise does, or rejects after `timeoutMs`. The work behind the promise goes on: a
 * promise cannot be canceled.
 */
export function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    void promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
