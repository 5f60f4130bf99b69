/**
 * The record of an unfinished upload in parts: a small object with the id of the upload, which is
 * part of the keys of its parts. To give an upload up, a new id is written over the old one, on the
 * condition that it is still the old one. No part is deleted then, so a concurrent call that
 * assembles these parts does not lose them.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { UPLOADS_PREFIX, uploadKey } from "./keys.ts";
import { storageRefusal } from "./store.ts";

/**
 * An upload to which nothing was added for this long is deleted with its parts. A person may resume
 * after a weekend, or a holiday.
 */
export const STALE_UPLOAD_MS = 7 * 86_400_000;
/**
 * The parts stop counting this much before the sweep may delete them: none of them is being
 * assembled when it does.
 */
export const SWEEP_MARGIN_MS = 86_400_000;
/**
 * A record older than this is written anew before the next part. So the parts of a stale record are
 * at least as old as a week minus this and the longest upload of a part, and a sweep can tell them
 * from the parts of a new upload.
 */
const RENEW_AFTER_MS = 43_200_000;
/**
 * Parts that arrive at once open the same upload: R2 accepts one of the writes, and may refuse the
 * others for their rate.
 */
const OPEN_TRIES = 4;
const OPEN_PAUSE_MS = 300;

export interface UploadRecord {
  target: string;
  /** The upload's id. */
  upload: string;
  etag: string;
  writtenMs: number;
}

/**
 * The unfinished upload of `target`; null when there is none, or when its parts are too old to
 * count.
 */
export async function currentUpload(bucket: R2Bucket, target: string, nowMs: number): Promise<UploadRecord | null> {
  const object = await bucket.head(uploadKey(target));
  const record = object && recordOf(object);
  return record && mayAssemble(record.writtenMs, nowMs) ? record : null;
}

/** Whether the parts of an upload may still become a file, given when its record was written. */
export function mayAssemble(writtenMs: number, nowMs: number): boolean {
  return nowMs - writtenMs < STALE_UPLOAD_MS - SWEEP_MARGIN_MS;
}

/**
 * The id of the upload that parts of `target` belong to now; a new one for the first part. Refusal:
 * `overloaded`.
 */
export async function openUpload(bucket: R2Bucket, target: string, nowMs: number): Promise<Result<string, Refusal>> {
  let failure: unknown = "others write it all the time";
  for (let tries = 0; tries < OPEN_TRIES; tries++) {
    if (tries > 0) await scheduler.wait(OPEN_PAUSE_MS * Math.random());
    try {
      const object = await bucket.head(uploadKey(target));
      const record = object && recordOf(object);
      if (record && nowMs - record.writtenMs < RENEW_AFTER_MS) return ok(record.upload);
      const upload = record && mayAssemble(record.writtenMs, nowMs) ? record.upload : newId();
      if (await writeRecord(bucket, target, upload, record)) return ok(upload);
    } catch (error) {
      failure = error;
    }
  }
  return err(storageRefusal("open upload", failure));
}

/**
 * Make sure that a record of `target` exists, so that the sweep finds its parts. A new record is
 * that of an empty upload.
 */
export async function ensureRecord(bucket: R2Bucket, target: string): Promise<Result<null, Refusal>> {
  try {
    if (!(await bucket.head(uploadKey(target)))) await writeRecord(bucket, target, newId(), null);
    return ok(null);
  } catch (error) {
    return err(storageRefusal("open upload", error));
  }
}

/** Give an upload up: its parts do not count any more, and the next part begins a new upload. */
export async function giveUpUpload(bucket: R2Bucket, record: UploadRecord): Promise<void> {
  // When the condition fails, a concurrent call has given it up.
  await writeRecord(bucket, record.target, newId(), record);
}

/** The record in an object under `uploads/`. */
function recordOf(object: R2Object): UploadRecord {
  return {
    target: object.key.slice(UPLOADS_PREFIX.length),
    upload: object.customMetadata?.["upload"] ?? "",
    etag: object.etag,
    writtenMs: object.uploaded.getTime(),
  };
}

/**
 * Write an id over the record `before`, or where there is none. False when the condition did not
 * hold. The id is also the body, because the etag depends on the body: so it changes with the id,
 * and only then.
 */
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
