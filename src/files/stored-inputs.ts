/**
 * Which inputs are stored, and noting that one is: the index in D1, and R2 where the index does not
 * know. Decisions 019 and 021.
 *
 * - R2 is the truth. The index is asked first, because it answers for thousands of inputs at once.
 * - A piece list (decision 020) counts as one when its row says so, or when its pieces were looked up
 *   just now: its object alone says only that they were there once.
 * - An input that is called stored is not deleted within the next six days: its row says that it is
 *   used, or a note does that a sweep reads first.
 * - An upload is not refused because D1 does not answer: a marker under `unindexed/` then stands in
 *   for the row, until the daily cron has written it.
 * - Where nothing can say whether an input is stored, or a sweep may be deleting and D1 does not
 *   answer, the answer is `overloaded`, never "missing".
 */
import { mapConcurrent } from "../lib/concurrency.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { within } from "../lib/within.ts";
import { MAX_BATCH_FILES } from "../protocol/asset-batch.ts";
import { bytesOfPieces, pieceListText, type Piece } from "../protocol/piece-list.ts";
import type { Refusal } from "../protocol/problem.ts";
import { lookInBucket, type Found } from "./bucket-look-up.ts";
import { fillInputIndex } from "./fill-input-index.ts";
import {
  D1_TIMEOUT_MS,
  lookUpInputs,
  recordInputs,
  recordPieceList,
  refreshInputs,
  warnOfIndex,
  type IndexAnswer,
  type InputSizes,
  type InputStorage,
  type StoredInput,
} from "./input-index.ts";
import { assetKey, ASSETS_PREFIX, UNINDEXED_PREFIX, unindexedKey } from "./keys.ts";
import { readPieceLists, storePieceList } from "./piece-lists.ts";
import { storageRefusal } from "./store.ts";
import { isSweeping } from "./sweep-marker.ts";
import { isTooLate, MAX_UPLOAD_MS } from "./sweep-times.ts";
import { putUseNote } from "./use-notes.ts";

/**
 * Inputs that a complete index lacks are looked up in R2 all the same if they are at most this
 * many. It is what a Worker that died between R2 and D1 can leave behind. With a higher number,
 * asking for the files of a new scene would cost a look-up for each.
 */
const VERIFIED = MAX_BATCH_FILES;

/** A Worker may have six connections open; more puts would only wait. */
const PUTS_AT_ONCE = 6;

const UNKNOWN: Refusal = {
  code: "overloaded",
  detail: "The index of inputs is incomplete or does not answer, and these are too many to look up; try again shortly.",
};
const SWEEPING: Refusal = {
  code: "overloaded",
  detail: "The index of inputs does not answer, and unused inputs are being deleted; try again in a few minutes.",
};
const BEING_DELETED: Refusal = {
  code: "overloaded",
  detail: "This input is being deleted at this moment; send it again in a minute.",
};
const TOO_LATE: Refusal = {
  code: "overloaded",
  detail: "This took so long that the input may have been deleted meanwhile; send it again.",
};

type Sizes = Map<string, InputSizes>;

/** Nothing is asked for as a piece list. */
const NO_LISTS: ReadonlySet<string> = new Set();

/**
 * The sizes of those of these inputs that are stored, by their hash. `lists`: those of the hashes
 * that are asked for as piece lists. `whole` of such an input is null unless it is a list whose
 * pieces are stored; of other inputs, it says nothing. Refusal: `overloaded`, when it cannot be
 * known at present.
 */
