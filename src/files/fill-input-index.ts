/**
 * Brings the index of inputs up to date with the bucket: inputs that were stored before there was
 * an index, and those that could not be put into it when they were stored. Every function may be
 * interrupted at any point and called again.
 */
import {
  fillPage,
  readFill,
  recordInputs,
  refreshSeen,
  type Fill,
  type InputStorage,
  type SeenInput,
} from "./input-index.ts";
import { assetKey, ASSETS_PREFIX, UNINDEXED_PREFIX } from "./keys.ts";
import { readPieceLists, wholeIn } from "./piece-lists.ts";
import { sizeOf } from "./store.ts";
import { readUseNotes } from "./use-notes.ts";

/**
 * Pages of a listing, 1,000 inputs each, of one run of the cron; each page takes two calls. With
 * the other work of the cron, more would not fit into the 1,000 calls that the free plan allows in
 * one invocation (https://developers.cloudflare.com/workers/platform/limits/#subrequests).
 */
const FILL_PAGES = 300;
/** The listing, and the statements of D1. */
const CALLS_OF_PAGE = 2;
/** Piece lists that are read for one page; each is a call more. */
const LISTS_AT_ONCE = 50;
/** The same for the markers under `unindexed/`, where a page takes four calls. */
const MARKER_PAGES = 50;

/**
 * The daily work on the index. `complete`: all inputs of the bucket are in it. Throws when D1 or R2
 * does; the next run goes on from where this one was.
 */
export async function tendInputIndex(storage: InputStorage, nowMs: number): Promise<{ complete: boolean }> {
  await recordNotes(storage, nowMs);
  return { complete: await fillInputIndex(storage, nowMs, FILL_PAGES) };
}

/**
 * Write into the index what was noted in R2 while D1 did not take it. False when some is left. Throws
 * when D1 or R2 does.
 */
export async function recordNotes(storage: InputStorage, nowMs: number): Promise<boolean> {
  const marked = await recordMarked(storage, nowMs);
  const { notes, complete } = await readUseNotes(storage.FILES);
  for (const { hashes, seenMs } of notes) await refreshSeen(storage.HISTORY, hashes, seenMs, nowMs);
  if (notes.length > 0) await storage.FILES.delete(notes.map(({ key }) => key));
  return marked && complete;
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
  for (let calls = CALLS_OF_PAGE * maxPages; calls > 0 && !fill.complete;) {
    const startAfter = assetKey(fill.after);
    const page = await FILES.list({ prefix: ASSETS_PREFIX, include: ["customMetadata"], startAfter });
    const objects = upToLists(page.objects);
    const inputs = await inputsIn(FILES, objects, ASSETS_PREFIX);
    const complete = !page.truncated && objects.length === page.objects.length;
    const to: Fill = { after: inputs.at(-1)?.sha256 ?? fill.after, complete };
    fill = await fillPage(HISTORY, inputs, fill, to, nowMs);
    calls -= CALLS_OF_PAGE + inputs.filter(({ pieces }) => pieces).length;
  }
  return fill.complete;
}

/** Put the inputs that have a marker into the index, and delete their markers. False: some are left. */
async function recordMarked({ FILES, HISTORY }: InputStorage, nowMs: number): Promise<boolean> {
  for (let pages = 0; pages < MARKER_PAGES; pages++) {
    const page = await FILES.list({ prefix: UNINDEXED_PREFIX, include: ["customMetadata"] });
    if (page.objects.length === 0) return true;
    const objects = upToLists(page.objects);
    await recordInputs(HISTORY, await inputsIn(FILES, objects, UNINDEXED_PREFIX), nowMs);
    await FILES.delete(objects.map(({ key }) => key));
    if (!page.truncated && objects.length === page.objects.length) return true;
  }
  return false;
}

/** The objects before the one that would be one piece list too many for one step. */
function upToLists(objects: readonly R2Object[]): readonly R2Object[] {
  let lists = 0;
  const end = objects.findIndex((object) => wholeIn(object) !== null && ++lists > LISTS_AT_ONCE);
  return end === -1 ? objects : objects.slice(0, end);
}

/**
 * The inputs that these objects are or stand for. Each piece list is read: its row must name its
 * pieces, or a sweep would take them.
 */
async function inputsIn(
  bucket: R2Bucket,
  objects: readonly R2Object[],
  prefix: typeof ASSETS_PREFIX | typeof UNINDEXED_PREFIX,
): Promise<SeenInput[]> {
  const nameOf = ({ key }: R2Object): string => key.slice(prefix.length);
  const lists = await readPieceLists(bucket, objects.filter((object) => wholeIn(object) !== null).map(nameOf));
  return objects.map((object): SeenInput => {
    const pieces = lists.get(nameOf(object))?.map(({ sha256 }) => sha256);
    const stored_ms = prefix === ASSETS_PREFIX ? object.uploaded.getTime() : seenMs(object);
    return { sha256: nameOf(object), size: sizeOf(object), stored_ms, ...(pieces && { pieces }) };
  });
}

/** When a marker's input was seen in the bucket. Markers of earlier releases were put at once. */
function seenMs(marker: R2Object): number {
  return Number(marker.customMetadata?.["seen_ms"] ?? marker.uploaded.getTime());
}
