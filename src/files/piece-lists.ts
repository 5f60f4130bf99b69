/**
 * Piece lists in the bucket (decision 020). A piece list is an input as any other, at
 * `assets/<sha256 of its text>`. Its object also says of how many bytes the whole file is; it does
 * only when all pieces were stored, with their sizes, at the time.
 */
import { mapConcurrent } from "../lib/concurrency.ts";
import { err, ok, type Result } from "../lib/result.ts";
import {
  bytesOfPieces,
  MAX_PIECE_LIST_BYTES,
  pieceListText,
  readPieceList,
  type Piece,
} from "../protocol/piece-list.ts";
import type { Refusal } from "../protocol/problem.ts";
import { assetKey } from "./keys.ts";
import { storageRefusal } from "./store.ts";

/** A Worker may have six connections open; more reads would only wait. */
const READS_AT_ONCE = 6;
/** Another request writes the same list, or deletes it, between two steps of this one. */
const PUT_TRIES = 3;

/** Bytes of the whole file, for the object of a piece list; null for another object. */
export function wholeIn(object: R2Object): number | null {
  const whole = object.customMetadata?.["whole"];
  return whole === undefined ? null : Number(whole);
}

/** The pieces of these lists, by the hash of the list; without those that are gone. Throws when R2 does. */
export async function readPieceLists(bucket: R2Bucket, lists: readonly string[]): Promise<Map<string, Piece[]>> {
  const found = new Map<string, Piece[]>();
  await mapConcurrent(lists, READS_AT_ONCE, async (sha256) => {
    const object = await bucket.get(assetKey(sha256));
    if (object === null) return;
    if (object.size > MAX_PIECE_LIST_BYTES) return await object.body.cancel();
    const pieces = readPieceList(await object.text());
    if (pieces.ok) found.set(sha256, pieces.value);
  });
  return found;
}

/**
 * Store a list whose pieces are stored. An object that is there has the same bytes; it may have come
 * as an ordinary input, and then gets the size of the whole file. `created` is false when it was
 * there as a list. Refusal: `overloaded`.
 */
export async function storePieceList(
  bucket: R2Bucket,
  sha256: string,
  pieces: readonly Piece[],
): Promise<Result<{ created: boolean }, Refusal>> {
  const key = assetKey(sha256);
  const customMetadata = { sha256, whole: String(bytesOfPieces(pieces)) };
  try {
    for (let tries = 0; tries < PUT_TRIES; tries++) {
      const present = await bucket.head(key);
      if (present && wholeIn(present) !== null) return ok({ created: false });
      // The condition: a sweep may delete the object at this moment, and a Worker must not bring
      // back what it did not see go.
      const onlyIf = present ? { etagMatches: present.etag } : { etagDoesNotMatch: "*" };
      if (await bucket.put(key, pieceListText(pieces), { onlyIf, sha256, customMetadata }))
        return ok({ created: true });
    }
    return err(storageRefusal("put", "the piece list changed all the time"));
  } catch (error) {
    return err(storageRefusal("put", error));
  }
}
