/** Hashes of a file: a small one is read at once, a large one as a stream. */
import { createHash, hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import zlib from "node:zlib";
import { crc32, crc32Text } from "../lib/crc32.ts";
import { PART_BYTES } from "../protocol/file.ts";
import { pieceListText, piecesOfParts, type Piece } from "../protocol/piece-list.ts";
import { whenFree } from "./held-file.ts";

/**
 * A file's size, its CRC-32 and its SHA-256 (hexadecimal), and the SHA-256 of each part of
 * `PART_BYTES`.
 */
export interface FileHash {
  size: number;
  sha256: string;
  crc32: string;
  parts: string[];
}

/** The hash of the list of the parts. */
export function listName({ size, parts }: Pick<FileHash, "size" | "parts">): string {
  return hash("sha256", pieceListText(piecesOfParts(size, parts)));
}

/**
 * What a file must be. With `pieces`, the hash of the list of its parts (decision 020), that is what
 * counts: the manager has checked it, and `sha256` is then only what the worker said.
 */
export interface ExpectedContent {
  sha256: string;
  pieces?: string | undefined;
}

/** Whether a file has the content. */
export function isContent(hashed: FileHash, { sha256, pieces }: ExpectedContent): boolean {
  return pieces === undefined ? hashed.sha256 === sha256 : listName(hashed) === pieces;
}

/**
 * Node's own CRC-32 where it has one (20.15, 22.2 and newer): it takes a tenth of the time of the
 * hash. Ours takes as long as the hash.
 */
const crc = (zlib as { crc32?: typeof crc32 }).crc32 ?? crc32;

/**
 * A file of up to this size is read at once: setting up and ending a stream takes six times as long
 * as its hash.
 */
const AT_ONCE_BYTES = 256 * 1024;

/**
 * The pieces of a file, read once: cut every `PART_BYTES`. Takes half as long as `hashFile` for a
 * large file, because the hash of the whole is not needed.
 */
export async function hashPieces(path: string, signal?: AbortSignal): Promise<Piece[]> {
  const file = await whenFree(async () => await open(path));
  try {
    const { size, parts } = await hashParts(file, signal, () => undefined);
    return piecesOfParts(size, parts);
  } finally {
    await file.close();
  }
}

/** Hash a file, read once. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<FileHash> {
  const file = await whenFree(async () => await open(path));
  try {
    return await hashOpenFile(file, signal);
  } finally {
    await file.close();
  }
}

/** The same of a file that is open, from its beginning; it stays open. */
export async function hashOpenFile(file: FileHandle, signal?: AbortSignal): Promise<FileHash> {
  const { size } = await file.stat();
  if (size > AT_ONCE_BYTES) return await hashStream(file, signal);
  signal?.throwIfAborted();
  const bytes = Buffer.alloc(size);
  let read = 0;
  for (let more = 1; more > 0 && read < size; read += more)
    more = (await file.read(bytes, read, size - read, read)).bytesRead;
  const content = bytes.subarray(0, read);
  const sha256 = hash("sha256", content);
  return { size: content.length, sha256, crc32: crc32Text(crc(content, 0)), parts: [sha256] };
}

async function hashStream(file: FileHandle, signal: AbortSignal | undefined): Promise<FileHash> {
  const whole = createHash("sha256");
  let sum = 0;
  const { size, parts } = await hashParts(file, signal, (bytes) => {
    whole.update(bytes);
    sum = crc(bytes, sum);
  });
  return { size, sha256: whole.digest("hex"), crc32: crc32Text(sum), parts };
}

/** Bytes of a file that are read at once: of two such buffers one is filled while the other is hashed. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * The bytes of an open file from `from` up to `to`, or its end. A chunk is valid until the next one is
 * asked for. Throws the signal's reason. The file stays open: a stream of Node closes it when its signal
 * aborts, whatever `autoClose` says, and the caller could neither keep nor remove the file then.
 */
export async function* chunksOf(
  file: FileHandle,
  from: number,
  to: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const buffers = [0, 1].map(() => Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(to - from, 1))));
  let at = from;
  const read = async (buffer: Buffer): Promise<Buffer> => {
    const length = Math.min(buffer.length, to - at);
    const bytesRead = length > 0 ? (await file.read(buffer, 0, length, at)).bytesRead : 0;
    at += bytesRead;
    return buffer.subarray(0, bytesRead);
  };
  signal?.throwIfAborted();
  let next = read(buffers[0]!);
  try {
    for (let n = 1; ; n++) {
      const bytes = await next;
      signal?.throwIfAborted();
      if (bytes.length === 0) return;
      next = read(buffers[n % 2]!);
      yield bytes;
    }
  } finally {
    // No read is under way when the caller closes the file.
    await next.catch(() => undefined);
  }
}

/** The hash of each part; `onBytes` gets all bytes in order. */
async function hashParts(
  file: FileHandle,
  signal: AbortSignal | undefined,
  onBytes: (bytes: Buffer) => void,
): Promise<{ size: number; parts: string[] }> {
  const parts: string[] = [];
  let part = createHash("sha256");
  let size = 0;
  for await (const chunk of chunksOf(file, 0, Infinity, signal)) {
    let bytes = chunk;
    onBytes(bytes);
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
  return { size, parts };
}
