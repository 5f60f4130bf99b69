/**
 * Uploads of files: hash them, ask the manager which are missing, and send only those.
 *
 * - Small files travel many to a request.
 * - Files above 32 MiB travel in pieces, and then a list of them. A piece that has arrived is not sent
 *   again, so a stop or a network failure costs the pieces that were under way, and no more.
 */
import { chunksOf } from "../../lib/chunks.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import { SumBy } from "../../lib/sum-by.ts";
import { batchesOf, batchList, BATCH_HEADER } from "../../protocol/asset-batch.ts";
import { ASKED_AT_ONCE } from "../../protocol/constants.ts";
import { pieceListText, type Piece } from "../../protocol/piece-list.ts";
import type { Input } from "../../protocol/plan.ts";
import type { AssetsMissing, AssetsStored } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { ApiError, readAnswer } from "../lib/problem.ts";
import { tryAgain } from "../lib/try-again.ts";
import { Hasher, type Hashed } from "./hasher.ts";
import type { Chosen } from "./files.ts";

/** Requests at a time: enough to hide the time between a request and its answer on a fast line. */
const LANES = 3;

export interface SendProgress {
  phase: "hashing" | "uploading";
  done: number;
  total: number;
  /** Number of files that the manager had already. */
  known: number;
  /** The last try of a request failed, and it is being tried again. */
  retrying: boolean;
}

/**
 * A request that reports progress, which `fetch` cannot do for uploads. Answers the JSON of the
 * response. Rejects with `ApiError`, or with an AbortError when it was stopped.
 */
async function transfer<T>(
  method: "PUT" | "POST",
  path: string,
  body: Blob,
  headers: Record<string, string>,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    request.open(method, path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => {
      try {
        const header = (name: string): string | null => request.getResponseHeader(name);
        resolve(readAnswer({ status: request.status, header }, request.responseText) as T);
      } catch (thrown) {
        reject(thrown as ApiError);
      }
    });
    request.addEventListener("error", () =>
      reject(new ApiError(0, { code: "unreachable", detail: "The manager cannot be reached." })),
    );
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort);
    signal.throwIfAborted();
    request.send(body);
  });
}

/** A file to send, or a piece of one, with its hash. */
interface Sending {
  bytes: Blob;
  sha256: string;
  size: number;
  isPiece: boolean;
}

/** What has to be sent of a file. */
function unitsOf(file: File, { sha256, size, pieces }: Hashed): Sending[] {
  if (!pieces) return [{ bytes: file, sha256, size, isPiece: false }];
  let at = 0;
  return pieces.map((piece) => ({ ...piece, bytes: file.slice(at, (at += piece.size)), isPiece: true }));
}

export class Sender {
  readonly #abort = new AbortController();
  readonly #show: (progress: SendProgress) => void;
  readonly #progress: SendProgress = { phase: "hashing", done: 0, total: 0, known: 0, retrying: false };
  readonly #moved = new SumBy<string>();

  constructor(show: (progress: SendProgress) => void) {
    this.#show = show;
  }

  stop(): void {
    this.#abort.abort();
  }

