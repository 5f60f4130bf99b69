/**
 * Large files in resumable parts. Each part is an object of its own under `parts/`, checked by R2 on arrival; putting them
 * together streams them once, through a SHA-256 of the whole, into an R2 multipart upload. Memory stays at one small buffer.
 */
import { err, ok, type Result } from "../platform/result.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { partKey, partNumber, partsPrefix } from "./keys.ts";
import { hashOf, sameContent, storageRefusal } from "./store.ts";

/** Parts are numbered from 1 to this. */
export const MAX_PARTS = MAX_FILE_BYTES / PART_BYTES;

export interface Part {
  number: number;
  size: number;
  sha256: string;
}

/** The parts of `target` that have arrived, in order. */
export async function listParts(bucket: R2Bucket, target: string): Promise<Part[]> {
  const parts: Part[] = [];
  let cursor: string | undefined;
  do {
    const page: R2Objects = await bucket.list({ prefix: partsPrefix(target), include: ["customMetadata"], cursor });
    for (const object of page.objects)
      parts.push({ number: partNumber(object.key), size: object.size, sha256: hashOf(object) });
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return parts;
}

/**
 * Put the parts of `target` together. Idempotent: when the object is there already, that is the answer. Refusals: `conflict`
 * (a part is missing, or another content is stored there), `invalid` (the whole has another size or hash: its parts are deleted,
 * and nothing is stored), `overloaded` (the parts stay; try again).
 */
export async function assemble(
  bucket: R2Bucket,
  target: string,
  whole: { size: number; sha256: string },
): Promise<Result<{ created: boolean }, Refusal>> {
  // In this order: whoever else finishes deletes the parts last, so parts that are gone mean a file that is there.
  const parts = await listParts(bucket, target);
  const present = await bucket.head(target);
  if (present) {
    const same = sameContent(present, whole);
    if (same.ok) await deleteParts(bucket, target, parts);
    return same;
  }
  const checked = checkParts(parts, whole.size);
  if (!checked.ok) {
    if (checked.error.code === "invalid") await deleteParts(bucket, target, parts);
    return checked;
  }
  const upload = await bucket.createMultipartUpload(target, { customMetadata: { sha256: whole.sha256 } });
  let joined: Joined;
  try {
    joined = await join(bucket, target, parts, upload);
    if (joined.sha256 === whole.sha256) await upload.complete(joined.uploaded);
  } catch (error) {
    await upload.abort().catch(() => undefined);
    // Somebody else may have put the same parts together and deleted them meanwhile.
    const finished = await bucket.head(target);
    if (finished) return sameContent(finished, whole);
    if (error instanceof PartGone)
      return err({
        code: "conflict",
        detail: `Part ${error.number} went away; list the parts and send what is missing.`,
      });
    return err(storageRefusal("multipart upload", error));
  }
  if (joined.sha256 !== whole.sha256) {
    await upload.abort();
    await deleteParts(bucket, target, parts);
    return refuse(
      "invalid",
      "The parts together do not have this SHA-256; they were deleted, send them again.",
      "sha256",
    );
  }
  await deleteParts(bucket, target, parts);
  return ok({ created: true });
}

/** Whether parts 1..n are there and have the sizes that make the whole: PART_BYTES each, the rest in the last. */
export function checkParts(parts: readonly Part[], size: number): Result<null, Refusal> {
  const count = Math.ceil(size / PART_BYTES);
  const sizes = new Map(parts.map((part) => [part.number, part.size]));
  for (const { number, size: partSize } of parts) {
    const expected = number === count ? size - (count - 1) * PART_BYTES : number < count ? PART_BYTES : 0;
    if (partSize !== expected) {
      const detail = `Part ${number} has ${partSize} bytes; a file of ${size} bytes has ${expected} there. The parts were deleted, send them again.`;
      return refuse("invalid", detail, "size");
    }
  }
  const missing: number[] = [];
  for (let number = 1; number <= count && missing.length < 10; number++) if (!sizes.has(number)) missing.push(number);
  if (missing.length === 0) return ok(null);
  return err({
    code: "conflict",
    detail: `Of ${count} parts, ${parts.length} have arrived; the first missing: ${missing.join(", ")}.`,
  });
}

async function deleteParts(bucket: R2Bucket, target: string, parts: readonly Part[]): Promise<void> {
  if (parts.length > 0) await bucket.delete(parts.map((part) => partKey(target, part.number)));
}

class PartGone extends Error {
  readonly number: number;
  constructor(number: number) {
    super(`part ${number} is gone`);
    this.number = number;
  }
}

interface Joined {
  sha256: string;
  uploaded: R2UploadedPart[];
}

async function join(
  bucket: R2Bucket,
  target: string,
  parts: readonly Part[],
  upload: R2MultipartUpload,
): Promise<Joined> {
  const digest = new crypto.DigestStream("SHA-256");
  const hash = digest.getWriter();
  const uploaded: R2UploadedPart[] = [];
  try {
    for (const part of parts) {
      const object = await bucket.get(partKey(target, part.number));
      if (!object) throw new PartGone(part.number);
      const fixed = new FixedLengthStream(object.size);
      const [, done] = await Promise.all([
        copy(object.body, hash, fixed.writable.getWriter()),
        upload.uploadPart(part.number, fixed.readable),
      ]);
      uploaded.push(done);
    }
    await hash.close();
  } catch (error) {
    digest.digest.catch(() => undefined);
    await hash.abort(error).catch(() => undefined);
    throw error;
  }
  const bytes = new Uint8Array(await digest.digest);
  return { sha256: [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""), uploaded };
}

/** Bytes that are in memory at a time. */
const BUFFER_BYTES = 256 * 1024;

/** Every byte to both, at the pace of the slower one. */
async function copy(
  from: ReadableStream,
  hash: WritableStreamDefaultWriter<ArrayBuffer | ArrayBufferView>,
  to: WritableStreamDefaultWriter<ArrayBuffer | ArrayBufferView>,
): Promise<void> {
  const reader = from.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  for (;;) {
    const { done, value } = await reader.readAtLeast(BUFFER_BYTES, new Uint8Array(buffer));
    if (value && value.byteLength > 0) {
      await hash.write(value);
      await to.write(value);
    }
    if (done || !value) break;
    buffer = value.buffer;
  }
  await to.close();
}
