/** Bounded concurrency. Runs in Node, in workerd and in browsers. */
import pMap, { pMapSkip } from "p-map";

/**
 * Call `work` for every item, at most `limit` at a time, in the items' order; resolves with the
 * results in that order. After a failure:
 * - no further item is begun;
 * - calls that were begun are waited for, so that nothing goes on after the caller was told;
 * - the failure that came first is thrown.
 *
 * p-map alone would reject at once and leave the calls that were begun running.
 */
export async function mapConcurrent<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  let failure: { reason: unknown } | undefined;
  const results = await pMap(
    items,
    async (item, index) => {
      if (failure) return pMapSkip;
      try {
        return await work(item, index);
      } catch (reason) {
        failure ??= { reason };
        return pMapSkip;
      }
    },
    { concurrency: limit },
  );
  if (failure) throw failure.reason;
  return results;
}

/**
 * A counting semaphore: at most `permits` pieces of work at a time, the others in the order in
 * which they came.
 */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Do `work` as soon as a permit is free. Settles as `work` does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The permit is handed to the next in line and not freed, so that a newcomer cannot take it
      // first.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