export async function sizesOfInputs(
  storage: InputStorage,
  hashes: readonly string[],
  now: () => number,
  lists: ReadonlySet<string> = NO_LISTS,
): Promise<Result<Sizes, Refusal>> {
  if (hashes.length === 0) return ok(new Map());
  const startedMs = now();
  const index = await askIndex(storage, hashes, lists, startedMs);
  if (!index) return await sizesWithoutNote(storage, hashes, lists, now, () => Promise.resolve(null));
  const isKnown = (sha256: string): boolean => isAnswered(index.sizes, sha256, lists) || index.deleting.has(sha256);
  const lacking = hashes.filter((sha256) => !isKnown(sha256));
  const trusted = index.complete && lacking.length > VERIFIED;
  let found: Found;
  let checked: CheckedLists;
  try {
    found = await lookInBucket(storage.FILES, trusted ? UNINDEXED_PREFIX : ASSETS_PREFIX, lacking);
    checked = await checkLists(storage.FILES, found, lists, (pieces) => sizesOfInputs(storage, pieces, now));
  } catch (error) {
    return err(storageRefusal("look-up", error));
  }
  // What the index lacked is recorded also when some is left: a client that asks again gets
  // further.
  const unnoted = trusted ? [] : await recordEach(storage, index, found, checked, startedMs, now());
  unnoted.push(...(await refreshEach(storage, index, now())));
  if (unnoted.length > 0) {
    const lookAgain = (): Promise<IndexAnswer | null> => orWarn(lookUpInputs(storage.HISTORY, unnoted, now()));
    const sure = await sizesWithoutNote(storage, unnoted, lists, now, lookAgain);
    if (!sure.ok) return sure;
    for (const [sha256, sizes] of sure.value) index.sizes.set(sha256, sizes);
  }
  if (trusted) for (const [sha256, { size }] of found.sizes) index.sizes.set(sha256, checked.sizesOf(sha256, size));
  return found.undecided > 0 || checked.undecided > 0 ? err(UNKNOWN) : ok(index.sizes);
}

/** Whether the sizes say all that is asked about an input. */
function isAnswered(sizes: Sizes, sha256: string, lists: ReadonlySet<string>): boolean {
  const known = sizes.get(sha256);
  return known !== undefined && (known.whole !== null || !lists.has(sha256));
}

/** Piece lists that were found in the bucket. */
interface CheckedLists {
  /** Those whose pieces are all stored, with their pieces. */
  complete: Map<string, Piece[]>;
  /** How many cannot be decided at present. */
  undecided: number;
  /** What is known of an input that was found. `size`: the bytes of its object. */
  sizesOf: (sha256: string, size: number) => InputSizes;
}

/**
 * Of the objects that were found, read those that are asked for as piece lists and say that they are,
 * and look their pieces up by `sizesOfPieces`. Throws when R2 does.
 */
async function checkLists(
  bucket: R2Bucket,
  found: Found,
  lists: ReadonlySet<string>,
  sizesOfPieces: (hashes: readonly string[]) => Promise<Result<Sizes, Refusal>>,
): Promise<CheckedLists> {
  const asked = [...found.sizes].flatMap(([sha256, { whole }]) =>
    whole !== null && lists.has(sha256) ? [sha256] : [],
  );
  const read = await readPieceLists(bucket, asked.slice(0, VERIFIED));
  const pieces = new Set([...read.values()].flat().map(({ sha256 }) => sha256));
  const sizes = await sizesOfPieces([...pieces]);
  const isThere = (piece: Piece): boolean => sizes.ok && sizes.value.get(piece.sha256)?.size === piece.size;
  const complete = new Map([...read].filter(([, named]) => named.every(isThere)));
  return {
    complete,
    undecided: sizes.ok ? Math.max(0, asked.length - VERIFIED) : asked.length,
    sizesOf: (sha256, size) => {
      const named = complete.get(sha256);
      return { size, whole: named ? bytesOfPieces(named) : null };
    },
  };
}

/**
 * Record inputs that were found in the bucket, and add their sizes to the answer of the index.
 * Answers with those of which it is not certain that they stay: the index had given them up to a
 * deletion, and D1 does not answer now.
 */
async function recordEach(
  { HISTORY }: InputStorage,
  index: IndexAnswer,
  found: Found,
  { complete, sizesOf }: CheckedLists,
  seenMs: number,
  nowMs: number,
): Promise<string[]> {
  const inputs = [...found.sizes].flatMap(([sha256, { size }]) =>
    complete.has(sha256) ? [] : [{ sha256, size, stored_ms: seenMs }],
  );
  const recorded = inputs.length > 0 ? await orWarn(recordInputs(HISTORY, inputs, nowMs)) : new Set<string>();
  const live = new Map<string, boolean | null>(inputs.map(({ sha256 }) => [sha256, recorded && recorded.has(sha256)]));
  for (const [sha256, pieces] of complete) {
    const { size } = found.sizes.get(sha256)!;
    live.set(sha256, await orWarn(recordPieceList(HISTORY, { sha256, size, pieces }, seenMs, nowMs)));
  }
  const unnoted: string[] = [];
  for (const [sha256, isLive] of live) {
    index.sizes.delete(sha256);
    // An input without a row is not deleted, so it is enough that it was found. The pieces of a list
    // were looked up by themselves.
    const stays = isLive ?? !index.unsure.has(sha256);
    if (stays) index.sizes.set(sha256, sizesOf(sha256, found.sizes.get(sha256)!.size));
    else if (isLive === null) unnoted.push(sha256);
  }
  return unnoted;
}

