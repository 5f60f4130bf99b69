/**
 * Uploads: one PUT for a small file, or for a piece of a large one; parts for a large output, of which only those that the manager
 * lacks are sent. Memory use does not depend on the size of a file. Used by the agent (outputs) and
 * the command line (inputs).
 */
import { stat } from "node:fs/promises";
import { z } from "zod";
import { mapConcurrent } from "../lib/concurrency.ts";
import { assetSchema, CRC_HEADER, partsSchema, PART_BYTES, pieceListSchema, receiptSchema } from "../protocol/file.ts";
import { PIECES_HEADER, pieceListText, type Piece } from "../protocol/piece-list.ts";
import { hashFile, isContent, listName, type ExpectedContent, type FileHash } from "./file-hash.ts";
import { fileRange } from "./file-range.ts";
import { ManagerError, type CallOptions, type ManagerClient } from "./manager-client.ts";

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
  /** It checks a file in parts by the list of its parts, if it is a manager of 0.2 or newer. */
  pieces?: boolean;
  answer: S;
}

/**
 * Upload an asset that the manager lacks and whose hash is known: a request for each file. A file
 * above 32 MiB goes in parts, which a manager of 0.1 needs: it knows no piece lists.
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

/** Where a piece is on this machine. */
export interface LocalPiece extends Piece {
  file: string;
  /** The first byte of the piece in the file. */
  from: number;
}

/**
 * Upload a piece that the manager lacks; it is an asset of its own. Throws `ManagerError` and
 * `FileChanged`.
 */
export async function sendPiece(
  client: ManagerClient,
  { file, from, size, sha256 }: LocalPiece,
  options: TransferOptions = {},
): Promise<void> {
  const source = await openSource(file);
  if (source.size < from + size) throw new FileChanged(`${file} was changed while it was being sent`);
  const request = putRequest(source, new Meter(size, options.onProgress), options);
  const path = `/assets/${sha256}`;
  await client.call(assetSchema, "PUT", path, request(path, from, from + size, sha256));
}

/**
 * Upload the piece list of a file whose pieces the manager has. Throws `ManagerError`.
 */
export async function putPieceList(
  client: ManagerClient,
  { sha256, pieces }: { sha256: string; pieces: readonly Piece[] },
  options: TransferOptions = {},
): Promise<void> {
  const text = pieceListText(pieces);
  const headers = { "content-type": "application/octet-stream", "content-length": String(text.length) };
  const body = (): string => text;
  await client.call(pieceListSchema, "PUT", `/assets/${sha256}/pieces`, { ...callOptions(options), headers, body });
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
      pieces: true,
      headers: target.grant,
      completing: { [CRC_HEADER.toLowerCase()]: hash.crc32 },
      answer: receiptSchema,
    },
    options,
  );
  const others = answer.pieces !== undefined && answer.pieces !== listName(hash);
  if (answer.sha256 !== hash.sha256 || answer.size !== hash.size || others) {
    throw new ManagerError(
      0,
      "bad_answer",
      `the manager's receipt for ${target.name} names other bytes than those that were sent`,
    );
  }
  return answer;
}

/**
 * Upload a file to an address that takes whole files and parts, as what it was stored as before;
 * `headers` go with every request. Throws `FileChanged` when it is not that file.
 */
export async function uploadTo(
  client: ManagerClient,
  { file, ...stored }: ExpectedContent & { file: string },
  to: { path: string; headers: Record<string, string>; pieces?: boolean },
  options: TransferOptions = {},
): Promise<{ sent: number }> {
  const hash = await hashFile(file, options.signal);
  if (!isContent(hash, stored)) throw new FileChanged(`${file} is not what it was stored as`);
  // Where the list of the parts counts, the SHA-256 was the word of a worker, and stays that.
  const whole = { ...hash, sha256: stored.sha256 };
  return { sent: (await uploadFile(client, file, whole, { ...to, answer: assetSchema }, options)).sent };
}

async function uploadFile<S extends z.ZodType>(
  client: ManagerClient,
  file: string,
  hash: FileHash,
  to: Destination<S>,
  options: TransferOptions,
): Promise<{ answer: z.output<S>; sent: number }> {
  const { size, sha256 } = hash;
  const source = await openSource(file);
  if (source.size !== size) throw new FileChanged(`${file} was changed while it was being sent`);
  const { signal } = options;
  const common = callOptions(options);
  const meter = new Meter(size, options.onProgress);
  const put = putRequest(source, meter, options);
  if (size <= PART_BYTES) {
    const request = put(to.path, 0, size, sha256, { ...to.headers, ...to.completing });
    return { answer: await client.call(to.answer, "PUT", to.path, request), sent: size };
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
    const path = `${to.path}/parts/${number}`;
    try {
      await client.call(z.null(), "PUT", path, { ...put(path, from, end, part, to.headers), signal: partSignal });
    } catch (error) {
      // The other parts would be sent in vain.
      failed.abort(error);
      throw error;
    }
  });
  // A manager of 0.1 ignores the header, and reads and hashes the whole file here.
  const list = to.pieces && { [PIECES_HEADER.toLowerCase()]: listName(hash) };
  const answer = await client.call(to.answer, "POST", `${to.path}/assemble`, {
    ...common,
    headers: { ...to.headers, ...to.completing, ...list },
    json: { size, sha256 },
    timeoutMs: PART_TIMEOUT_MS,
  });
  return { answer, sent: missing.reduce((sum, { from, to }) => sum + to - from, 0) };
}

/** A file that is being sent, as it was when it was opened. */
interface Source {
  size: number;
  /**
   * Bytes of the file, read as they are wanted; `onChunk` is told the bytes of each chunk. Throws
   * `FileChanged`, and so does the stream.
   */
  range(from: number, to: number, onChunk: ((bytes: number) => void) | undefined): Promise<ReadableStream<Uint8Array>>;
}

async function openSource(file: string): Promise<Source> {
  const { size, mtimeMs } = await stat(file);
  const changed = (): FileChanged => new FileChanged(`${file} was changed while it was being sent`);
  return {
    size,
    range: async (from, to, onChunk) => {
      const now = await stat(file).catch(() => undefined);
      if (now?.size !== size || now.mtimeMs !== mtimeMs) throw changed();
      return fileRange(file, { from, to }, { shortened: changed, onChunk });
    },
  };
}

function callOptions({ signal, retryForMs, onRetry }: TransferOptions): CallOptions {
  return { signal, onRetry, ...(retryForMs !== undefined && { retryForMs }) };
}

/** Makes the requests that put bytes of a file; `key` names them for the progress. */
function putRequest(
  source: Source,
  meter: Meter,
  options: TransferOptions,
): (key: string, from: number, to: number, sha256: string, headers?: Record<string, string>) => CallOptions {
  return (key, from, to, sha256, headers = {}) => ({
    ...callOptions(options),
    timeoutMs: PART_TIMEOUT_MS,
    headers: {
      ...headers,
      "content-type": "application/octet-stream",
      "content-length": String(to - from),
      "tablao-sha256": sha256,
    },
    // The file is read anew for each try.
    body: async () => await source.range(from, to, meter.count(key)),
  });
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
