/**
 * Large files in resumable parts. Each part is an object under `parts/`, whose hash R2 checks on
 * arrival. To assemble a file, the manifest is written, and the parts stay where they are. Before,
 * the hash of the list of the parts is compared with what the client says (decision 020). A client
 * of 0.1 says the SHA-256 of the whole alone: the parts are then read once to check that. Memory
 * stays at one small buffer. Decision 012 lists the races, and why each ends well.
 */
import { toHex } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "../protocol/file.ts";
import { PIECES_HEADER } from "../protocol/piece-list.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { partKey, partPlace, partsPrefix, uploadKey, type PartPlace } from "./keys.ts";
import {
  PartGone,
  piecesIn,
  piecesOf,
  readManifest,
  readParts,
  storeManifest,
  uploadIn,
  type PartsManifest,
} from "./manifest.ts";
import { deleteKeys, OTHER_CONTENT, sameContent, storageRefusal, storeOnce, storeOver, type Upload } from "./store.ts";
import {
  currentUpload,
  ensureRecord,
  giveUpUpload,
  mayAssemble,
  openUpload,
  SWEEP_MARGIN_MS,
  type UploadRecord,
} from "./upload-record.ts";

/** The highest number of a part; the first is 1. */
export const MAX_PARTS = MAX_FILE_BYTES / PART_BYTES;

export interface Part {
  number: number;
  size: number;
  sha256: string;
}

/**
 * Store part `number` of `target`. A part that comes again replaces the earlier one. Refusals as of
 * `storeOver`.
 */
export async function storePart(
  bucket: R2Bucket,
  target: string,
  number: number,
  bytes: Omit<Upload, "key">,
  nowMs: number,
): Promise<Result<null, Refusal>> {
  const upload = await openUpload(bucket, target, nowMs);
  if (!upload.ok) return upload;
  const key = partKey({ target, upload: upload.value, number, sha256: bytes.sha256 });
  const stored = await storeOver(bucket, { ...bytes, key });
  if (!stored.ok) return stored;
  // While these bytes arrived, the upload may have been finished and its record deleted. No sweep
  // finds a part without a record.
  return await ensureRecord(bucket, target);
}

/** The parts of `target` that have arrived, in order. */
export async function listParts(bucket: R2Bucket, target: string, nowMs: number): Promise<Part[]> {
  const record = await currentUpload(bucket, target, nowMs);
  return record ? partsOf(record, await storedParts(bucket, target)) : [];
}

/** What a whole file must be. */
export interface Whole {
  size: number;
  /** Checked unless `pieces` is there: then it is stored as what the client said. */
  sha256: string;
  /** The hash of the list of the parts; only for a file of more than one. */
  pieces?: string | undefined;
}

/** An assembled file. `pieces`: what was checked of it, where that was not its `sha256`. */
export interface Assembled {
  created: boolean;
  pieces?: string | undefined;
}

/**
 * Assemble the parts of `target`. Idempotent: when the file exists, that is the answer. `now`:
 * epoch milliseconds. Refusals:
 *
 * - `conflict`: a part is missing, or other content is stored at the key
 * - `invalid`: the whole has another size or hash, or its parts another list. Nothing is stored, and the upload is given up
 * - `overloaded`: the storage failed. The parts stay, the client may try again
 */
export async function assemble(
  bucket: R2Bucket,
  target: string,
  whole: Whole,
  now: () => number,
): Promise<Result<Assembled, Refusal>> {
  // The record is read before the file. A concurrent call that finishes deletes the record last, so
  // when there is no record because of it, the file is found.
  const record = await currentUpload(bucket, target, now());
  const stored = record ? await storedParts(bucket, target) : [];
  const present = await bucket.head(target);
  if (present) {
    const same = await sameFile(bucket, present, whole);
    // The parts of the file's own upload stay: they are the file, and are deleted with it.
    if (same.ok && record) await deleteOrphans(bucket, target, stored, ({ upload }) => upload === uploadIn(present));
    return same;
  }
  if (!record) return refuse("conflict", "None of the parts is here; send them.");
  const parts = partsOf(record, stored);
  const assembled = await assembleParts(bucket, target, parts, record, whole, now);
  // Whichever part is wrong, the next part begins a new upload.
  if (!assembled.ok && assembled.error.code === "invalid") await orWarn(giveUpUpload(bucket, record));
  if (assembled.ok && assembled.value.created) {
    const own = new Set(parts.length > 1 ? parts.map((part) => part.key) : []);
    await deleteOrphans(bucket, target, stored, ({ key }) => own.has(key));
  }
  return assembled;
}

