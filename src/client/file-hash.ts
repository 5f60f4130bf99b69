/** Hashes of a file: a small one is read at once, a large one as a stream. */
import { createHash, hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { PART_BYTES } from "../protocol/file.ts";

/** A file's size and SHA-256 (hex): of the whole, and of each part of `PART_BYTES`. */
export interface FileHash {
  size: number;
  sha256: string;
  parts: string[];
}

/**
 * A file of up to this size is read at once: setting up and ending a stream takes six times as long
 * as its hash.
 */
const AT_ONCE_BYTES = 256 * 1024;

/** Hash a file, read once. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<FileHash> {
  const file = await open(path);
  try {
    if ((await file.stat()).size > AT_ONCE_BYTES) return await hashStream(file, signal);
    const bytes = await file.readFile({ ...(signal && { signal }) });
    const sha256 = hash("sha256", bytes);
    return { size: bytes.length, sha256, parts: [sha256] };
  } finally {
    await file.close();
  }
}

async function hashStream(file: FileHandle, signal: AbortSignal | undefined): Promise<FileHash> {
  const whole = createHash("sha256");
  const parts: string[] = [];
  let part = createHash("sha256");
  let size = 0;
  for await (const chunk of file.createReadStream({
    highWaterMark: 1024 * 1024,
    autoClose: false,
    ...(signal && { signal }),
  })) {
    let bytes = chunk as Buffer;
    whole.update(bytes);
    while (bytes.length > 0) {
      const room = PART_BYTES - (size % PART_BYTES);
      const here = bytes.subarray(0, room);
      part.update(here);
      size += here.length;
      bytes = bytes.subarray(here.length);
      if (size % PART_BYTES === 0) {
        parts.push(part.digest("hex"));
        part = createHash("sha256");
      }
    }
  }
  if (size % PART_BYTES !== 0 || size === 0) parts.push(part.digest("hex"));
  return { size, sha256: whole.digest("hex"), parts };
}
