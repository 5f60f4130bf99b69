/**
 * A file of more than one part. Its bytes stay where they arrived, under keys that say their hash; the object at its own key is
 * the manifest: their hashes in order, written once, after the whole was read through its SHA-256. So a file is there when its
 * manifest is, and what it says can never come to mean other bytes.
 */
import { PART_BYTES } from "../protocol/file.ts";
import { partKey } from "./keys.ts";
import { hashOf } from "./store.ts";

export interface Manifest {
  target: string;
  /** The upload its parts came with. */
  upload: string;
  size: number;
  sha256: string;
  /** Of each part, in order: all of PART_BYTES, and the last of what is left. */
  parts: readonly string[];
}

/** Which upload's parts make up this stored file; null when it is an object of its own. */
export function uploadIn(object: R2Object): string | null {
  return object.customMetadata?.["upload"] ?? null;
}

/** Write it where there is nothing yet: false when something was. */
export async function storeManifest(bucket: R2Bucket, manifest: Manifest): Promise<boolean> {
  const { target, upload, size, sha256, parts } = manifest;
  const customMetadata = { sha256, size: String(size), upload };
  const onlyIf = { etagDoesNotMatch: "*" };
  return (await bucket.put(target, parts.join("\n"), { onlyIf, customMetadata })) !== null;
}

/** The manifest in a stored object that has one (`uploadIn`). */
export async function readManifest(object: R2ObjectBody, upload: string): Promise<Manifest> {
  const parts = (await object.text()).split("\n");
  const size = Number(object.customMetadata?.["size"]);
  return { target: object.key, upload, size, sha256: hashOf(object), parts };
}

/** The bytes of a large file, or a range of them, one part after the other; the next is asked for while one is read. */
export async function* readParts(
  bucket: R2Bucket,
  manifest: Manifest,
  range: { offset: number; length: number } = { offset: 0, length: manifest.size },
): AsyncGenerator<ReadableStream<Uint8Array>> {
  const end = range.offset + range.length;
  const last = Math.floor((end - 1) / PART_BYTES);
  const open = (index: number): Promise<R2ObjectBody> => {
    const start = index * PART_BYTES;
    const offset = Math.max(0, range.offset - start);
    return openPart(bucket, manifest, index, { offset, length: Math.min(PART_BYTES, end - start) - offset });
  };
  let next: Promise<R2ObjectBody> | null = open(Math.floor(range.offset / PART_BYTES));
  try {
    for (let index = Math.floor(range.offset / PART_BYTES); next; index++) {
      const { body } = await next;
      next = index < last ? open(index + 1) : null;
      // Whether it is there is asked when its turn comes.
      next?.catch(() => undefined);
      yield body;
    }
  } finally {
    await (await next?.catch(() => undefined))?.body.cancel();
  }
}

async function openPart(
  bucket: R2Bucket,
  { target, upload, parts }: Manifest,
  index: number,
  range: { offset: number; length: number },
): Promise<R2ObjectBody> {
  const sha256 = parts[index] ?? "";
  const object = await bucket.get(partKey({ target, upload, number: index + 1, sha256 }), { range });
  if (!object) throw new PartGone(index + 1);
  return object;
}

/** A part that is in the manifest is not there: somebody deleted the file. */
export class PartGone extends Error {
  readonly number: number;
  constructor(number: number) {
    super(`part ${number} is gone`);
    this.number = number;
  }
}

/** Write the bytes of a large file, or a range of them, to `to`, and end it. When that fails, `to` fails with it. */
export async function pipeParts(
  bucket: R2Bucket,
  manifest: Manifest,
  range: { offset: number; length: number },
  to: WritableStream<Uint8Array>,
): Promise<void> {
  try {
    for await (const body of readParts(bucket, manifest, range)) await body.pipeTo(to, { preventClose: true });
    await to.close();
  } catch (error) {
    await to.abort(error).catch(() => undefined);
    throw error;
  }
}
