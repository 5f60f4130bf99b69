/** Reading a stored file, which is a single object or in parts. */
import { MAX_PUT_BYTES } from "../protocol/file.ts";
import type { ByteRange } from "./content.ts";
import { piecesIn, pipeParts, readManifest, uploadIn, type PartsManifest } from "./manifest.ts";
import { hashOf, sizeOf } from "./store.ts";

export interface StoredFile {
  key: string;
  size: number;
  sha256: string;
  /** The hash of the list of its parts, where the file is known by that. */
  pieces?: string | undefined;
}

/** An open file. It is read once, or canceled. */
export interface OpenedFile {
  /**
   * Write the bytes to `to`, and close it unless `preventClose` is set. On failure, `to` is aborted
   * and the error thrown.
   */
  pipeTo(to: WritableStream<Uint8Array>, options?: { preventClose?: boolean }): Promise<void>;
  cancel(): Promise<void>;
}

/**
 * Open a file, or a range of it. Null when there is no such object, or one with another size or
 * hash: only what was committed is served. A missing part fails the stream.
 */
export async function openFile(
  bucket: R2Bucket,
  file: StoredFile,
  range: ByteRange | null,
): Promise<OpenedFile | null> {
  const mayHaveParts = file.size > MAX_PUT_BYTES;
  const object = await bucket.get(file.key, range && !mayHaveParts ? { range } : {});
  if (!object || !isFile(object, file)) {
    await object?.body.cancel();
    return null;
  }
  if (uploadIn(object) !== null || !range || !mayHaveParts) return await openObject(bucket, object, range);
  // Large, and yet a single object: it was stored before there were manifests.
  await object.body.cancel();
  const again = await bucket.get(file.key, { range });
  return again && inOne(again);
}

/**
 * Open a file of which the object at its key has been read: the whole object, or of a single object
 * the range. `range` is that of the file.
 */
export async function openObject(bucket: R2Bucket, object: R2ObjectBody, range: ByteRange | null): Promise<OpenedFile> {
  const upload = uploadIn(object);
  return upload === null ? inOne(object) : inParts(bucket, await readManifest(object, upload), range);
}

/**
 * Whether an object is this file. An older object or row knows nothing of `pieces`, and is right by
 * its `sha256`.
 */
function isFile(object: R2Object, { size, sha256, pieces }: StoredFile): boolean {
  const stored = piecesIn(object);
  if (pieces !== undefined && stored !== undefined && pieces !== stored) return false;
  return hashOf(object) === sha256 && sizeOf(object) === size;
}

function inOne({ body }: R2ObjectBody): OpenedFile {
  return { pipeTo: (to, options) => body.pipeTo(to, options), cancel: () => body.cancel() };
}

function inParts(bucket: R2Bucket, manifest: PartsManifest, range: ByteRange | null): OpenedFile {
  return {
    pipeTo: (to, options) => pipeParts(bucket, manifest, range ?? { offset: 0, length: manifest.size }, to, options),
    // No part is open before the first is written.
    cancel: () => Promise.resolve(),
  };
}