  /**
   * Send all files, and answer with the inputs for the task's settings. Rejects when it is stopped
   * or refused, or when the network fails for longer than the tries of a request last.
   */
  async send(files: readonly Chosen[]): Promise<Input[]> {
    const hashed = await this.#hashAll(files);
    const lists = new Map(hashed.flatMap(({ sha256, pieces }) => (pieces ? [[sha256, pieces]] : [])));
    const missing = await this.#missingOf([...new Set(hashed.map(({ sha256 }) => sha256))], lists);
    const missingLists = [...lists].filter(([sha256]) => missing.has(sha256));
    const pieces = new Set(missingLists.flatMap(([, list]) => list.map(({ sha256 }) => sha256)));
    const missingPieces = await this.#missingOf([...pieces]);
    const todo = new Map<string, Sending>();
    for (const [index, { file }] of files.entries()) {
      const one = hashed[index]!;
      if (!missing.has(one.sha256)) continue;
      for (const unit of unitsOf(file, one))
        if (!unit.isPiece || missingPieces.has(unit.sha256)) todo.set(unit.sha256, unit);
    }
    const all = [...todo.values()];
    this.#progress.phase = "uploading";
    this.#progress.done = 0;
    this.#progress.total = all.reduce((sum, { size }) => sum + size, 0);
    this.#progress.known = hashed.filter(({ sha256 }) => !missing.has(sha256)).length;
    this.#tell();
    const { batches, single } = batchesOf(all.filter(({ isPiece }) => !isPiece));
    const alone = [...all.filter(({ isPiece }) => isPiece), ...single];
    await mapConcurrent([...alone.map((one) => [one]), ...batches], LANES, async (some) => {
      const left = some.length > 1 ? await this.#sendBatch(some) : some;
      for (const one of left) await this.#sendOne(one);
    });
    await mapConcurrent(missingLists, LANES, async ([sha256, list]) => await this.#sendList(sha256, list));
    return files.map(({ path }, index): Input => {
      const { sha256, size, pieces: list } = hashed[index]!;
      return { path, sha256, size, ...(list && { pieces: true as const }) };
    });
  }

  async #hashAll(files: readonly Chosen[]): Promise<Hashed[]> {
    const hasher = new Hasher();
    const close = (): void => hasher.close();
    this.#abort.signal.addEventListener("abort", close);
    this.#progress.total = files.reduce((sum, { file }) => sum + file.size, 0);
    const hashed: Hashed[] = [];
    let before = 0;
    try {
      for (const { file } of files) {
        this.#abort.signal.throwIfAborted();
        const told = (done: number): void => {
          this.#progress.done = before + done;
          this.#tell();
        };
        hashed.push(await hasher.hash(file, told));
        before += file.size;
        told(0);
      }
      return hashed;
    } finally {
      close();
    }
  }

  /** Which of these the manager lacks; `lists` are asked for as piece lists. */
  async #missingOf(hashes: readonly string[], lists: ReadonlyMap<string, unknown> = new Map()): Promise<Set<string>> {
    const missing = new Set<string>();
    for (const sha256 of chunksOf(hashes, ASKED_AT_ONCE)) {
      const body = { sha256, piece_lists: sha256.filter((one) => lists.has(one)) };
      const answer = await this.#again(() =>
        call<AssetsMissing>("POST", "/assets/missing", { body, signal: this.#abort.signal }),
      );
      for (const one of answer.missing) missing.add(one);
    }
    return missing;
  }

  /**
   * Send small files in one request. Answers the files that were not stored; sent on their own,
   * they get their own error.
   */
  async #sendBatch(batch: readonly Sending[]): Promise<Sending[]> {
    const key = batchList(batch);
    const body = new Blob(batch.map(({ bytes }) => bytes));
    const { assets } = await this.#again(() =>
      transfer<AssetsStored>(
        "POST",
        "/assets",
        body,
        { [BATCH_HEADER]: key },
        (sent) => this.#count(key, sent),
        this.#abort.signal,
      ),
    );
    const there = new Set(assets.filter(({ status }) => status < 300).map(({ sha256 }) => sha256));
    const left = batch.filter(({ sha256 }) => !there.has(sha256));
    this.#count(key, body.size - left.reduce((sum, { size }) => sum + size, 0));
    return left;
  }

  async #sendOne({ bytes, sha256, size }: Sending): Promise<void> {
    const path = `/assets/${sha256}`;
    await this.#again(() => transfer("PUT", path, bytes, {}, (sent) => this.#count(path, sent), this.#abort.signal));
    this.#count(path, size);
  }

  async #sendList(sha256: string, pieces: readonly Piece[]): Promise<void> {
    const list = new Blob([pieceListText(pieces)]);
    const path = `/assets/${sha256}/pieces`;
    await this.#again(() => transfer("PUT", path, list, {}, () => undefined, this.#abort.signal));
  }

  /** Try a request again while its failures may pass. */
  async #again<T>(what: () => Promise<T>): Promise<T> {
    return await tryAgain(what, this.#abort.signal, (retrying) => {
      if (this.#progress.retrying === retrying) return;
      this.#progress.retrying = retrying;
      this.#tell();
    });
  }

  #count(key: string, sent: number): void {
    this.#moved.set(key, sent);
    this.#progress.done = this.#moved.total;
    this.#tell();
  }

  #tell(): void {
    this.#show({ ...this.#progress });
  }
}
