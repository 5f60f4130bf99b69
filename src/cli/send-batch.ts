/** Sends small files to the manager, many in one request. */
import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Body, ManagerClient } from "../client/manager-client.ts";
import { batchList, BATCH_HEADER, type BatchFile } from "../protocol/asset-batch.ts";
import { assetsStoredSchema } from "../protocol/file.ts";

/**
 * 4 MiB in this time, three requests at once, is 0.35 Mbit/s: slower uplinks cannot serve a farm.
 */
const TIMEOUT_MS = 5 * 60_000;

/** A file whose hash is known. */
export interface SmallFile extends BatchFile {
  /** Path on this machine. */
  file: string;
}

export interface BatchOptions<T> {
  /**
   * Called with the bytes of a file that were sent. They become fewer when the batch is sent again.
   */
  onProgress?: (file: T, sentBytes: number) => void;
  /** As in `CallOptions`. */
  retryForMs: number;
}

/**
 * Send a batch (`batchesOf`). Answers with the files that the manager does not have now: it refused
 * them, or their content is not what was hashed. Sent alone, each of them fails with its reason.
 * Throws `ManagerError`.
 */
export async function sendBatch<T extends SmallFile>(
  client: ManagerClient,
  batch: readonly T[],
  { onProgress, retryForMs }: BatchOptions<T>,
): Promise<T[]> {
  const contents = await Promise.all(batch.map(async ({ file }) => await readFile(file).catch(() => undefined)));
  const going = batch.flatMap((file, index) => {
    const bytes = contents[index];
    // Other bytes than those that were hashed are not sent, whatever they are.
    return bytes?.length === file.size && hash("sha256", bytes) === file.sha256 ? [{ file, bytes }] : [];
  });
  if (going.length === 0) return [...batch];
  function* counted(): Generator<Uint8Array> {
    for (const { file } of going) onProgress?.(file, 0);
    for (const { file, bytes } of going) {
      if (bytes.length > 0) yield bytes;
      onProgress?.(file, bytes.length);
    }
  }
  const { assets } = await client.call(assetsStoredSchema, "POST", "/assets", {
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(going.reduce((sum, { file }) => sum + file.size, 0)),
      [BATCH_HEADER]: batchList(going.map(({ file }) => file)),
    },
    body: () => ReadableStream.from(counted()) as Body,
    timeoutMs: TIMEOUT_MS,
    retryForMs,
  });
  const there = new Set(assets.filter(({ status }) => status < 300).map(({ sha256 }) => sha256));
  return batch.filter(({ sha256 }) => !there.has(sha256));
}
