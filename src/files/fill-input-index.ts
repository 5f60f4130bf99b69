/**
 * Brings the index of inputs up to date with the bucket: inputs that were stored before there was
 * an index, and those that could not be put into it when they were stored. Every function may be
 * interrupted at any point and called again.
 */
import { fillPage, readFill, recordInputs, type Fill, type InputStorage, type StoredInput } from "./input-index.ts";
import { assetKey, ASSETS_PREFIX, UNINDEXED_PREFIX } from "./keys.ts";
import { sizeOf } from "./store.ts";

/**
 * Pages of a listing, 1,000 inputs each, of one run of the cron; each page takes two calls. With
 * the other work of the cron, more would not fit into the 1,000 calls that the free plan allows in
 * one invocation (https://developers.cloudflare.com/workers/platform/limits/#subrequests).
 */
const FILL_PAGES = 300;
/** The same for the markers under `unindexed/`, where a page takes three calls. */
const MARKER_PAGES = 50;

/**
 * The daily work on the index. `complete`: all inputs of the bucket are in it. Throws when D1 or R2
 * does; the next run goes on from where this one was.
 */
export async function tendInputIndex(storage: InputStorage, nowMs: number): Promise<{ complete: boolean }> {
  await recordMarked(storage, nowMs);
  return { complete: await fillInputIndex(storage, nowMs, FILL_PAGES) };
}

/**
 * Put inputs of the bucket into the index, at most `maxPages` pages of a listing from where the
 * last call ended. True when all are in it. Throws when D1 or R2 does.
 */
export async function fillInputIndex(
  { FILES, HISTORY }: InputStorage,
  nowMs: number,
  maxPages: number,
): Promise<boolean> {
  let fill = await readFill(HISTORY);
  for (let pages = 0; pages < maxPages && !fill.complete; pages++) {
    const startAfter = assetKey(fill.after);
    const page = await FILES.list({ prefix: ASSETS_PREFIX, include: ["customMetadata"], startAfter });
    const inputs = page.objects.map((object) => ({ ...inputIn(object, ASSETS_PREFIX), stored_ms: storedMs(object) }));
    const to: Fill = { after: inputs.at(-1)?.sha256 ?? fill.after, complete: !page.truncated };
    fill = await fillPage(HISTORY, inputs, fill, to, nowMs);
  }
  return fill.complete;
}

/** Put the inputs that have a marker into the index, and delete their markers. */
async function recordMarked({ FILES, HISTORY }: InputStorage, nowMs: number): Promise<void> {
  for (let pages = 0; pages < MARKER_PAGES; pages++) {
    const page = await FILES.list({ prefix: UNINDEXED_PREFIX, include: ["customMetadata"] });
    if (page.objects.length === 0) return;
    const inputs = page.objects.map((object) => inputIn(object, UNINDEXED_PREFIX));
    await recordInputs(HISTORY, inputs, nowMs);
    await FILES.delete(page.objects.map(({ key }) => key));
    if (!page.truncated) return;
  }
}

function inputIn(object: R2Object, prefix: string): StoredInput {
  return { sha256: object.key.slice(prefix.length), size: sizeOf(object) };
}

function storedMs(object: R2Object): number {
  return object.uploaded.getTime();
}