async function assembleParts(
  bucket: R2Bucket,
  target: string,
  parts: readonly StoredPart[],
  { upload, ...record }: UploadRecord,
  whole: Whole,
  now: () => number,
): Promise<Result<Assembled, Refusal>> {
  const checked = checkParts(parts, whole.size);
  if (!checked.ok) return checked;
  try {
    if (parts.length === 1) return await assembleSmall(bucket, target, parts[0]!, whole);
    const manifest = { ...whole, target, upload, parts: parts.map((part) => part.sha256) };
    return await assembleLarge(bucket, manifest, record.writtenMs, now);
  } catch (error) {
    return await afterFailure(bucket, target, whole, error);
  }
}

/** Check the list of the parts, or the hash of the whole, and write the manifest. */
async function assembleLarge(
  bucket: R2Bucket,
  manifest: PartsManifest,
  writtenMs: number,
  now: () => number,
): Promise<Result<Assembled, Refusal>> {
  const { target, pieces } = manifest;
  if (pieces !== undefined) {
    if ((await piecesOf(manifest)) !== pieces) return refuse("invalid", NOT_THIS_LIST, PIECES_HEADER);
  } else if ((await hashWhole(bucket, manifest)) !== manifest.sha256) return refuse("invalid", NOT_THIS_HASH, "sha256");
  // Reading takes minutes, and a day is left. Checked all the same: a file must not have parts that
  // the sweep may delete.
  if (!mayAssemble(writtenMs, now() - SWEEP_MARGIN_MS / 2))
    return refuse("conflict", "The parts are too old by now; send them again.");
  if (await storeManifest(bucket, manifest)) return ok({ created: true, pieces });
  const present = await bucket.head(target);
  if (!present) return refuse("overloaded", "The file was being deleted; send it again.");
  return await sameFile(bucket, present, manifest);
}

/** A file of one part becomes a single object, as if it had been uploaded in one request. */
async function assembleSmall(
  bucket: R2Bucket,
  target: string,
  part: StoredPart,
  whole: { size: number; sha256: string },
): Promise<Result<{ created: boolean }, Refusal>> {
  if (part.sha256 !== whole.sha256) return refuse("invalid", NOT_THIS_HASH, "sha256");
  const object = await bucket.get(part.key);
  if (!object) throw new PartGone(part.number);
  const stored = await storeOnce(bucket, { ...whole, key: target, body: object.body, hashField: "sha256" });
  // The bytes came from the bucket: when they broke off, it is no fault of the client's request.
  if (!stored.ok && stored.error.code === "invalid_request") return err(storageRefusal("get", stored.error.detail));
  return stored;
}

/** Whether the stored file is the one that is announced; else `conflict`. Throws when R2 does. */
async function sameFile(bucket: R2Bucket, present: R2Object, whole: Whole): Promise<Result<Assembled, Refusal>> {
  const same = sameContent(present, whole);
  if (!same.ok) return same;
  const pieces = piecesIn(present);
  if (whole.pieces === undefined || whole.pieces === pieces) return ok({ created: false, pieces });
  // Its `sha256` was checked, and that of the announced file was not.
  const object = pieces === undefined ? await bucket.get(present.key) : null;
  const upload = object && uploadIn(object);
  const isSame = upload && (await piecesOf(await readManifest(object, upload))) === whole.pieces;
  return isSame ? ok({ created: false }) : refuse("conflict", OTHER_CONTENT);
}

