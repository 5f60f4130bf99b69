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
import type { Refusal } from "../protocol/problem.ts";
import { lookInBucket, type Found } from "./bucket-look-up.ts";
import { fillInputIndex } from "./fill-input-index.ts";
import {
  D1_TIMEOUT_MS,
  lookUpInputs,
  recordInputs,
  refreshInputs,
  warnOfIndex,
  type IndexAnswer,
  type InputStorage,
  type StoredInput,
} from "./input-index.ts";
import { ASSETS_PREFIX, UNINDEXED_PREFIX, unindexedKey } from "./keys.ts";
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
 * The sizes in bytes of those of these inputs that are stored, by their hash. Refusal:
 * `overloaded`, when it cannot be known at present.
 */
export async function sizesOfInputs(
  storage: InputStorage,
  hashes: readonly string[],
  nowMs: number,
): Promise<Result<Map<string, number>, Refusal>> {
  if (hashes.length === 0) return ok(new Map());
  const index = await askIndex(storage, hashes, nowMs);
  const sizes = index?.sizes ?? new Map<string, number>();
  const lacking = hashes.filter((sha256) => !sizes.has(sha256) && !index?.deleting.has(sha256));
  const trusted = index?.complete === true && lacking.length > VERIFIED;
  let found: Found;
  try {
    found = await lookInBucket(storage.FILES, trusted ? UNINDEXED_PREFIX : ASSETS_PREFIX, lacking);
  } catch (error) {
    return err(storageRefusal("look-up", error));
  }
  for (const [sha256, size] of found.sizes) sizes.set(sha256, size);
  // What the index lacked is recorded also when some is left: a client that asks again gets
  // further.
  if (index && !trusted && found.sizes.size > 0)
    await orWarn(recordInputs(storage.HISTORY, inputsOf(found.sizes), nowMs));
  if (index && index.toRefresh.length > 0) {
    const refreshed = await orWarn(refreshInputs(storage.HISTORY, index.toRefresh, nowMs));
    for (const sha256 of index.toRefresh) if (refreshed?.has(sha256) === false) sizes.delete(sha256);
  }
  return found.undecided > 0 ? err(UNKNOWN) : ok(sizes);
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
  await mapConcurrent(inputs, PUTS_AT_ONCE, async ({ sha256, size }) => {
    try {
      await FILES.put(unindexedKey(sha256), "", { customMetadata: { size: String(size) } });
    } catch (error) {
      refused.set(sha256, storageRefusal("put", error));
    }
  });
  return refused;
}

/**
 * What the index says; null when D1 does not answer. An index that is not complete is filled by one
 * page more, which completes the index of most farms.
 */
async function askIndex(storage: InputStorage, hashes: readonly string[], nowMs: number): Promise<IndexAnswer | null> {
  const lookUp = async (): Promise<IndexAnswer | null> => await orWarn(lookUpInputs(storage.HISTORY, hashes, nowMs));
  const index = await lookUp();
  if (!index || index.complete || index.sizes.size === hashes.length) return index;
  const complete = await orWarn(within(D1_TIMEOUT_MS, fillInputIndex(storage, nowMs, 1)));
  return complete ? await lookUp() : index;
}

function inputsOf(sizes: ReadonlyMap<string, number>): StoredInput[] {
  return [...sizes].map(([sha256, size]) => ({ sha256, size }));
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
