/**
 * Brings the index of inputs up to date with the bucket: inputs that were stored before there was
 * an index, and those that could not be put into it when they were stored. Every function may be
 * interrupted at any point and called again.
 */
import {
  FILLED_AT_ONCE,
  fillPage,
  readFill,
  recordInputs,
  refreshmentsOfNoted,
  type InputStorage,
  type SeenInput,
} from "./input-index.ts";
import { assetKey, ASSETS_PREFIX, UNINDEXED_PREFIX } from "./keys.ts";
import { readPieceLists, wholeIn } from "./piece-lists.ts";
import { QueryBudget } from "./query-budget.ts";
import { deleteKeys, sizeOf } from "./store.ts";
import { readUseNotes } from "./use-notes.ts";

/**
 * Pages of a listing, 1,000 inputs each, of one run of the cron. A written row for each input is half
 * of the rows that the free plan of D1 allows a day
 * (https://developers.cloudflare.com/d1/platform/pricing/).
 */
const FILL_PAGES = 50;
/** Objects of a page. */
const PAGE = 1_000;
/** Pages that are written together. */
const PAGES_AT_ONCE = FILLED_AT_ONCE / PAGE;
/**
 * Piece lists that are read for what is written together; each is a call of R2 more. With more, the
 * lists would need statements of their own.
 */
const LISTS_AT_ONCE = 10;
/** The same for the markers under `unindexed/`. */
const MARKER_PAGES = 20;
const MARKER_PAGES_AT_ONCE = 5;
/**
 * Queries of the daily run; `daily-jobs.ts` adds up. Of these, FILL_QUERIES are not used for what was noted, or
 * the index of a farm with many notes would never be complete.
 */
const TEND_QUERIES = 24;
const FILL_QUERIES = 12;
/**
 * Queries that a group of markers needs at most: 5,000 inputs and 10 lists of 1,000 pieces weigh 10,000 inputs,
 * which are three statements, and one refreshes the pieces.
 */
const MARKERS_QUERIES = 4;
/** The same for pages that are filled in together: two statements, one for pieces, the mark, and a question. */
const PAGES_QUERIES = 5;

/**
 * The daily work on the index. `complete`: all inputs of the bucket are in it. Throws when D1 or R2
 * does; the next run goes on from where this one was.
 */
export async function tendInputIndex(storage: InputStorage, nowMs: number): Promise<{ complete: boolean }> {
  const queries = new QueryBudget(storage.HISTORY, TEND_QUERIES);
  await recordNotes(storage, queries, nowMs, FILL_QUERIES);
  return { complete: await fillInputIndex(storage, nowMs, FILL_PAGES, queries) };
}

/**
 * Write into the index what was noted in R2 while D1 did not take it. `keep`: of the queries, so many are not
 * used. False when some is left. Throws when D1 or R2 does.
 */
export async function recordNotes(
  { FILES }: Pick<InputStorage, "FILES">,
  queries: QueryBudget,
  nowMs: number,
  keep = 0,
): Promise<boolean> {
  const marked = await recordMarked(FILES, queries, nowMs, keep);
  const { notes, complete } = await readUseNotes(FILES);
  if (notes.length === 0) return marked && complete;
  const refreshments = refreshmentsOfNoted(queries.db, notes, nowMs);
  if (!queries.has(refreshments.length + keep)) return false;
  if (refreshments.length > 0) await queries.db.batch(refreshments);
  await FILES.delete(notes.map(({ key }) => key));
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
  queries = new QueryBudget(HISTORY, Infinity),
): Promise<boolean> {
  let fill = await readFill(queries.db);
  for (let left = maxPages; left > 0 && !fill.complete && queries.has(PAGES_QUERIES); left -= PAGES_AT_ONCE) {
    const inputs: SeenInput[] = [];
    const to = { ...fill };
    let lists = LISTS_AT_ONCE;
    for (let pages = 0; pages < Math.min(left, PAGES_AT_ONCE) && !to.complete && lists > 0; pages++) {
      const startAfter = assetKey(to.after);
      const page = await FILES.list({ prefix: ASSETS_PREFIX, include: ["customMetadata"], startAfter });
      const objects = upToLists(page.objects, lists);
      inputs.push(...(await inputsIn(FILES, objects, ASSETS_PREFIX)));
      lists -= countLists(objects);
      to.after = inputs.at(-1)?.sha256 ?? to.after;
      to.complete = !page.truncated && objects.length === page.objects.length;
    }
    fill = await fillPage(queries.db, inputs, fill, to, nowMs);
  }
  return fill.complete;
}

/** Put the inputs that have a marker into the index, and delete their markers. False: some are left. */
async function recordMarked(FILES: R2Bucket, queries: QueryBudget, nowMs: number, keep: number): Promise<boolean> {
  let cursor: string | undefined;
  for (let pages = 0; pages < MARKER_PAGES; pages += MARKER_PAGES_AT_ONCE) {
    const listed: R2Object[] = [];
    do {
      const page: R2Objects = await FILES.list({ prefix: UNINDEXED_PREFIX, include: ["customMetadata"], cursor });
      listed.push(...page.objects);
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined && listed.length < MARKER_PAGES_AT_ONCE * PAGE);
    const marked = upToLists(listed, LISTS_AT_ONCE);
    if (marked.length > 0) {
      if (!queries.has(MARKERS_QUERIES + keep)) return false;
      await recordInputs(queries.db, await inputsIn(FILES, marked, UNINDEXED_PREFIX), nowMs);
    }
    await deleteKeys(
      FILES,
      marked.map(({ key }) => key),
    );
    if (marked.length < listed.length) cursor = undefined;
    else if (cursor === undefined) return true;
  }
  return false;
}

function isList(object: R2Object): boolean {
  return wholeIn(object) !== null;
}

function countLists(objects: readonly R2Object[]): number {
  return objects.filter(isList).length;
}

/** The objects before the one that would be the piece list after `limit` others. */
function upToLists(objects: readonly R2Object[], limit: number): readonly R2Object[] {
  let lists = 0;
  const end = objects.findIndex((object) => isList(object) && ++lists > limit);
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
  const lists = await readPieceLists(bucket, objects.filter(isList).map(nameOf));
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