/**
 * Note that inputs are used whose rows are old, and take those out of the answer that are being
 * deleted by now, or say that they are no piece lists any more. Answers with those that could not be noted; they are taken out as well.
 */
async function refreshEach({ HISTORY }: InputStorage, index: IndexAnswer, nowMs: number): Promise<string[]> {
  if (index.toRefresh.length === 0) return [];
  const refreshed = await orWarn(refreshInputs(HISTORY, index.toRefresh, nowMs));
  for (const sha256 of index.toRefresh) {
    const known = index.sizes.get(sha256);
    const whole = refreshed?.get(sha256);
    if (known && whole !== undefined) index.sizes.set(sha256, { ...known, whole });
    else index.sizes.delete(sha256);
  }
  return refreshed ? [] : index.toRefresh;
}

/**
 * The sizes of inputs whose use D1 cannot note: it does not answer, or takes no writes. A note in R2
 * stands in for it. That is enough only while no sweep can be deleting, from before the look-up until
 * the note is there. `askIndex`: the index, which may still answer; null where it does not. Refusal:
 * `overloaded`.
 */
async function sizesWithoutNote(
  { FILES }: InputStorage,
  hashes: readonly string[],
  lists: ReadonlySet<string>,
  now: () => number,
  askIndex: () => Promise<IndexAnswer | null>,
): Promise<Result<Sizes, Refusal>> {
  const lookedMs = now();
  try {
    if (await isSweeping(FILES, lookedMs)) return err(SWEEPING);
    const index = await askIndex();
    const sizes: Sizes = index?.sizes ?? new Map();
    const isUnsure = (sha256: string): boolean =>
      index?.unsure.has(sha256) === true || (sizes.has(sha256) && !isAnswered(sizes, sha256, lists));
    const found = await lookInBucket(FILES, ASSETS_PREFIX, index ? hashes.filter(isUnsure) : hashes);
    let piecesLeft = 0;
    const checked = await checkLists(FILES, found, lists, async (pieces) => {
      const there = await lookInBucket(FILES, ASSETS_PREFIX, pieces);
      piecesLeft = there.undecided;
      return ok(there.sizes);
    });
    for (const [sha256, { size }] of found.sizes) sizes.set(sha256, checked.sizesOf(sha256, size));
    const pieces = [...checked.complete.values()].flat().map(({ sha256 }) => sha256);
    if (sizes.size > 0) await putUseNote(FILES, [...new Set([...sizes.keys(), ...pieces])], lookedMs);
    if (isTooLate(lookedMs, now())) return err(UNKNOWN);
    return found.undecided + piecesLeft + checked.undecided > 0 ? err(UNKNOWN) : ok(sizes);
  } catch (error) {
    return err(storageRefusal("look-up", error));
  }
}

/**
 * Take in a piece list: store it if all its pieces are stored, with the sizes that it says, and note
 * that it is. `created` is false when it was there as a list. Refusals:
 *
 * - `conflict`: a piece is not stored, or has another size; the first such piece is named
 * - `overloaded`: it cannot be known at present which pieces are stored, or the list cannot be noted
 */
export async function takePieceList(
  storage: InputStorage,
  sha256: string,
  pieces: readonly Piece[],
  now: () => number,
): Promise<Result<{ created: boolean }, Refusal>> {
  const seenMs = now();
  const sizes = await sizesOfInputs(storage, [...new Set(pieces.map((piece) => piece.sha256))], now);
  if (!sizes.ok) return sizes;
  for (const [index, piece] of pieces.entries()) {
    const stored = sizes.value.get(piece.sha256);
    if (stored?.size === piece.size) continue;
    const why = stored ? `has ${stored.size} bytes, not ${piece.size}` : "has not been uploaded";
    const detail = `Piece ${index + 1} of ${pieces.length}, ${piece.sha256}, ${why}; nothing was stored.`;
    return err({ code: "conflict", detail });
  }
  const stored = await storePieceList(storage.FILES, sha256, pieces);
  if (!stored.ok) return stored;
  const nowMs = now();
  if (nowMs - seenMs > MAX_UPLOAD_MS) return err(TOO_LATE);
  const list = { sha256, size: pieceListText(pieces).length };
  const recorded = await orWarn(recordPieceList(storage.HISTORY, { ...list, pieces }, seenMs, nowMs));
  if (recorded === false) return err(BEING_DELETED);
  const marked = recorded ? undefined : (await markStored(storage.FILES, [list], now, pieces)).get(sha256);
  return marked ? err(marked) : stored;
}

