/**
 * Hashes the inputs, asks which of them the manager lacks, and sends only those, small ones many to
 * a request.
 */
import { hashFile, type FileHash } from "../client/file-hash.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { FileChanged, sendAsset } from "../client/upload.ts";
import { chunksOf } from "../lib/chunks.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { SumBy } from "../lib/sum-by.ts";
import { batchesOf } from "../protocol/asset-batch.ts";
import { ASKED_AT_ONCE } from "../protocol/constants.ts";
import { missingResultSchema } from "../protocol/file.ts";
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
 * Send all inputs that the manager lacks. Throws `ManagerError`, or `CliError` when a file changes
 * meanwhile.
 */
export async function sendInputs(client: ManagerClient, inputs: readonly LocalInput[], quiet: boolean): Promise<Sent> {
  const hashes = await hashAll(inputs, quiet);
  const assets = inputs.map((input, i): Input => ({
    path: input.path,
    sha256: hashes[i]!.sha256,
    size: hashes[i]!.size,
  }));
  const missing = await missingOf(client, [...new Set(assets.map((asset) => asset.sha256))]);
  const todo = new Map<string, Sending>();
  for (const [index, { path, sha256, size }] of assets.entries())
    if (missing.has(sha256) && !todo.has(sha256))
      todo.set(sha256, { path, sha256, size, file: inputs[index]!.file, hash: hashes[index]! });
  const { batches, single } = batchesOf([...todo.values()]);
  const progress = showProgress("uploading", { quiet });
  const moved = new UploadProgress(single.concat(...batches), progress);
  let sentBytes = 0;
  try {
    // The single files are the large ones, and are begun first because they take longest.
    await mapConcurrent([...single.map((file) => [file]), ...batches], CONCURRENCY, async (files) => {
      const onProgress = (file: Sending, done: number): void => moved.by(file, done);
      const options = { onProgress, retryForMs: RETRY_FOR_MS };
      const left = files.length > 1 ? await sendBatch(client, files, options) : files;
      sentBytes += bytesOf(files) - bytesOf(left);
      for (const file of left) {
        const sent = await sendOne(client, file, moved);
        sentBytes += sent;
      }
    });
  } finally {
    progress.end();
  }
  return { assets, sentBytes, known: assets.filter((asset) => !missing.has(asset.sha256)).length };
}

/** A file that is sent. */
interface Sending extends SmallFile {
  /** Path on the worker. */
  path: string;
  hash: FileHash;
}

function bytesOf(files: readonly Sending[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Send one file in requests of its own; answers with the bytes that were sent. */
async function sendOne(client: ManagerClient, file: Sending, moved: UploadProgress): Promise<number> {
  const onProgress = (done: number): void => moved.by(file, done);
  const options = { onProgress, retryForMs: RETRY_FOR_MS };
  const { sent } = await sendAsset(client, file.file, file.hash, options).catch((error: unknown) => {
    // 422: the bytes that arrived are not those that were hashed.
    if (!(error instanceof FileChanged) && !(error instanceof ManagerError && error.status === 422)) throw error;
    throw new CliError(EXIT.failed, `${file.path} changed while it was being sent`, "Submit again.");
  });
  return sent;
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

async function hashAll(inputs: readonly LocalInput[], quiet: boolean): Promise<FileHash[]> {
  const progress = showProgress("reading", { quiet });
  let done = 0;
  try {
    return await mapConcurrent(inputs, CONCURRENCY, async (input) => {
      const hash = await hashFile(input.file);
      progress.update(++done, inputs.length, `${done} of ${count(inputs.length, "file")}`);
      return hash;
    });
  } finally {
    progress.end();
  }
}

async function missingOf(client: ManagerClient, hashes: string[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const sha256 of chunksOf(hashes, ASKED_AT_ONCE)) {
    const options = { json: { sha256 }, retryForMs: RETRY_FOR_MS };
    const answer = await client.call(missingResultSchema, "POST", "/assets/missing", options);
    for (const one of answer.missing) missing.add(one);
  }
  return missing;
}
