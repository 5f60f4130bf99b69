/**
 * Hashes the inputs, asks which of them the manager lacks, and sends only those, small ones many to
 * a request.
 */
import { hash } from "node:crypto";
import { stat } from "node:fs/promises";
import { hashFile, hashPieces, type FileHash } from "../client/file-hash.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { isManagerSince } from "../client/manager-version.ts";
import { FileChanged, putPieceList, sendAsset, sendPiece } from "../client/upload.ts";
import { chunksOf } from "../lib/chunks.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { SumBy } from "../lib/sum-by.ts";
import { batchesOf } from "../protocol/asset-batch.ts";
import { ASKED_AT_ONCE } from "../protocol/constants.ts";
import { missingResultSchema } from "../protocol/file.ts";
import { bytesOfPieces, isCut, PIECES_SINCE, pieceListText, whyTooLarge, type Piece } from "../protocol/piece-list.ts";
import type { Input } from "../protocol/plan.ts";
import { CliError, EXIT } from "./failure.ts";
import type { LocalInput } from "./inputs.ts";
import { showProgress, type Progress } from "./progress.ts";
import { sendBatch, type SmallFile } from "./send-batch.ts";
import { bytes, count } from "./text.ts";

/**
 * Files or batches at a time: more hides round trips of small ones, but a large file uses three
 * connections already.
 */
const CONCURRENCY = 3;
/** How long a call is tried: hashing or an upload of hours must survive a short outage. */
const RETRY_FOR_MS = 2 * 60_000;

export interface Sent {
  assets: Input[];
  /** Bytes that were sent. */
  sentBytes: number;
  /** Files that the manager had already. */
  known: number;
}

/**
 * Send all inputs that the manager lacks. A file above 32 MiB is sent as the pieces that the manager
 * lacks, and a list of them; an upload that breaks off goes on with the next piece. Throws
 * `ManagerError`, or `CliError` when a file is too large or changes meanwhile.
 */
export async function sendInputs(client: ManagerClient, inputs: readonly LocalInput[], quiet: boolean): Promise<Sent> {
  const hashed = await hashAll(inputs, await mayCut(client, inputs), quiet);
  const lists = new Map(hashed.flatMap(({ sha256, pieces }) => (pieces ? [[sha256, pieces]] : [])));
  const missing = await missingOf(client, [...new Set(hashed.map(({ sha256 }) => sha256))], lists);
  const missingLists = [...lists].filter(([sha256]) => missing.has(sha256));
  const pieces = new Set(missingLists.flatMap(([, list]) => list.map(({ sha256 }) => sha256)));
  const missingPieces = await missingOf(client, [...pieces]);
  const todo = new Map<string, Sending>();
  for (const file of hashed.flatMap((file) => unitsOf(file, missing, missingPieces)))
    if (!todo.has(file.sha256)) todo.set(file.sha256, file);
  const { batches, single } = batchesOf([...todo.values()].filter(({ from }) => from === undefined));
  // The single files are the large ones, and are begun first because they take longest.
  const alone = [...[...todo.values()].filter(({ from }) => from !== undefined), ...single];
  const progress = showProgress("uploading", { quiet });
  const moved = new UploadProgress(alone.concat(...batches), progress);
  let sentBytes = 0;
  try {
    await mapConcurrent([...alone.map((file) => [file]), ...batches], CONCURRENCY, async (files) => {
      const onProgress = (file: Sending, done: number): void => moved.by(file, done);
      const options = { onProgress, retryForMs: RETRY_FOR_MS };
      const left = files.length > 1 ? await sendBatch(client, files, options) : files;
      sentBytes += bytesOf(files) - bytesOf(left);
      for (const file of left) {
        const sent = await sendOne(client, file, moved);
        sentBytes += sent;
      }
    });
    await mapConcurrent(missingLists, CONCURRENCY, async ([sha256, list]) => {
      await putPieceList(client, { sha256, pieces: list }, { retryForMs: RETRY_FOR_MS });
    });
  } finally {
    progress.end();
  }
  const assets = hashed.map(({ path, sha256, size, pieces: list }): Input => ({
    path,
    sha256,
    size,
    ...(list && { pieces: true as const }),
  }));
  return { assets, sentBytes, known: assets.filter((asset) => !missing.has(asset.sha256)).length };
}

/** A file that is hashed, whole or in pieces. */
interface Hashed extends LocalInput {
  /** Of the file, or of its piece list. */
  sha256: string;
  size: number;
  hash?: FileHash;
  pieces?: readonly Piece[];
}

/** What is sent at once: a file, or a piece of one. */
interface Sending extends SmallFile {
  /** Path of the file on the worker. */
  path: string;
  /** Of a file. */
  hash?: FileHash;
  /** Of a piece: its first byte in the file. */
  from?: number;
}

