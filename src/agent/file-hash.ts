/** A file's hashes, by streaming. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { PART_BYTES } from "../protocol/file.ts";

/** A file's identity: of the whole, and of each part of `PART_BYTES`. */
export interface FileHash {
  size: number;
  sha256: string;
  parts: string[];
}

/** Hash a file by streaming it once. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<FileHash> {
  const whole = createHash("sha256");
  const parts: string[] = [];
  let part = createHash("sha256");
  let size = 0;
  const file = await open(path);
  try {
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
  } finally {
    await file.close();
  }
  if (size % PART_BYTES !== 0 || size === 0) parts.push(part.digest("hex"));
  return { size, sha256: whole.digest("hex"), parts };
}
