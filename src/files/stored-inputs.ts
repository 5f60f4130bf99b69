/**
 * Which inputs are stored, and noting that one is: the index in D1, and R2 where the index does not
 * know. Decision 019.
 *
 * - R2 is the truth. The index is asked first, because it answers for thousands of inputs at once.
 * - An upload is never refused because D1 does not answer: a marker under `unindexed/` then stands
 *   in for the row, until the daily cron has written it.
 * - Where nothing can say whether an input is stored, the answer is `overloaded`, never "missing".
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
import { ASSETS_PREFIX, UNINDEXED_PREFIX, unindexedKey } from "./keys.ts";
import { readPieceLists, storePieceList } from "./piece-lists.ts";
import { storageRefusal } from "./store.ts";

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
const BEING_DELETED: Refusal = {
  code: "overloaded",
  detail: "This input is being deleted at this moment; send it again in a minute.",
};

/**
 * The sizes of those of these inputs that are stored, by their hash. `lists`: those of the hashes
 * that are asked for as piece lists. `whole` of such an input is null unless it is a list whose
 * pieces are stored; of other inputs, it says nothing. Refusal: `overloaded`, when it cannot be
 * known at present.
 */
export async function sizesOfInputs(
  storage: InputStorage,
  hashes: readonly string[],
  nowMs: number,
  lists: ReadonlySet<string> = new Set(),
): Promise<Result<Map<string, InputSizes>, Refusal>> {
  if (hashes.length === 0) return ok(new Map());
  const index = await askIndex(storage, hashes, lists, nowMs);
  const sizes = index?.sizes ?? new Map<string, InputSizes>();
  const isKnown = (sha256: string): boolean => isAnswered(sizes, sha256, lists) || index?.deleting.has(sha256) === true;
  const lacking = hashes.filter((sha256) => !isKnown(sha256));
  const trusted = index?.complete === true && lacking.length > VERIFIED;
  let found: Found;
  let checked: PieceCheck;
  try {
    found = await lookInBucket(storage.FILES, trusted ? UNINDEXED_PREFIX : ASSETS_PREFIX, lacking);
    const asked = [...found.sizes].flatMap(([sha256, { whole }]) =>
      whole !== null && lists.has(sha256) ? [sha256] : [],
    );
    checked = await checkPieces(storage, asked, nowMs);
  } catch (error) {
    return err(storageRefusal("look-up", error));
  }
  for (const [sha256, { size }] of found.sizes) {
    const pieces = checked.complete.get(sha256);
    sizes.set(sha256, { size, whole: pieces ? bytesOfPieces(pieces) : null });
  }
  // What the index lacked is recorded also when some is left: a client that asks again gets
  // further. A list that nobody has read is not: its row has to name its pieces.
  if (index && !trusted) await recordFound(storage.HISTORY, found, checked, nowMs);
  if (index && index.toRefresh.length > 0) {
    const refreshed = await orWarn(refreshInputs(storage.HISTORY, index.toRefresh, nowMs));
    for (const sha256 of index.toRefresh) if (refreshed?.has(sha256) === false) sizes.delete(sha256);
  }
  return found.undecided > 0 || checked.undecided > 0 ? err(UNKNOWN) : ok(sizes);
}

/** Whether the sizes say all that is asked about an input. */
function isAnswered(sizes: ReadonlyMap<string, InputSizes>, sha256: string, lists: ReadonlySet<string>): boolean {
  const known = sizes.get(sha256);
  return known !== undefined && (known.whole !== null || !lists.has(sha256));
}

/** Of piece lists that only the bucket knows. */
interface PieceCheck {
  /** Those whose pieces are all stored, with their pieces. */
  complete: Map<string, Piece[]>;
  /** How many cannot be decided at present. */
  undecided: number;
}

/**
 * Read these lists, and look their pieces up: the object says only that they were there when it was
 * written. Throws when R2 does.
 */
async function checkPieces(storage: InputStorage, lists: readonly string[], nowMs: number): Promise<PieceCheck> {
  const read = await readPieceLists(storage.FILES, lists.slice(0, VERIFIED));
  const all = new Set([...read.values()].flat().map(({ sha256 }) => sha256));
  const sizes = await sizesOfInputs(storage, [...all], nowMs);
  if (!sizes.ok) return { complete: new Map(), undecided: lists.length };
  const isThere = ({ sha256, size }: Piece): boolean => sizes.value.get(sha256)?.size === size;
  const complete = new Map([...read].filter(([, pieces]) => pieces.every(isThere)));
  return { complete, undecided: Math.max(0, lists.length - VERIFIED) };
}

/** Put what was found in the bucket into the index. */
async function recordFound(db: D1Database, found: Found, { complete }: PieceCheck, nowMs: number): Promise<void> {
  const inputs = [...found.sizes].flatMap(([sha256, { size, whole }]): StoredInput[] =>
    whole === null ? [{ sha256, size }] : [],
  );
  if (inputs.length > 0) await orWarn(recordInputs(db, inputs, nowMs));
  for (const [sha256, pieces] of complete) {
    const { size } = found.sizes.get(sha256)!;
    await orWarn(recordPieceList(db, { sha256, size, pieces }, nowMs));
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
  nowMs: number,
): Promise<Result<{ created: boolean }, Refusal>> {
  const sizes = await sizesOfInputs(storage, [...new Set(pieces.map((piece) => piece.sha256))], nowMs);
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
  const size = pieceListText(pieces).length;
  const recorded = await orWarn(recordPieceList(storage.HISTORY, { sha256, size, pieces }, nowMs));
  if (recorded === false) return err(BEING_DELETED);
  if (recorded === null) {
    const refusal = await mark(storage.FILES, { sha256, size }, bytesOfPieces(pieces));
    if (refusal) return err(refusal);
  }
  return stored;
}

/**
 * Note that these inputs have been stored. Answers with the refusals, by hash: `overloaded` for an
 * input that may be deleted at this moment, or whose note neither D1 nor R2 takes. The client sends
 * such an input again.
 */
export async function noteStored(
  { FILES, HISTORY }: InputStorage,
  inputs: readonly StoredInput[],
  nowMs: number,
): Promise<Map<string, Refusal>> {
  const refused = new Map<string, Refusal>();
  if (inputs.length === 0) return refused;
  const recorded = await orWarn(recordInputs(HISTORY, inputs, nowMs));
  if (recorded) {
    for (const { sha256 } of inputs) if (!recorded.has(sha256)) refused.set(sha256, BEING_DELETED);
    return refused;
  }
  await mapConcurrent(inputs, PUTS_AT_ONCE, async (input) => {
    const refusal = await mark(FILES, input, null);
    if (refusal) refused.set(input.sha256, refusal);
  });
  return refused;
}

/** Write the marker of an input that is not in the index. Answers with the refusal, if it fails. */
async function mark(bucket: R2Bucket, { sha256, size }: StoredInput, whole: number | null): Promise<Refusal | null> {
  try {
    const customMetadata = { size: String(size), ...(whole !== null && { whole: String(whole) }) };
    await bucket.put(unindexedKey(sha256), "", { customMetadata });
    return null;
  } catch (error) {
    return storageRefusal("put", error);
  }
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