/** What has to be sent of a file. */
function unitsOf(
  { path, file, sha256, size, hash, pieces }: Hashed,
  missing: ReadonlySet<string>,
  missingPieces: ReadonlySet<string>,
): Sending[] {
  if (!missing.has(sha256)) return [];
  if (!pieces) return [{ path, file, sha256, size, ...(hash && { hash }) }];
  let at = 0;
  const placed = pieces.map((piece): Sending => ({ path, file, ...piece, from: (at += piece.size) - piece.size }));
  return placed.filter((piece) => missingPieces.has(piece.sha256));
}

/**
 * Whether files above 32 MiB go as pieces: not to a manager of 0.1. Throws `CliError` when a file is
 * larger than any manager takes, before one is read.
 */
async function mayCut(client: ManagerClient, inputs: readonly LocalInput[]): Promise<boolean> {
  const sizes = await mapConcurrent(inputs, CONCURRENCY, async ({ file }) => (await stat(file)).size);
  for (const [index, size] of sizes.entries()) {
    const why = whyTooLarge(size);
    if (why !== null) throw new CliError(EXIT.usage, `${inputs[index]!.path} ${why}`, "Divide it into several files.");
  }
  return sizes.some(isCut) && (await isManagerSince(client, PIECES_SINCE, { retryForMs: RETRY_FOR_MS }));
}

function bytesOf(files: readonly Sending[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Send one file in requests of its own; answers with the bytes that were sent. */
async function sendOne(client: ManagerClient, file: Sending, moved: UploadProgress): Promise<number> {
  const onProgress = (done: number): void => moved.by(file, done);
  const options = { onProgress, retryForMs: RETRY_FOR_MS };
  try {
    if (file.from === undefined) return (await sendAsset(client, file.file, file.hash!, options)).sent;
    await sendPiece(client, { ...file, from: file.from }, options);
    return file.size;
  } catch (error) {
    // 422: the bytes that arrived are not those that were hashed.
    if (!(error instanceof FileChanged) && !(error instanceof ManagerError && error.status === 422)) throw error;
    throw new CliError(EXIT.failed, `${file.path} changed while it was being sent`, "Submit again.");
  }
}

/** Shows the progress of all files together. */
class UploadProgress {
  readonly #total: number;
  readonly #progress: Progress;
  readonly #files = new SumBy<Sending>();

  constructor(files: readonly Sending[], progress: Progress) {
    this.#total = bytesOf(files);
    this.#progress = progress;
    if (files.length > 0) this.#show();
  }

  /** So many bytes of this file are sent. */
  by(file: Sending, doneBytes: number): void {
    this.#files.set(file, doneBytes);
    this.#show();
  }

  #show(): void {
    const { total } = this.#files;
    this.#progress.update(total, this.#total, `${bytes(total)} of ${bytes(this.#total)}`);
  }
}

/** `sent 3 files (12.3 MB), 9 were there`. */
export function sentText({ assets, sentBytes, known }: Sent): string {
  const sent = assets.length - known;
  if (sent === 0) return `${count(known, "file")} on the manager already, nothing to send`;
  return `sent ${count(sent, "file")} (${bytes(sentBytes)})${known > 0 ? `, ${known} on the manager already` : ""}`;
}

async function hashAll(inputs: readonly LocalInput[], cut: boolean, quiet: boolean): Promise<Hashed[]> {
  const progress = showProgress("reading", { quiet });
  let done = 0;
  try {
    return await mapConcurrent(inputs, CONCURRENCY, async (input) => {
      const hashed = await hashOne(input, cut);
      progress.update(++done, inputs.length, `${done} of ${count(inputs.length, "file")}`);
      return hashed;
    });
  } finally {
    progress.end();
  }
}

async function hashOne(input: LocalInput, cut: boolean): Promise<Hashed> {
  if (cut && isCut((await stat(input.file)).size)) {
    const pieces = await hashPieces(input.file);
    const size = bytesOfPieces(pieces);
    // Else it was cut short meanwhile.
    if (isCut(size)) return { ...input, sha256: hash("sha256", pieceListText(pieces)), size, pieces };
  }
  const whole = await hashFile(input.file);
  return { ...input, sha256: whole.sha256, size: whole.size, hash: whole };
}

/** Which of these the manager lacks; `lists` are asked for as piece lists. */
async function missingOf(
  client: ManagerClient,
  hashes: string[],
  lists: ReadonlyMap<string, unknown> = new Map(),
): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const sha256 of chunksOf(hashes, ASKED_AT_ONCE)) {
    const piece_lists = sha256.filter((one) => lists.has(one));
    const json = { sha256, ...(piece_lists.length > 0 && { piece_lists }) };
    const options = { json, retryForMs: RETRY_FOR_MS };
    const answer = await client.call(missingResultSchema, "POST", "/assets/missing", options);
    for (const one of answer.missing) missing.add(one);
  }
  return missing;
}
