/**
 * Downloads that resume by `Range` after a broken connection, and appear under their name only when
 * they are whole and verified. Memory use does not depend on the size of a file. Used by the agent
 * (inputs) and the command line (results).
 */
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../lib/retry.ts";
import { hashFile } from "./file-hash.ts";
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

export interface DownloadOptions extends TransferOptions {
  headers?: Record<string, string>;
  /** The announced size: a longer answer is cut off, so that it cannot fill the disk. */
  size?: number;
}

/**
 * Download to `file` and verify; answers with its size and the bytes that came. A file with the
 * right hash is kept as it is. A half download stands beside it under `.part` and is resumed.
 * Throws `ManagerError`, the signal's reason, or the error of the disk.
 */
export async function downloadTo(
  client: ManagerClient,
  file: string,
  path: string,
  sha256: string,
  options: DownloadOptions = {},
): Promise<{ size: number; received: number }> {
  const present = await hashFile(file, options.signal).catch(ignoreMissing);
  if (present?.sha256 === sha256) {
    options.onProgress?.(present.size, present.size);
    return { size: present.size, received: 0 };
  }
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.part`;
  let received = 0;
  let spoiled = 0;
  let deadlineMs = performance.now() + (options.retryForMs ?? RETRY_FOR_MS);
  for (let tries = 1; ; tries++) {
    try {
      const got = await fetchInto(client, part, path, options);
      received += got;
      const hash = await hashFile(part, options.signal);
      if (hash.sha256 === sha256) {
        await rename(part, file);
        return { size: hash.size, received };
      }
      // The half download was of other bytes, or a disk or connection flipped bits: start again,
      // once.
      await rm(part, { force: true });
      if (++spoiled === 2)
        throw new ManagerError(0, "bad_answer", `${path} arrived twice with the wrong hash; expected ${sha256}`);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Not after an answer of somebody else, who says nothing about the bytes that are here.
      if (error instanceof ManagerError && error.code === "bad_answer") await rm(part, { force: true });
      if (!(error instanceof Interrupted)) throw error;
      received += error.received;
      const now = performance.now();
      if (error.received > 0) deadlineMs = now + (options.retryForMs ?? RETRY_FOR_MS);
      if (now >= deadlineMs) throw new ManagerError(0, "unreachable", `the download of ${path} keeps breaking off`);
      await delay(backoffMs(tries, RETRY), undefined, { signal: options.signal });
    }
  }
}

/** The answer's body broke off; the bytes before that are on disk. */
class Interrupted extends Error {
  readonly received: number;
  constructor(received: number) {
    super("interrupted");
    this.received = received;
  }
}

async function fetchInto(client: ManagerClient, part: string, path: string, options: DownloadOptions): Promise<number> {
  const have = (await stat(part).catch(ignoreMissing))?.size ?? 0;
  const stall = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  let response: Response;
  try {
    response = await client.send("GET", path, {
      // identity: a hash is of the bytes as they are, and ranges of a compressed answer mean
      // nothing.
      headers: { ...options.headers, "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) },
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
  const file = await open(part, resumed ? "a" : "w");
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
        await file.appendFile(read.value);
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