const NOT_THIS_LIST = "The parts that arrived are not those of this piece list; they count no more, send them again.";
const NOT_THIS_HASH = "The parts together do not have this SHA-256; they count no more, send them again.";

/**
 * The answer after a failure while the parts were read: a part may be gone because a concurrent
 * call finished the file.
 */
async function afterFailure(
  bucket: R2Bucket,
  target: string,
  whole: Whole,
  error: unknown,
): Promise<Result<Assembled, Refusal>> {
  try {
    const finished = await bucket.head(target);
    if (finished) return await sameFile(bucket, finished, whole);
  } catch {
    // The first failure is the one to report.
  }
  if (error instanceof PartGone)
    return refuse("conflict", `Part ${error.number} went away; list the parts and send what is missing.`);
  return err(storageRefusal("assemble", error));
}

/** Bytes that are read, and in memory, at a time. */
const BUFFER_BYTES = 256 * 1024;

async function hashWhole(bucket: R2Bucket, manifest: PartsManifest): Promise<string> {
  const digest = new crypto.DigestStream("SHA-256");
  const hash = digest.getWriter();
  try {
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    for await (const body of readParts(bucket, manifest)) {
      const reader = body.getReader({ mode: "byob" });
      for (;;) {
        // Few large chunks, because each costs a turn of the event loop whatever its size.
        const { done, value } = await reader.readAtLeast(BUFFER_BYTES, new Uint8Array(buffer));
        if (value) {
          await hash.write(value);
          buffer = value.buffer;
        }
        if (done || !value) break;
      }
    }
    await hash.close();
  } catch (error) {
    digest.digest.catch(() => undefined);
    await hash.abort(error).catch(() => undefined);
    throw error;
  }
  return toHex(new Uint8Array(await digest.digest));
}

/**
 * Whether all parts have arrived with their sizes: PART_BYTES each, and the rest in the last.
 * Refusals: `invalid`, `conflict`.
 */
function checkParts(parts: readonly Part[], size: number): Result<null, Refusal> {
  const count = Math.ceil(size / PART_BYTES);
  const sizes = new Map(parts.map((part) => [part.number, part.size]));
  for (const { number, size: partSize } of parts) {
    const expected = number === count ? size - (count - 1) * PART_BYTES : number < count ? PART_BYTES : 0;
    if (partSize !== expected) {
      const detail = `Part ${number} has ${partSize} bytes; a file of ${size} bytes has ${expected} there. The parts count no more, send them again.`;
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

interface StoredPart extends Part, PartPlace {
  key: string;
  storedMs: number;
}

/** The stored parts of `target`, of all its uploads. */
async function storedParts(bucket: R2Bucket, target: string): Promise<StoredPart[]> {
  const parts: StoredPart[] = [];
  let cursor: string | undefined;
  do {
    const page: R2Objects = await bucket.list({ prefix: partsPrefix(target), cursor });
    for (const { key, size, uploaded } of page.objects)
      parts.push({ ...partPlace(key), key, size, storedMs: uploaded.getTime() });
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return parts;
}

/** The parts of this upload in order; of parts with one number, the newest. */
function partsOf({ upload }: UploadRecord, stored: readonly StoredPart[]): StoredPart[] {
  const newest = new Map<number, StoredPart>();
  for (const part of stored) {
    if (part.upload !== upload) continue;
    const other = newest.get(part.number);
    if (!other || other.storedMs <= part.storedMs) newest.set(part.number, part);
  }
  return [...newest.values()].toSorted((a, b) => a.number - b.number);
}

/**
 * The file exists: delete the orphaned parts and the record. If this fails, the daily sweep does
 * it.
 */
async function deleteOrphans(
  bucket: R2Bucket,
  target: string,
  stored: readonly StoredPart[],
  isOwn: (part: StoredPart) => boolean,
): Promise<void> {
  const orphans = stored.filter((part) => !isOwn(part)).map((part) => part.key);
  await orWarn(deleteKeys(bucket, [...orphans, uploadKey(target)]));
}

/** Log a failure instead of throwing it. */
async function orWarn(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => console.warn(`R2 failed: ${String(error)}`));
}
