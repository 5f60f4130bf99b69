/**
 * Many small assets in one request, `POST /assets`. A header lists the files; the body is their
 * bytes, one file after the other. Pure. Without zod, because the page imports this file, and zod
 * would make the page's first script several times as large.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { FieldError } from "./problem.ts";

/**
 * Header that lists the files of a batch: `<sha256>:<size>`, separated by commas. With another
 * name, the manager would refuse the batches of clients of other versions.
 */
export const BATCH_HEADER = "Tablao-Assets";
/**
 * The most files of a batch. The platform would allow hundreds: a file takes at most three calls to
 * R2, and the free plan allows 1,000 calls to Cloudflare's services in one request
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests). But managers of earlier
 * releases refuse batches of more than 24, and a client does not know which it talks to.
 */
export const MAX_BATCH_FILES = 24;
/**
 * The most bytes of a batch. A batch may be one file, and the Worker holds a file of a batch in
 * memory. With a higher limit, many such requests at once would not fit into a Worker's 128 MB.
 */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/**
 * Clients send a larger file in a request of its own: the cost of that request is a small part of
 * the time. With a lower limit, files that a batch would send faster go one by one.
 */
export const MAX_BATCHED_FILE_BYTES = 256 * 1024;

/** One file of a batch; `size` is in bytes. */
export interface BatchFile {
  sha256: string;
  size: number;
}

/** The header's value for these files, which `readBatchList` reads. */
export function batchList(files: readonly BatchFile[]): string {
  return files.map(({ sha256, size }) => `${sha256}:${size}`).join(",");
}

/**
 * The files of a header's value (null: the request has no such header). The error names every entry
 * that breaks a rule, or the header itself when it lists no file or too many.
 */
export function readBatchList(text: string | null): Result<BatchFile[], FieldError[]> {
  const entries = text === null || text.trim() === "" ? [] : text.split(",");
  if (entries.length < 1 || entries.length > MAX_BATCH_FILES) {
    const message = `must list 1 to ${MAX_BATCH_FILES} files; it lists ${entries.length}`;
    return err([{ field: BATCH_HEADER, message }]);
  }
  const files = new Map<string, BatchFile>();
  const errors: FieldError[] = [];
  for (const [index, entry] of entries.entries()) {
    const field = batchField(index);
    const [, sha256, size] = /^([0-9a-f]{64}):(\d{1,7})$/.exec(entry.trim()) ?? [];
    if (sha256 === undefined) {
      const message = "must be a SHA-256 (64 lower-case hexadecimal digits), a colon, and a number of bytes";
      errors.push({ field, message });
    } else if (files.has(sha256)) errors.push({ field, message: "is in the list already" });
    else files.set(sha256, { sha256, size: Number(size) });
  }
  return errors.length > 0 ? err(errors) : ok([...files.values()]);
}

/** The name of one entry of the header in a field error; `index` starts at 0. */
export function batchField(index: number): string {
  return `${BATCH_HEADER}.${index}`;
}

/**
 * Divide files, none of them twice, into batches that a manager takes (`batches`) and files that
 * are sent on their own (`single`): large files, and a file that would be alone in its batch.
 */
export function batchesOf<T extends BatchFile>(files: readonly T[]): { batches: T[][]; single: T[] } {
  const batches: T[][] = [];
  const single: T[] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const file of files) {
    if (file.size > MAX_BATCHED_FILE_BYTES) {
      single.push(file);
      continue;
    }
    if (batch.length === MAX_BATCH_FILES || bytes + file.size > MAX_BATCH_BYTES) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(file);
    bytes += file.size;
  }
  if (batch.length > 1) batches.push(batch);
  else single.push(...batch);
  return { batches, single };
}
