/**
 * A file of more than one part. Its bytes stay in the objects in which the parts arrived, whose
 * keys contain their hashes. The object at the file's own key is the manifest: the hashes of the
 * parts, in order. It is written once, after the hash of the list of the parts, or the SHA-256 of
 * the whole, was checked. So a file exists when its manifest exists, and a manifest never stands for
 * other bytes.
 */
import { sha256Hex } from "../platform/secrets.ts";
import { PART_BYTES } from "../protocol/file.ts";
import { piecesOfParts, pieceListText } from "../protocol/piece-list.ts";
import { partKey } from "./keys.ts";
import { hashOf } from "./store.ts";

export interface PartsManifest {
  target: string;
  /** The upload its parts came with. */
  upload: string;
  size: number;
  sha256: string;
  /**
   * The hash of the list of the parts, where that was checked and not `sha256`, which is then only
   * what the worker said.
   */
  pieces?: string | undefined;
  /** The SHA-256 of each part, in order. Every part has PART_BYTES, except the last. */
  parts: readonly string[];
}

/** The upload whose parts make up this stored file; null when the file is a single object. */
export function uploadIn(object: R2Object): string | null {
  return object.customMetadata?.["upload"] ?? null;
}

/** The hash of the list of the parts, where it was checked instead of that of the whole. */
export function piecesIn(object: R2Object): string | undefined {
  return object.customMetadata?.["pieces"];
}

/** The hash of the list of these parts (`protocol/piece-list.ts`). */
export async function piecesOf({ size, parts }: Pick<PartsManifest, "size" | "parts">): Promise<string> {
  return await sha256Hex(pieceListText(piecesOfParts(size, parts)));
}

/** Write a manifest unless an object exists at its key. False when one does. */
export async function storeManifest(bucket: R2Bucket, manifest: PartsManifest): Promise<boolean> {
  const { target, upload, size, sha256, pieces, parts } = manifest;
  const customMetadata = { sha256, size: String(size), upload, ...(pieces !== undefined && { pieces }) };
  const onlyIf = { etagDoesNotMatch: "*" };
  return (await bucket.put(target, parts.join("\n"), { onlyIf, customMetadata })) !== null;
}

/** The manifest in a stored object; `upload`: what `uploadIn` answers for it. */
export async function readManifest(object: R2ObjectBody, upload: string): Promise<PartsManifest> {
  const parts = (await object.text()).split("\n");
  const size = Number(object.customMetadata?.["size"]);
  return { target: object.key, upload, size, sha256: hashOf(object), pieces: piecesIn(object), parts };
}

/**
 * The bytes of a large file, or a range of them, part by part. The next part is requested while one
 * is read.
 */
export async function* readParts(
  bucket: R2Bucket,
  manifest: PartsManifest,
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
      // A failure is thrown when this part's turn comes, and must not count as unhandled until
      // then.
      next?.catch(() => undefined);
      yield body;
    }
  } finally {
    await (await next?.catch(() => undefined))?.body.cancel();
  }
}

async function openPart(
  bucket: R2Bucket,
  { target, upload, parts }: PartsManifest,
  index: number,
  range: { offset: number; length: number },
): Promise<R2ObjectBody> {
  const sha256 = parts[index] ?? "";
  const object = await bucket.get(partKey({ target, upload, number: index + 1, sha256 }), { range });
  if (!object) throw new PartGone(index + 1);
  return object;
}

/** A part of the manifest does not exist: the file was deleted meanwhile. */
export class PartGone extends Error {
  readonly number: number;
  constructor(number: number) {
    super(`part ${number} is gone`);
    this.number = number;
  }
}

/**
 * Write the bytes of a large file, or a range of them, to `to`, and close it unless `preventClose`
 * is set. On failure, `to` is aborted and the error thrown.
 */
export async function pipeParts(
  bucket: R2Bucket,
  manifest: PartsManifest,
  range: { offset: number; length: number },
  to: WritableStream<Uint8Array>,
  { preventClose = false }: { preventClose?: boolean } = {},
): Promise<void> {
  try {
    for await (const body of readParts(bucket, manifest, range)) await body.pipeTo(to, { preventClose: true });
    if (!preventClose) await to.close();
  } catch (error) {
    await to.abort(error).catch(() => undefined);
    throw error;
  }
}
