/**
 * Downloads that resume by `Range` after a broken connection, and appear under their name only when
 * they are whole and verified. Memory use does not depend on the size of a file. Used by the agent
 * (inputs) and the command line (results).
 */
import { createHash, hash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { mapConcurrent } from "../lib/concurrency.ts";
import { backoffMs } from "../lib/retry.ts";
import { bytesOfPieces, MAX_PIECE_LIST_BYTES, readPieceList, type Piece } from "../protocol/piece-list.ts";
import { syncFile } from "./disk-sync.ts";
import { chunksOf, hashFile, hashOpenFile, isContent, type ExpectedContent } from "./file-hash.ts";
import { whenFree } from "./held-file.ts";
import { ManagerError, type ManagerClient } from "./manager-client.ts";
import type { TransferOptions } from "./upload.ts";

/** A download that brings no byte for this long is resumed on a new connection. */
const STALL_MS = 30_000;
/** At most 15 s between tries: a manager that is back is found within that. */
const RETRY = { baseMs: 500, capMs: 15_000, random: Math.random };
/** How long a download is tried without a byte; by default a restart of the manager is survived. */
const RETRY_FOR_MS = 60_000;
/**
 * At a time. Small files are all round trip: at 100 ms a trip, 300 files of 10 kB take 8.8 s with
 * 4, 3.4 s with 12 and 2.2 s with 24; 20 files of 20 MB take 3.6, 2.9 and 3.0 s.
 */
export const DOWNLOADS_IN_FLIGHT = 12;

/** Pieces of one file at a time: enough to hide the round trip of each. */
const PIECES_IN_FLIGHT = 3;

export interface DownloadOptions extends TransferOptions {
  /** Asked for at each request: a grant is replaced while a large file is under way. */
  headers?: () => Record<string, string>;
  /**
   * The bytes are on the disk when the download is done, and survive a power cut. The names of the files
   * do when the caller has synced their folder.
   */
  flush?: boolean;
  /** The announced size: a longer answer is cut off, so that it cannot fill the disk. */
  size?: number;
}

/**
 * Download to `file` and verify; answers with its size and the bytes that came. A file with the
 * right content is kept as it is. A half download stands beside it under `.part` and is resumed.
 * Throws `ManagerError`, the signal's reason, or the error of the disk.
 */
export async function downloadTo(
  client: ManagerClient,
  file: string,
  path: string,
  expected: ExpectedContent,
  options: DownloadOptions = {},
): Promise<{ size: number; received: number }> {
  const isFile = (await stat(file).catch(ignoreMissing))?.isFile() === true;
  const present = isFile ? await hashFile(file, options.signal).catch(ignoreMissing) : undefined;
  if (present && isContent(present, expected)) {
    options.onProgress?.(present.size, present.size);
    if (options.flush) await syncFile(file);
    return { size: present.size, received: 0 };
  }
  let size = 0;
  const received = await intoUnfinished(file, { mode: 0o666, flush: options.flush }, async (target) => {
    let have = (await target.stat()).size;
    return await fetchUntilRight(client, path, expected.pieces ?? expected.sha256, options, {
      have: () => have,
      open: async (resumed) => {
        if (!resumed) await target.truncate(0);
        have = resumed ? have : 0;
        const write = async (bytes: Uint8Array): Promise<void> => {
          await writeAll(target, bytes, have);
          have += bytes.length;
        };
        return { write, close: () => undefined };
      },
      isRight: async () => {
        const whole = await hashOpenFile(target, options.signal);
        size = whole.size;
        return isContent(whole, expected);
      },
      clear: async () => {
        await target.truncate(0);
        have = 0;
      },
    });
  });
  return { size, received };
}

/**
 * Fill a file that appears under its name when `fill` is done. Until then it has a name that no other
 * process uses, and is made or taken by this one alone: what `fill` has verified through the open file
 * is what appears, whoever else fetches the same file meanwhile. A half file of an earlier run is
 * `<file>.part`; when `fill` throws, it is left there again.
 */
async function intoUnfinished<T>(
  file: string,
  { mode, flush }: { mode: number; flush?: boolean | undefined },
  fill: (target: FileHandle) => Promise<T>,
): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.part`;
  const own = `${part}.${randomUUID()}`;
  const taken = await takeHalfFile(part, own);
  const exclusive = taken ? 0 : constants.O_CREAT | constants.O_EXCL;
  // Windows has no such flag.
  const noLink = constants.O_NOFOLLOW ?? 0;
  const target = await open(own, constants.O_RDWR | noLink | exclusive, mode);
  try {
    const result = await fill(target);
    if (flush) await target.sync();
    await whenFree(async () => await rename(own, file));
    return result;
  } catch (error) {
    const { size } = await target.stat();
    await (size > 0 ? whenFree(async () => await rename(own, part)) : rm(own, { force: true })).catch(() => undefined);
    throw error;
  } finally {
    await target.close();
  }
}

/**
 * Whether there is a half file, which has the name `own` now. Anything else of its name is removed: others
 * may write into the folder, and a link would let us write into a file elsewhere.
 */
async function takeHalfFile(part: string, own: string): Promise<boolean> {
  try {
    // Of two processes that take it, one finds none.
    await whenFree(async () => await rename(part, own));
  } catch (error) {
    return ignoreMissing(error) ?? false;
  }
  if ((await lstat(own)).isFile()) return true;
  await rm(own);
  return false;
}

/**
 * Give the half files in a folder, which processes left that were killed, the name under which the next
 * download resumes them. Only for who holds the lock of the folder: those of a running process have
 * names of the same kind.
 */
export async function keepHalfFiles(folder: string): Promise<void> {
  const names = await readdir(folder).catch(ignoreMissing);
  for (const name of names ?? []) {
    const [, part] = /^(.+\.part)\.[0-9a-f-]{36}$/.exec(name) ?? [];
    if (part !== undefined) await whenFree(async () => await rename(join(folder, name), join(folder, part)));
  }
}

/**
 * Download a file by its pieces, of which each is the asset of its hash: several at a time, each
 * into its place in `<file>.part`. Pieces that are there and right are kept, in an unfinished file
 * of an earlier run as well. The file appears under its name when all are right; answers with its
 * size and the bytes that came. Throws as `downloadTo`.
 */
export async function downloadPieces(
  client: ManagerClient,
  file: string,
  pieces: readonly Piece[],
  options: DownloadOptions = {},
): Promise<{ size: number; received: number }> {
  const size = bytesOfPieces(pieces);
  const there = await stat(file).catch(ignoreMissing);
  if (there?.isFile() && there.size === size) {
    const present = await open(file);
    try {
      if ((await wrongPieces(present, pieces, options.signal)).length === 0) return { size, received: 0 };
    } finally {
      await present.close();
    }
  }
  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  const received = await intoUnfinished(file, { mode: 0o600 }, async (target) => {
    let received = 0;
    // Not emptied: what is right in it stays.
    if ((await target.stat()).size > size) await target.truncate(size);
    await mapConcurrent(await wrongPieces(target, pieces, signal), PIECES_IN_FLIGHT, async (piece) => {
      try {
        const came = await fetchPiece(client, target, piece, { ...options, signal });
        received += came;
      } catch (error) {
        // The other pieces would be fetched in vain.
        failed.abort(error);
        throw error;
      }
    });
    return received;
  });
  return { size, received };
}

/**
 * The piece list with this name, of a file of `size` bytes. Throws `ManagerError`: `bad_answer` when
 * what comes is not that list.
 */
export async function fetchPieceList(
  client: ManagerClient,
  sha256: string,
  size: number,
  options: DownloadOptions = {},
): Promise<Piece[]> {
  const path = `/assets/${sha256}`;
  let chunks: Uint8Array[] = [];
  const bounded = { ...options, size: MAX_PIECE_LIST_BYTES };
  await fetchUntilRight(client, path, sha256, bounded, {
    have: () => chunks.reduce((sum, { length }) => sum + length, 0),
    open: (resumed) => {
      if (!resumed) chunks = [];
      return { write: (bytes) => void chunks.push(bytes), close: () => undefined };
    },
    isRight: () => hash("sha256", Buffer.concat(chunks)) === sha256,
    clear: () => void (chunks = []),
  });
  const pieces = readPieceList(Buffer.concat(chunks).toString("latin1"));
  if (!pieces.ok) throw new ManagerError(0, "bad_answer", `${path} is no piece list: ${pieces.error}`);
  const bytes = bytesOfPieces(pieces.value);
  if (bytes !== size) throw new ManagerError(0, "bad_answer", `${path} lists ${bytes} bytes and not ${size}`);
  return pieces.value;
}

/** A piece, and where it begins in its file. */
interface PlacedPiece extends Piece {
  from: number;
}

/** Those of the pieces that are not in the file as they should be. */
async function wrongPieces(
  file: FileHandle,
  pieces: readonly Piece[],
  signal: AbortSignal | undefined,
): Promise<PlacedPiece[]> {
  const { size } = await file.stat();
  const wrong: PlacedPiece[] = [];
  let from = 0;
  for (const piece of pieces) {
    const placed = { ...piece, from };
    from += piece.size;
    if (size < from || !(await isPiece(file, placed, signal))) wrong.push(placed);
  }
  return wrong;
}

async function isPiece(file: FileHandle, { from, size, sha256 }: PlacedPiece, signal?: AbortSignal): Promise<boolean> {
  const digest = createHash("sha256");
  for await (const bytes of chunksOf(file, from, from + size, signal)) digest.update(bytes);
  return digest.digest("hex") === sha256;
}

/** Fetch a piece into its place; answers with the bytes that came. */
async function fetchPiece(
  client: ManagerClient,
  file: FileHandle,
  piece: PlacedPiece,
  options: DownloadOptions,
): Promise<number> {
  let have = 0;
  const bounded = { ...options, size: piece.size };
  return await fetchUntilRight(client, `/assets/${piece.sha256}`, piece.sha256, bounded, {
    have: () => have,
    open: (resumed) => {
      if (!resumed) have = 0;
      const write = async (bytes: Uint8Array): Promise<void> => {
        await writeAll(file, bytes, piece.from + have);
        have += bytes.length;
      };
      return { write, close: () => undefined };
    },
    // Read back from the disk, which may have failed.
    isRight: async () => have === piece.size && (await isPiece(file, piece, options.signal)),
    clear: () => void (have = 0),
  });
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;)
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}

/** Where fetched bytes go. */
interface Target {
  /** Bytes that are there already. */
  have(): Promise<number> | number;
  /** Take more bytes; from the beginning unless `resumed`. */
  open(resumed: boolean): Promise<OpenTarget> | OpenTarget;
  /** Whether what is there is what was wanted. */
  isRight(): Promise<boolean> | boolean;
  /** Forget what is there. */
  clear(): Promise<void> | void;
}

interface OpenTarget {
  write(bytes: Uint8Array): Promise<void> | void;
  close(): Promise<void> | void;
}

/** Fetch until the content is right, over broken connections; answers with the bytes that came. */
async function fetchUntilRight(
  client: ManagerClient,
  path: string,
  wanted: string,
  options: DownloadOptions,
  target: Target,
): Promise<number> {
  let received = 0;
  let spoiled = 0;
  let deadlineMs = performance.now() + (options.retryForMs ?? RETRY_FOR_MS);
  for (let tries = 1; ; tries++) {
    try {
      received += await fetchInto(client, path, options, target);
      if (await target.isRight()) return received;
      // The half download was of other bytes, or a disk or connection flipped bits: start again,
      // once.
      await target.clear();
      if (++spoiled === 2)
        throw new ManagerError(0, "bad_answer", `${path} arrived twice with the wrong hash; expected ${wanted}`);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Not after an answer of somebody else, who says nothing about the bytes that are here.
      if (error instanceof ManagerError && error.code === "bad_answer") await target.clear();
      if (!(error instanceof Interrupted)) throw error;
      received += error.received;
      const now = performance.now();
      if (error.received > 0) deadlineMs = now + (options.retryForMs ?? RETRY_FOR_MS);
      if (now >= deadlineMs) throw new ManagerError(0, "unreachable", `the download of ${path} keeps breaking off`);
      await delay(backoffMs(tries, RETRY), undefined, { signal: options.signal });
    }
  }
}

/** The answer's body broke off; the bytes before that were taken. */
class Interrupted extends Error {
  readonly received: number;
  constructor(received: number) {
    super("interrupted");
    this.received = received;
  }
}

async function fetchInto(
  client: ManagerClient,
  path: string,
  options: DownloadOptions,
  target: Target,
): Promise<number> {
  const have = await target.have();
  const stall = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  let response: Response;
  try {
    response = await client.send("GET", path, {
      // identity: a hash is of the bytes as they are, and ranges of a compressed answer mean
      // nothing.
      headers: { ...options.headers?.(), "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) },
      signal,
      retryForMs: options.retryForMs ?? RETRY_FOR_MS,
      onRetry: options.onRetry,
    });
  } catch (error) {
    // All bytes are here already, or are those of another file: the hash tells.
    if (error instanceof ManagerError && error.status === 416 && have > 0) return 0;
    throw error;
  }
  const resumed = response.status === 206;
  const length = Number(response.headers.get("content-length") ?? NaN);
  const total = Number.isNaN(length) ? 0 : length + (resumed ? have : 0);
  const file = await target.open(resumed);
  let received = 0;
  let timer = setTimeout(() => stall.abort(), STALL_MS);
  const reader = response.body?.getReader();
  try {
    if (reader)
      for (;;) {
        const read = await reader.read().catch(() => "broken" as const);
        if (read === "broken") throw new Interrupted(received);
        if (read.done) break;
        clearTimeout(timer);
        timer = setTimeout(() => stall.abort(), STALL_MS);
        received += read.value.byteLength;
        if ((resumed ? have : 0) + received > (options.size ?? Infinity))
          throw new ManagerError(0, "bad_answer", `${path} has more than the ${options.size} bytes it should have`);
        await file.write(read.value);
        options.onProgress?.((resumed ? have : 0) + received, total);
      }
  } finally {
    clearTimeout(timer);
    await reader?.cancel().catch(() => undefined);
    await file.close();
  }
  if (!Number.isNaN(length) && received < length) throw new Interrupted(received);
  return received;
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  throw error;
}
