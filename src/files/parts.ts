/**
 * Large files in resumable parts. Each part is an object of its own under `parts/`, checked by R2 on arrival, and stays that:
 * putting them together reads them once, through a SHA-256 of the whole, and writes the manifest. Memory stays at one small
 * buffer. Which races there are, and why each ends well, is in decision 012.
 */
import { toHex } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { partKey, partPlace, partsPrefix, uploadKey, type PartPlace } from "./keys.ts";
import { PartGone, readParts, storeManifest, uploadIn, type Manifest } from "./manifest.ts";
import { deleteKeys, sameContent, storageRefusal, storeOnce, storeOver, whatIsThere, type Upload } from "./store.ts";
import {
  currentUpload,
  ensureRecord,
  giveUpUpload,
  isOpen,
  openUpload,
  SWEEP_MARGIN_MS,
  type UploadRecord,
} from "./upload-record.ts";

/** Parts are numbered from 1 to this. */
export const MAX_PARTS = MAX_FILE_BYTES / PART_BYTES;

export interface Part {
  number: number;
  size: number;
  sha256: string;
}

/** Store part `number` of `target`; one that comes again takes the place of the one before. Refusals as of `storeOver`. */
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
  // The upload may have been finished and its record deleted while these bytes came: without a record no sweep finds them.
  return await ensureRecord(bucket, target);
}

/** The parts of `target` that have arrived, in order. */
export async function listParts(bucket: R2Bucket, target: string, nowMs: number): Promise<Part[]> {
  const record = await currentUpload(bucket, target, nowMs);
  return record ? partsOf(record, await storedParts(bucket, target)) : [];
}

/**
 * Put the parts of `target` together. Idempotent: when the file is there already, that is the answer. Refusals: `conflict`
 * (a part is missing, or another content is stored there), `invalid` (the whole has another size or hash: nothing is stored, and
 * its parts count no more), `overloaded` (the parts stay; try again). `now`: epoch milliseconds.
 */
export async function assemble(
  bucket: R2Bucket,
  target: string,
  whole: { size: number; sha256: string },
  now: () => number,
): Promise<Result<{ created: boolean }, Refusal>> {
  // In this order: whoever else finishes deletes the record last, so a record that is gone means a file that is there.
  const record = await currentUpload(bucket, target, now());
  const stored = record ? await storedParts(bucket, target) : [];
  const present = await bucket.head(target);
  if (present) {
    const same = sameContent(present, whole);
    // What else came with the file's own upload is for the file to take along when it goes.
    if (same.ok && record) await tidy(bucket, target, stored, ({ upload }) => upload === uploadIn(present));
    return same;
  }
  if (!record) return refuse("conflict", "None of the parts is here; send them.");
  const parts = partsOf(record, stored);
  const made = await makeOf(bucket, target, parts, record, whole, now);
  // Whatever it is that is wrong with them: the next ones begin anew.
  if (!made.ok && made.error.code === "invalid") await orWarn(giveUpUpload(bucket, record));
  if (made.ok && made.value.created) {
    const own = new Set(parts.length > 1 ? parts.map((part) => part.key) : []);
    await tidy(bucket, target, stored, ({ key }) => own.has(key));
  }
  return made;
}

async function makeOf(
  bucket: R2Bucket,
  target: string,
  parts: readonly StoredPart[],
  { upload, ...record }: UploadRecord,
  whole: { size: number; sha256: string },
  now: () => number,
): Promise<Result<{ created: boolean }, Refusal>> {
  const checked = checkParts(parts, whole.size);
  if (!checked.ok) return checked;
  try {
    if (parts.length === 1) return await makeSmall(bucket, target, parts[0]!, whole);
    const manifest = { ...whole, target, upload, parts: parts.map((part) => part.sha256) };
    return await makeLarge(bucket, manifest, record.writtenMs, now);
  } catch (error) {
    return await failed(bucket, target, whole, error);
  }
}

/** Read the whole through its hash, and write the manifest. */
async function makeLarge(
  bucket: R2Bucket,
  manifest: Manifest,
  writtenMs: number,
  now: () => number,
): Promise<Result<{ created: boolean }, Refusal>> {
  if ((await hashWhole(bucket, manifest)) !== manifest.sha256) return refuse("invalid", NOT_THIS_HASH, "sha256");
  // Reading takes minutes, and a day is left; but nothing that the sweep might take gets into a file.
  if (!isOpen(writtenMs, now() - SWEEP_MARGIN_MS / 2))
    return refuse("conflict", "The parts are too old by now; send them again.");
  if (await storeManifest(bucket, manifest)) return ok({ created: true });
  return await whatIsThere(bucket, manifest.target, manifest);
}

/** What fits into one PUT becomes one object, as if it had come in one. */
async function makeSmall(
  bucket: R2Bucket,
  target: string,
  part: StoredPart,
  whole: { size: number; sha256: string },
): Promise<Result<{ created: boolean }, Refusal>> {
  if (part.sha256 !== whole.sha256) return refuse("invalid", NOT_THIS_HASH, "sha256");
  const object = await bucket.get(part.key);
  if (!object) throw new PartGone(part.number);
  return await storeOnce(bucket, { ...whole, key: target, body: object.body, hashField: "sha256" });
}

const NOT_THIS_HASH = "The parts together do not have this SHA-256; they count no more, send them again.";

/** What went wrong while the parts were read: a part that is gone may have become the file meanwhile. */
async function failed(
  bucket: R2Bucket,
  target: string,
  whole: { size: number; sha256: string },
  error: unknown,
): Promise<Result<{ created: boolean }, Refusal>> {
  try {
    const finished = await bucket.head(target);
    if (finished) return sameContent(finished, whole);
  } catch {
    // The first failure says more.
  }
  if (error instanceof PartGone)
    return refuse("conflict", `Part ${error.number} went away; list the parts and send what is missing.`);
  return err(storageRefusal("assemble", error));
}

/** Bytes that are in memory at a time. */
const BUFFER_BYTES = 256 * 1024;

async function hashWhole(bucket: R2Bucket, manifest: Manifest): Promise<string> {
  const digest = new crypto.DigestStream("SHA-256");
  const hash = digest.getWriter();
  try {
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    for await (const body of readParts(bucket, manifest)) {
      const reader = body.getReader({ mode: "byob" });
      for (;;) {
        // Few large chunks: each costs a turn of the event loop, whatever its size.
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

/** Whether parts 1..n are there and have the sizes that make the whole: PART_BYTES each, the rest in the last. */
export function checkParts(parts: readonly Part[], size: number): Result<null, Refusal> {
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

/** The parts of all uploads of `target`. */
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

/** Of this upload, the newest of each number, in order. */
function partsOf({ upload }: UploadRecord, stored: readonly StoredPart[]): StoredPart[] {
  const newest = new Map<number, StoredPart>();
  for (const part of stored) {
    if (part.upload !== upload) continue;
    const other = newest.get(part.number);
    if (!other || other.storedMs <= part.storedMs) newest.set(part.number, part);
  }
  return [...newest.values()].toSorted((a, b) => a.number - b.number);
}

/** The file is there: delete what no part of it is, and forget the upload. What fails here, the daily sweep does. */
async function tidy(
  bucket: R2Bucket,
  target: string,
  stored: readonly StoredPart[],
  isOwn: (part: StoredPart) => boolean,
): Promise<void> {
  const strays = stored.filter((part) => !isOwn(part)).map((part) => part.key);
  await orWarn(deleteKeys(bucket, [...strays, uploadKey(target)]));
}

async function orWarn(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => console.warn(`R2 failed: ${String(error)}`));
}
