/**
 * Notes that inputs are used, which the index could not take: `used/…` in R2, one object for all
 * inputs of a check. A sweep reads them before it deletes anything. All of these reject when R2
 * does.
 */
import { USED_PREFIX } from "./keys.ts";

export interface UseNote {
  key: string;
  hashes: string[];
  /** When the check began that found these inputs in the bucket. */
  seenMs: number;
}

/** Notes that are read at a time: each takes a call, and they are read before much other work. */
const READ_AT_ONCE = 100;

/** Note that these inputs are used. */
export async function putUseNote(bucket: R2Bucket, hashes: readonly string[], seenMs: number): Promise<void> {
  const customMetadata = { seen_ms: String(seenMs) };
  await bucket.put(`${USED_PREFIX}${crypto.randomUUID()}`, JSON.stringify(hashes), { customMetadata });
}

/** Hashes that are read at a time, if that is fewer notes: they are held in memory, and D1 takes them in few queries. */
const HASHES_AT_ONCE = 40_000;

/** Some of the notes; `complete`: they are all. */
export async function readUseNotes(bucket: R2Bucket): Promise<{ notes: UseNote[]; complete: boolean }> {
  const page = await bucket.list({ prefix: USED_PREFIX, limit: READ_AT_ONCE });
  const notes: UseNote[] = [];
  let left = HASHES_AT_ONCE;
  for (const { key } of page.objects) {
    if (left <= 0) return { notes, complete: false };
    const object = await bucket.get(key);
    // Another run may have read it, and deleted it.
    if (!object) continue;
    const hashes = JSON.parse(await object.text()) as string[];
    left -= hashes.length;
    notes.push({ key, hashes, seenMs: Number(object.customMetadata?.["seen_ms"]) });
  }
  return { notes, complete: !page.truncated };
}
