/** Reading a stored file, which is a single object or in parts. */
import { MAX_PUT_BYTES, PART_BYTES } from "../protocol/file.ts";
import { pipeParts, readManifest, uploadIn, type PartsManifest } from "./manifest.ts";
import { hashOf, sizeOf } from "./store.ts";

export interface StoredFile {
  key: string;
  size: number;
  sha256: string;
}

/** An open file. Its bytes can be read once, by one of the two methods. */
export interface OpenedFile {
  uploaded: Date;
  pipeTo(to: WritableStream<Uint8Array>): Promise<void>;
  readable(): ReadableStream<Uint8Array>;
}

/** How many requests to the bucket it takes to read a file of this size. */
export function readsOf(size: number): number {
  return size > MAX_PUT_BYTES ? 1 + Math.ceil(size / PART_BYTES) : 1;
}

/**
 * Open a file, or a range of it. Null when there is no such object, or one with another size or
 * hash: only what was committed is served. A missing part fails the stream.
 */
export async function openFile(
  bucket: R2Bucket,
  file: StoredFile,
  range: { offset: number; length: number } | null,
): Promise<OpenedFile | null> {
  const mayHaveParts = file.size > MAX_PUT_BYTES;
  const object = await bucket.get(file.key, range && !mayHaveParts ? { range } : {});
  if (!object || hashOf(object) !== file.sha256 || sizeOf(object) !== file.size) {
    await object?.body.cancel();
    return null;
  }
  const upload = uploadIn(object);
  if (upload !== null) return inParts(bucket, await readManifest(object, upload), object.uploaded, range);
  if (!range || !mayHaveParts) return inOne(object);
  // Large, and yet a single object: it was stored before there were manifests.
  await object.body.cancel();
  const again = await bucket.get(file.key, { range });
  return again && inOne(again);
}

function inOne({ body, uploaded }: R2ObjectBody): OpenedFile {
  return { uploaded, pipeTo: (to) => body.pipeTo(to), readable: () => body };
}

function inParts(
  bucket: R2Bucket,
  manifest: PartsManifest,
  uploaded: Date,
  range: { offset: number; length: number } | null,
): OpenedFile {
  const pipeTo = (to: WritableStream<Uint8Array>): Promise<void> =>
    pipeParts(bucket, manifest, range ?? { offset: 0, length: manifest.size }, to);
  // Do not pipe this on: the runtime stalls when one of its own streams is piped into another. Use
  // `pipeTo` for that.
  const readable = (): ReadableStream<Uint8Array> => {
    const through = new IdentityTransformStream();
    // The reader gets the error from the stream.
    pipeTo(through.writable).catch(() => undefined);
    return through.readable;
  };
  return { uploaded, pipeTo, readable };
}
