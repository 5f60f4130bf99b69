/** The archives of the builds of Blender that the farm keeps, by content: `blenders/<sha256>`. */
import { BLENDERS_PREFIX, blenderKey, partsPrefix } from "./keys.ts";
import { hashOf, sizeOf } from "./store.ts";
import { sweepUnder } from "./sweep.ts";
import { STALE_UPLOAD_MS } from "./upload-record.ts";

/** Whether this archive is in the bucket, with this size. */
export async function hasArchive(bucket: R2Bucket, sha256: string, bytes: number): Promise<boolean> {
  const object = await bucket.head(blenderKey(sha256));
  return object !== null && hashOf(object) === sha256 && sizeOf(object) === bytes;
}

/** Delete an archive with its parts: the file first, so that none exists without its parts. */
export async function deleteArchive(bucket: R2Bucket, sha256: string): Promise<void> {
  const key = blenderKey(sha256);
  await bucket.delete(key);
  await sweepUnder(bucket, partsPrefix(key));
}

/**
 * Delete archives that were uploaded a week ago or more and that no build is of: their upload was not followed by
 * the build, or their deletion broke off. `named` is asked after the list was read. There are few: one page.
 */
export async function sweepArchives(
  bucket: R2Bucket,
  named: () => Promise<ReadonlySet<string>>,
  nowMs: number,
): Promise<{ deleted: string[] }> {
  const { objects } = await bucket.list({ prefix: BLENDERS_PREFIX });
  const old = objects.filter(({ uploaded }) => uploaded.getTime() < nowMs - STALE_UPLOAD_MS);
  const hashes = old.map(({ key }) => key.slice(BLENDERS_PREFIX.length));
  const kept = hashes.length > 0 ? await named() : new Set<string>();
  const deleted = hashes.filter((sha256) => !kept.has(sha256));
  for (const sha256 of deleted) await deleteArchive(bucket, sha256);
  return { deleted };
}
