/** Which of many inputs the bucket holds, asked of the bucket itself. */
import { mapConcurrent } from "../lib/concurrency.ts";
import type { InputSizes } from "./input-index.ts";
import { wholeIn } from "./piece-lists.ts";
import { sizeOf } from "./store.ts";

/**
 * Look-ups in flight. A Worker has six connections; with more look-ups waiting, none of them is
 * idle.
 */
const HEADS_AT_ONCE = 20;
/**
 * A page of a listing is worth it for this many keys: it costs twelve look-ups in money, and thirty
 * (six at a time) in time.
 */
const LIST_FOR = 40;
/**
 * The most look-ups of one call: those of one `POST /assets/missing` of a client of an earlier
 * release. A request of the free plan may make 1,000 calls to Cloudflare's services
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests), so newer clients ask
 * for fewer (`ASKED_AT_ONCE`).
 */
export const MAX_HEADS = 1_000;

export interface Found {
  /**
   * The sizes of the inputs that have an object under the prefix. `whole` is what the object says:
   * its pieces were stored once.
   */
  sizes: Map<string, InputSizes>;
  /** How many of the inputs were left, because they would have taken more than MAX_HEADS look-ups. */
  undecided: number;
}

/**
 * Look for objects `<prefix><sha256>`. The bucket is listed page by page for as long as a page
 * decides enough of the keys; the rest is looked up one by one. Most buckets fit into a few pages,
 * and in a large one the first page shows that listing does not pay. Throws when R2 does.
 */
export async function lookInBucket(bucket: R2Bucket, prefix: string, hashes: readonly string[]): Promise<Found> {
  const sizes = new Map<string, InputSizes>();
  const note = (object: R2Object): void =>
    void sizes.set(object.key.slice(prefix.length), { size: sizeOf(object), whole: wholeIn(object) });
  const asked = new Set(hashes);
  let open = hashes.map((sha256) => prefix + sha256).toSorted();
  while (open.length >= LIST_FOR) {
    // A listing begins after `startAfter`, so that is a text just before the first key.
    const startAfter = open[0]!.slice(0, -1);
    const page = await bucket.list({ prefix, include: ["customMetadata"], startAfter });
    for (const object of page.objects) if (asked.has(object.key.slice(prefix.length))) note(object);
    const last = page.truncated ? (page.objects.at(-1)?.key ?? "") : null;
    const left = last === null ? [] : open.filter((key) => key > last);
    const decided = open.length - left.length;
    open = left;
    if (decided < LIST_FOR) break;
  }
  await mapConcurrent(open.slice(0, MAX_HEADS), HEADS_AT_ONCE, async (key) => {
    const object = await bucket.head(key);
    if (object) note(object);
  });
  return { sizes, undecided: Math.max(0, open.length - MAX_HEADS) };
}
