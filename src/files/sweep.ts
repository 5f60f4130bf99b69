/**
 * Deleting garbage from the bucket. Every function may be interrupted at any point and called
 * again.
 */
import { attemptPrefix, partPlace, partsPrefix, taskPrefix, uploadKey, UPLOADS_PREFIX } from "./keys.ts";
import { uploadIn } from "./manifest.ts";
import { deleteKeys } from "./store.ts";
import { currentUpload, STALE_UPLOAD_MS, SWEEP_MARGIN_MS } from "./upload-record.ts";

/** R2 lists and deletes at most 1,000 objects a call. */
const PAGE = 1_000;

/** Listings of one run of `sweepStaleUploads`: far within the limits of a scheduled run. */
const MAX_SWEEP_LISTS = 50;

/**
 * Delete what a superseded attempt left: its unfinished uploads, and its outputs except those in
 * `keepNames` (the committed ones). Answers how many objects were deleted. Call it after the grant
 * of the attempt has expired: until then a worker may upload, and what arrives after this call
 * stays until the task is deleted.
 */
export async function sweepAttempt(
  bucket: R2Bucket,
  taskId: number,
  attempt: number,
  keepNames: ReadonlySet<string>,
): Promise<number> {
  const prefix = attemptPrefix(taskId, attempt);
  const uncommitted = ({ key }: R2Object, under: string): boolean => !keepNames.has(firstName(key.slice(under.length)));
  let deleted = 0;
  for (const under of prefixesOf(prefix))
    deleted += (await sweepPrefix(bucket, under, Infinity, (object) => uncommitted(object, under))).deleted;
  return deleted;
}

/** Delete these outputs of a task, and their parts. */
export async function sweepOutputs(bucket: R2Bucket, taskId: number, keys: readonly string[]): Promise<void> {
  await deleteKeys(bucket, keys);
  // Few tasks have files in parts: for most, this is one empty page.
  const toDelete = new Set(keys);
  const under = partsPrefix(taskPrefix(taskId));
  await sweepPrefix(bucket, under, Infinity, ({ key }) => toDelete.has(partPlace(key).target));
}

/**
 * Delete all uploads of the attempts up to `through`: after a requeue of the whole task none of
 * them can be committed.
 */
export async function sweepAttempts(bucket: R2Bucket, taskId: number, through: number): Promise<void> {
  for (const prefix of prefixesOf(taskPrefix(taskId))) {
    await sweepPrefix(bucket, prefix, Infinity, ({ key }) => Number.parseInt(key.slice(prefix.length), 10) <= through);
  }
}

/**
 * Delete all objects of a task, with at most `maxLists` listings of 1,000. False when some may be
 * left: call again.
 */
export async function deleteTaskObjects(bucket: R2Bucket, taskId: number, maxLists: number): Promise<boolean> {
  let left = maxLists;
  for (const prefix of prefixesOf(taskPrefix(taskId))) {
    if (left < 1) return false;
    const { lists, complete } = await sweepPrefix(bucket, prefix, left, () => true);
    if (!complete) return false;
    left -= lists;
  }
  return true;
}

/**
 * Delete the uploads in parts to which nothing was added for STALE_UPLOAD_MS. For a scheduled run:
 * bounded; `complete` when all uploads were seen.
 */
export async function sweepStaleUploads(
  env: { FILES: R2Bucket },
  nowMs: number,
): Promise<{ deleted: number; complete: boolean }> {
  const bucket = env.FILES;
  let left = MAX_SWEEP_LISTS;
  let deleted = 0;
  let cursor: string | undefined;
  do {
    const page: R2Objects = await bucket.list({ prefix: UPLOADS_PREFIX, limit: PAGE, cursor });
    left--;
    for (const { key, uploaded } of page.objects) {
      if (uploaded.getTime() >= nowMs - STALE_UPLOAD_MS) continue;
      if (left < 1) return { deleted, complete: false };
      const swept = await sweepUpload(bucket, key, nowMs, left);
      deleted += swept.deleted;
      left -= swept.lists;
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined && left > 0);
  return { deleted, complete: cursor === undefined };
}

/** Delete the orphaned parts of a stale upload, and last the record, by which they are found. */
async function sweepUpload(
  bucket: R2Bucket,
  key: string,
  nowMs: number,
  maxLists: number,
): Promise<{ deleted: number; lists: number }> {
  const target = key.slice(UPLOADS_PREFIX.length);
  const file = await bucket.head(target);
  const own = file && uploadIn(file);
  // A new upload may have begun since the listing; its parts are younger than this.
  const isOrphan = ({ key: part, uploaded }: R2Object): boolean =>
    partPlace(part).upload !== own && uploaded.getTime() < nowMs - (STALE_UPLOAD_MS - SWEEP_MARGIN_MS);
  const parts = await sweepPrefix(bucket, partsPrefix(target), maxLists, isOrphan);
  if (!parts.complete) return parts;
  const record = await bucket.head(key);
  if (record && record.uploaded.getTime() < nowMs - STALE_UPLOAD_MS) await bucket.delete(key);
  return { ...parts, deleted: parts.deleted + 1 };
}

/**
 * Delete the parts of a large file that is deleted. Parts of an upload that is under way stay, and
 * those of a file that has come again.
 */
export async function sweepOldParts(bucket: R2Bucket, target: string, nowMs: number): Promise<void> {
  // In this order, because a call that finishes a file deletes the record last.
  const current = await currentUpload(bucket, target, nowMs);
  const file = await bucket.head(target);
  const keep = new Set([current?.upload, file ? uploadIn(file) : undefined]);
  // The parts of an upload that has begun since are younger.
  const isOrphan = ({ key, uploaded }: R2Object): boolean =>
    !keep.has(partPlace(key).upload) && uploaded.getTime() < nowMs - (STALE_UPLOAD_MS - SWEEP_MARGIN_MS);
  await sweepPrefix(bucket, partsPrefix(target), Infinity, isOrphan);
}

/** Delete all objects under a prefix. */
export async function sweepUnder(bucket: R2Bucket, prefix: string): Promise<void> {
  await sweepPrefix(bucket, prefix, Infinity, () => true);
}

/**
 * The prefixes of everything that belongs to outputs, in the order of deletion: the files first, so
 * that no file exists without its parts; then the parts, and the records of unfinished uploads.
 */
function prefixesOf(outputs: string): string[] {
  return [outputs, partsPrefix(outputs), uploadKey(outputs)];
}

/** The name of the file, from what follows an attempt's prefix in a key. */
function firstName(rest: string): string {
  return rest.split("/", 1)[0]!;
}

/** Delete the objects under a prefix that `toDelete` picks, with at most `maxLists` listings. */
async function sweepPrefix(
  bucket: R2Bucket,
  prefix: string,
  maxLists: number,
  toDelete: (object: R2Object) => boolean,
): Promise<{ deleted: number; lists: number; complete: boolean }> {
  let deleted = 0;
  let cursor: string | undefined;
  for (let lists = 1; lists <= maxLists; lists++) {
    const page: R2Objects = await bucket.list({ prefix, limit: PAGE, cursor });
    const keys = page.objects.filter(toDelete).map((object) => object.key);
    if (keys.length > 0) await bucket.delete(keys);
    deleted += keys.length;
    if (!page.truncated) return { deleted, lists, complete: true };
    cursor = page.cursor;
  }
  return { deleted, lists: maxLists, complete: false };
}
