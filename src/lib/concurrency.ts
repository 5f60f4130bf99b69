/** Work on many things, so many at a time. */

/**
 * Work on all items, `lanes` at a time, taken in order. The first failure stops the taking of new ones, and is thrown when what
 * was begun has ended.
 */
export async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failed = false;
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (failed) return;
      try {
        await work(item);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const first = results.find((result) => result.status === "rejected");
  if (first) throw first.reason;
}
