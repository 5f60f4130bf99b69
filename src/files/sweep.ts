/** Removing what nobody will ask for again. Every function may be cut short at any point and called again. */
import { attemptPrefix, PARTS_PREFIX, partsPrefix, taskPrefix } from "./keys.ts";

/** R2 lists and deletes at most 1,000 objects a call. */
const PAGE = 1_000;

/** A part that waited this long for its siblings is given up: nobody resumes an upload after a week. */
export const STALE_PART_MS = 7 * 86_400_000;

/** Lists per run of `sweepStaleParts`: 50,000 parts, far within a scheduled run's limits. */
const MAX_SWEEP_LISTS = 50;

/**
 * Delete what a superseded attempt left: its unfinished uploads, and all of its outputs but those named in `keepNames` (the
 * committed ones). Answers how many objects went. A worker that does not know yet may upload until its grant expires, so
 * call it after that, or what comes late stays until the task is deleted.
 */
export async function sweepAttempt(
  bucket: R2Bucket,
  taskId: number,
  attempt: number,
  keepNames: ReadonlySet<string>,
): Promise<number> {
  const prefix = attemptPrefix(taskId, attempt);
  const parts = await sweepPrefix(bucket, partsPrefixOf(prefix), Infinity, () => true);
  const outputs = await sweepPrefix(
    bucket,
    prefix,
    Infinity,
    (object) => !keepNames.has(object.key.slice(prefix.length)),
  );
  return parts.deleted + outputs.deleted;
}

/** Delete these objects and nothing else. */
export async function sweepKeys(bucket: R2Bucket, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += PAGE) await bucket.delete(keys.slice(from, from + PAGE));
}

/** Delete all uploads of attempts up to `through`: after a requeue of the whole task none of them can be committed any more. */
export async function sweepAttempts(bucket: R2Bucket, taskId: number, through: number): Promise<void> {
  const outputs = taskPrefix(taskId);
  for (const prefix of [partsPrefixOf(outputs), outputs]) {
    await sweepPrefix(bucket, prefix, Infinity, ({ key }) => Number.parseInt(key.slice(prefix.length), 10) <= through);
  }
}

/** Delete everything of a task with at most `maxLists` listings of 1,000. True when nothing is left; else call again. */
export async function deleteTaskObjects(bucket: R2Bucket, taskId: number, maxLists: number): Promise<boolean> {
  const outputs = await sweepPrefix(bucket, taskPrefix(taskId), maxLists, () => true);
  if (!outputs.complete) return false;
  const left = maxLists - outputs.lists;
  if (left < 1) return false;
  return (await sweepPrefix(bucket, partsPrefixOf(taskPrefix(taskId)), left, () => true)).complete;
}

/** Delete parts that arrived more than STALE_PART_MS before `nowMs`. For a cron: bounded, and true when it saw all of them. */
export async function sweepStaleParts(
  env: { FILES: R2Bucket },
  nowMs: number,
): Promise<{ deleted: number; complete: boolean }> {
  const { deleted, complete } = await sweepPrefix(
    env.FILES,
    PARTS_PREFIX,
    MAX_SWEEP_LISTS,
    (part) => part.uploaded.getTime() < nowMs - STALE_PART_MS,
  );
  return { deleted, complete };
}

/** Parts of all targets under a prefix that ends in a slash. */
function partsPrefixOf(prefix: string): string {
  return partsPrefix(prefix.slice(0, -1));
}

async function sweepPrefix(
  bucket: R2Bucket,
  prefix: string,
  maxLists: number,
  doomed: (object: R2Object) => boolean,
): Promise<{ deleted: number; lists: number; complete: boolean }> {
  let deleted = 0;
  let cursor: string | undefined;
  for (let lists = 1; lists <= maxLists; lists++) {
    const page: R2Objects = await bucket.list({ prefix, limit: PAGE, cursor });
    const keys = page.objects.filter(doomed).map((object) => object.key);
    if (keys.length > 0) await bucket.delete(keys);
    deleted += keys.length;
    if (!page.truncated) return { deleted, lists, complete: true };
    cursor = page.cursor;
  }
  return { deleted, lists: maxLists, complete: false };
}
