/**
 * Uploads: one PUT for a small file; parts for a large one, of which only those that the manager
 * lacks are sent. Memory use does not depend on the size of a file. Used by the agent (outputs) and
 * the command line (inputs).
 */
import { stat } from "node:fs/promises";
import { z } from "zod";
import { mapConcurrent } from "../lib/concurrency.ts";
import { assetSchema, CRC_HEADER, partsSchema, PART_BYTES, receiptSchema } from "../protocol/file.ts";
import { hashFile, type FileHash } from "./file-hash.ts";
import { fileRange } from "./file-range.ts";
import { ManagerError, type ManagerClient } from "./manager-client.ts";

/** Bytes that are done, and all bytes. Bytes that the manager had already count as done. */
export type OnProgress = (doneBytes: number, totalBytes: number) => void;

export interface TransferOptions {
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
  /** As in `CallOptions`: how long to keep trying while nothing succeeds. */
  retryForMs?: number;
  /** As in `CallOptions`. */
  onRetry?: ((error: ManagerError) => void) | undefined;
}

/** Three: enough to hide the round trip of each part; more would leave a home uplink no room. */
const PARTS_IN_FLIGHT = 3;
/** One part of 32 MiB in this time is 0.45 Mbit/s: slower uplinks cannot serve a farm. */
const PART_TIMEOUT_MS = 10 * 60_000;

/** The file was changed between hashing and sending. The caller decides whether to start over. */
export class FileChanged extends Error {
  override name = "FileChanged";
}

/**
 * Where a file goes: `/assets/<sha256>` or `/tasks/N/outputs/<name>`, and what its requests carry.
 */
interface Destination<S extends z.ZodType> {
  path: string;
  headers?: Record<string, string>;
  /** More headers of the request that completes the file: its PUT, or `assemble`. */
  completing?: Record<string, string>;
  answer: S;
}

/**
 * Upload an asset that the manager lacks and whose hash is known: a request for each file, or for
 * each part of it.
 */
export async function sendAsset(
  client: ManagerClient,
  file: string,
  hash: FileHash,
  options: TransferOptions = {},
): Promise<{ sent: number }> {
  const { sent } = await uploadFile(
    client,
    file,
    hash,
    { path: `/assets/${hash.sha256}`, answer: assetSchema },
    options,
  );
  return { sent };
}

/**
 * Upload one output of a lease; `grant` is the header with the lease's grant. Answers with the
 * manager's receipt, which names the same hash and size.
 */
export async function uploadOutput(
  client: ManagerClient,
  file: string,
  target: { taskId: number; name: string; grant: Record<string, string> },
  options: TransferOptions = {},
): Promise<z.output<typeof receiptSchema>> {
  const hash = await hashFile(file, options.signal);
  const path = `/tasks/${target.taskId}/outputs/${encodeURIComponent(target.name)}`;
  const { answer } = await uploadFile(
    client,
    file,
    hash,
    {
      path,
      headers: target.grant,
      completing: { [CRC_HEADER.toLowerCase()]: hash.crc32 },
      answer: receiptSchema,
    },
    options,
  );
  if (answer.sha256 !== hash.sha256 || answer.size !== hash.size) {
    throw new ManagerError(
      0,
      "bad_answer",
      `the manager's receipt for ${target.name} names other bytes than those that were sent`,
    );
  }
  return answer;
}

/**
 * Upload a file whose hash is known to an address that takes whole files and parts; `headers` go
 * with every request.
 */
export async function uploadTo(
  client: ManagerClient,
  file: string,
  path: string,
  headers: Record<string, string>,
  options: TransferOptions = {},
): Promise<{ sent: number }> {
  const hash = await hashFile(file, options.signal);
  return { sent: (await uploadFile(client, file, hash, { path, headers, answer: assetSchema }, options)).sent };
}

