/**
 * Which upload of a file in parts is under way: a small object with the upload's id, under which its parts are filed. Whoever
 * gives an upload up writes another id over it, on the condition that it is still the old one, and touches no part: so nobody
 * who is putting these very parts together has them taken away.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { UPLOADS_PREFIX, uploadKey } from "./keys.ts";
import { storageRefusal } from "./store.ts";

/** An upload that nothing was added to for so long is swept, and its parts with it: nobody resumes after a week. */
export const STALE_UPLOAD_MS = 7 * 86_400_000;
/** So much before the sweep its parts count as not arrived, so that none of them is on its way into a file when it comes. */
export const SWEEP_MARGIN_MS = 86_400_000;
/**
 * A record older than this is written anew before the next part: so the parts of a stale one are older than what is left of a
 * week when this, and the longest upload of a part, are taken off.
 */
const RENEW_AFTER_MS = 43_200_000;
/** Several parts arrive at once and open the same upload: the storage takes one of them, and may refuse the others for their haste. */
const OPEN_TRIES = 4;
const OPEN_PAUSE_MS = 300;

export interface UploadRecord {
  target: string;
  /** The upload's id. */
  upload: string;
  etag: string;
  writtenMs: number;
}

/** The upload of `target` that is under way, or null: none is, or it waited for too long. */
export async function currentUpload(bucket: R2Bucket, target: string, nowMs: number): Promise<UploadRecord | null> {
  const object = await bucket.head(uploadKey(target));
  const record = object && recordOf(object);
  return record && isOpen(record.writtenMs, nowMs) ? record : null;
}

/** Whether the parts of an upload whose record was written then may still become a file. */
export function isOpen(writtenMs: number, nowMs: number): boolean {
  return nowMs - writtenMs < STALE_UPLOAD_MS - SWEEP_MARGIN_MS;
}

/** The id of the upload that parts of `target` belong to now; the first part begins it. */
export async function openUpload(bucket: R2Bucket, target: string, nowMs: number): Promise<Result<string, Refusal>> {
  let failure: unknown = "others write it all the time";
  for (let tries = 0; tries < OPEN_TRIES; tries++) {
    if (tries > 0) await scheduler.wait(OPEN_PAUSE_MS * Math.random());
    try {
      const object = await bucket.head(uploadKey(target));
      const record = object && recordOf(object);
      if (record && nowMs - record.writtenMs < RENEW_AFTER_MS) return ok(record.upload);
      const upload = record && isOpen(record.writtenMs, nowMs) ? record.upload : newId();
      if (await writeRecord(bucket, target, upload, record)) return ok(upload);
    } catch (error) {
      failure = error;
    }
  }
  return err(storageRefusal("open upload", failure));
}

/** Whatever lies under `target`'s parts is found by a record, if need be by one of an upload that has nothing yet. */
export async function ensureRecord(bucket: R2Bucket, target: string): Promise<Result<null, Refusal>> {
  try {
    if (!(await bucket.head(uploadKey(target)))) await writeRecord(bucket, target, newId(), null);
    return ok(null);
  } catch (error) {
    return err(storageRefusal("open upload", error));
  }
}

/** The parts that came with this upload count no more; those that come now begin another one. */
export async function giveUpUpload(bucket: R2Bucket, record: UploadRecord): Promise<void> {
  // If another has written it meanwhile, that has been done.
  await writeRecord(bucket, record.target, newId(), record);
}

/** The record in an object under `uploads/`. */
export function recordOf(object: R2Object): UploadRecord {
  return {
    target: object.key.slice(UPLOADS_PREFIX.length),
    upload: object.customMetadata?.["upload"] ?? "",
    etag: object.etag,
    writtenMs: object.uploaded.getTime(),
  };
}

/** Write an id over `before`, or where there is none. The body says it, too: the etag changes with the id, and with nothing else. */
async function writeRecord(
  bucket: R2Bucket,
  target: string,
  upload: string,
  before: UploadRecord | null,
): Promise<boolean> {
  const onlyIf = before ? { etagMatches: before.etag } : { etagDoesNotMatch: "*" };
  return (await bucket.put(uploadKey(target), upload, { onlyIf, customMetadata: { upload } })) !== null;
}

function newId(): string {
  return crypto.randomUUID();
}