/**
 * Note that these inputs have been stored, or were found stored, at `seenMs` or later. Answers with
 * the refusals, by hash: `overloaded` for an input that may be deleted at this moment, or whose note
 * neither D1 nor R2 takes. The client sends such an input again.
 */
export async function noteStored(
  { FILES, HISTORY }: InputStorage,
  inputs: readonly StoredInput[],
  seenMs: number,
  now: () => number,
): Promise<Map<string, Refusal>> {
  if (inputs.length === 0) return new Map();
  const nowMs = now();
  if (nowMs - seenMs > MAX_UPLOAD_MS) return refuseAll(inputs, TOO_LATE);
  const seen = inputs.map(({ sha256, size }) => ({ sha256, size, stored_ms: seenMs }));
  const recorded = await orWarn(recordInputs(HISTORY, seen, nowMs));
  if (!recorded) return await markStored(FILES, inputs, now);
  return refuseAll(
    inputs.filter(({ sha256 }) => !recorded.has(sha256)),
    BEING_DELETED,
  );
}

/**
 * Put the markers that stand in for rows. An input may have been deleted since it was stored, when D1
 * knew of a deletion and does not answer: so each is looked up once more, at a time when none is
 * deleted. `pieces`: those of the input, which is a piece list. Refusals as of `noteStored`.
 */
async function markStored(
  bucket: R2Bucket,
  inputs: readonly StoredInput[],
  now: () => number,
  pieces: readonly Piece[] = [],
): Promise<Map<string, Refusal>> {
  const lookedMs = now();
  const refused = new Map<string, Refusal>();
  try {
    if (await isSweeping(bucket, lookedMs)) return refuseAll(inputs, SWEEPING);
  } catch (error) {
    return refuseAll(inputs, storageRefusal("head", error));
  }
  const whole: Record<string, string> = pieces.length > 0 ? { whole: String(bytesOfPieces(pieces)) } : {};
  await mapConcurrent(inputs, PUTS_AT_ONCE, async ({ sha256, size }) => {
    try {
      const customMetadata = { size: String(size), seen_ms: String(lookedMs), ...whole };
      if (await bucket.head(assetKey(sha256))) await bucket.put(unindexedKey(sha256), "", { customMetadata });
      else refused.set(sha256, BEING_DELETED);
    } catch (error) {
      refused.set(sha256, storageRefusal("put", error));
    }
  });
  return isTooLate(lookedMs, now()) ? refuseAll(inputs, TOO_LATE) : refused;
}

function refuseAll(inputs: readonly StoredInput[], refusal: Refusal): Map<string, Refusal> {
  return new Map(inputs.map(({ sha256 }) => [sha256, refusal]));
}

/**
 * What the index says; null when D1 does not answer. An index that is not complete is filled by one
 * page more, which completes the index of most farms.
 */
async function askIndex(
  storage: InputStorage,
  hashes: readonly string[],
  lists: ReadonlySet<string>,
  nowMs: number,
): Promise<IndexAnswer | null> {
  const lookUp = async (): Promise<IndexAnswer | null> => await orWarn(lookUpInputs(storage.HISTORY, hashes, nowMs));
  const index = await lookUp();
  if (!index || index.complete || hashes.every((sha256) => isAnswered(index.sizes, sha256, lists))) return index;
  const complete = await orWarn(within(D1_TIMEOUT_MS, fillInputIndex(storage, nowMs, 1)));
  return complete ? await lookUp() : index;
}

/** The result of work on the index; null when it failed, which is logged. */
async function orWarn<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    warnOfIndex(error);
    return null;
  }
}