async function uploadFile<S extends z.ZodType>(
  client: ManagerClient,
  file: string,
  hash: FileHash,
  to: Destination<S>,
  options: TransferOptions,
): Promise<{ answer: z.output<S>; sent: number }> {
  const { size, sha256 } = hash;
  const { mtimeMs } = await stat(file);
  const changed = () => new FileChanged(`${file} was changed while it was being sent`);
  const unchanged = async () => {
    const now = await stat(file).catch(() => undefined);
    if (now?.size !== size || now.mtimeMs !== mtimeMs) throw changed();
  };
  await unchanged();
  const { signal, retryForMs, onRetry } = options;
  const common = { signal, onRetry, ...(retryForMs !== undefined && { retryForMs }) };
  const meter = new Meter(size, options.onProgress);
  const put = (path: string, from: number, to: number, part: string, headers: Record<string, string> = {}) => ({
    path,
    options: {
      ...common,
      timeoutMs: PART_TIMEOUT_MS,
      headers: {
        ...headers,
        "content-type": "application/octet-stream",
        "content-length": String(to - from),
        "tablao-sha256": part,
      },
      body: async () => {
        await unchanged();
        // The file is read anew for each try.
        return fileRange(file, { from, to }, { shortened: changed, onChunk: meter.count(path) });
      },
    },
  });
  if (size <= PART_BYTES) {
    const request = put(to.path, 0, size, sha256, { ...to.headers, ...to.completing });
    return { answer: await client.call(to.answer, "PUT", request.path, request.options), sent: size };
  }
  const there = await client.call(partsSchema, "GET", `${to.path}/parts`, { ...common, headers: to.headers ?? {} });
  if (there.part_bytes !== PART_BYTES)
    throw new ManagerError(
      0,
      "bad_answer",
      `the manager wants parts of ${there.part_bytes} bytes; this version makes parts of ${PART_BYTES}`,
    );
  const have = new Map(there.parts.map((part) => [part.number, part.sha256]));
  const todo = hash.parts.map((part, i) => ({
    number: i + 1,
    part,
    from: i * PART_BYTES,
    to: Math.min(size, (i + 1) * PART_BYTES),
  }));
  const missing = todo.filter(({ number, part }) => have.get(number) !== part);
  meter.skip(size - missing.reduce((sum, { from, to }) => sum + to - from, 0));
  const failed = new AbortController();
  const partSignal = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  await mapConcurrent(missing, PARTS_IN_FLIGHT, async ({ number, part, from, to: end }) => {
    const request = put(`${to.path}/parts/${number}`, from, end, part, to.headers);
    try {
      await client.call(z.null(), "PUT", request.path, { ...request.options, signal: partSignal });
    } catch (error) {
      // The other parts would be sent in vain.
      failed.abort(error);
      throw error;
    }
  });
  // The manager reads and hashes the whole file here.
  const answer = await client.call(to.answer, "POST", `${to.path}/assemble`, {
    ...common,
    headers: { ...to.headers, ...to.completing },
    json: { size, sha256 },
    timeoutMs: PART_TIMEOUT_MS,
  });
  return { answer, sent: missing.reduce((sum, { from, to }) => sum + to - from, 0) };
}

/** Adds up the progress of all parts; a part that is sent again counts from 0. */
class Meter {
  readonly #total: number;
  readonly #onProgress: OnProgress | undefined;
  readonly #parts = new Map<string, number>();
  #skipped = 0;

  constructor(total: number, onProgress: OnProgress | undefined) {
    this.#total = total;
    this.#onProgress = onProgress;
  }

  skip(bytes: number): void {
    this.#skipped = bytes;
    this.#report();
  }

  /** Begin a part anew; what it returns is told the bytes of each chunk. */
  count(key: string): ((bytes: number) => void) | undefined {
    if (!this.#onProgress) return undefined;
    let sent = 0;
    this.#parts.set(key, 0);
    return (bytes) => {
      sent += bytes;
      this.#parts.set(key, sent);
      this.#report();
    };
  }

  #report(): void {
    let done = this.#skipped;
    for (const bytes of this.#parts.values()) done += bytes;
    this.#onProgress?.(done, this.#total);
  }
}
