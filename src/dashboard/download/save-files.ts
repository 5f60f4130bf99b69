/**
 * Saves the files of a task into a folder, one request for each. It can be stopped and begun again:
 * files that are there are left alone.
 */
import { mapConcurrent } from "../../lib/concurrency.ts";
import { SumBy } from "../../lib/sum-by.ts";
import { downloadPaths } from "../../protocol/archive.ts";
import { contentTag } from "../../protocol/piece-list.ts";
import { fetchBytes } from "../lib/api.ts";
import { ApiError, messageOf } from "../lib/problem.ts";
import { tryAgain } from "../lib/try-again.ts";
import { fileAt, placeOf, writeFile } from "./folder.ts";
import type { TaskFile } from "./list-files.ts";

/**
 * Files at a time: enough to hide the time between a request and its answer. Over HTTP/1.1 a
 * browser makes six requests at a time, and the page needs some of them.
 */
const LANES = 4;

export interface SaveProgress {
  /** In bytes. Files that were there count as done. */
  done: number;
  total: number;
  /** Files that are in the folder now. */
  files: number;
  /** The last try of a request failed, and it is being tried again. */
  retrying: boolean;
}

/** A file that could not be saved, and why. */
export interface SaveFailure {
  path: string;
  reason: string;
}

export interface Saved {
  saved: number;
  /** Files that were in the folder already. */
  present: number;
  failures: SaveFailure[];
}

/** One run. `stop` ends it, and `save` then rejects with an AbortError. */
export class FileSaver {
  readonly #abort = new AbortController();
  readonly #show: (progress: SaveProgress) => void;
  readonly #progress: SaveProgress = { done: 0, total: 0, files: 0, retrying: false };
  readonly #moved = new SumBy<string>();
  readonly #result: Saved = { saved: 0, present: 0, failures: [] };
  #failure: { reason: unknown } | undefined;

  constructor(show: (progress: SaveProgress) => void) {
    this.#show = show;
  }

  stop(): void {
    this.#abort.abort();
  }

  /**
   * Save these files of a task, all of them in frame order. A file that cannot be saved is reported
   * in the answer, and the others go on. Rejects when it is stopped, and for what all files have in
   * common: the manager cannot be reached, the viewer may not read, the disk is full.
   */
  async save(folder: FileSystemDirectoryHandle, taskId: number, files: readonly TaskFile[]): Promise<Saved> {
    const paths = downloadPaths(files);
    this.#progress.total = files.reduce((sum, { size }) => sum + size, 0);
    this.#tell();
    await mapConcurrent(files.entries(), LANES, async ([index, file]) => {
      this.#abort.signal.throwIfAborted();
      const path = paths[index]!;
      try {
        await this.#saveFile(folder, path, taskId, file);
        this.#progress.files++;
        this.#count(path, file.size);
      } catch (thrown) {
        if (!isOfOneFile(thrown)) {
          // To end the others makes them fail, too: what they report is the first failure.
          this.#failure ??= { reason: thrown };
          this.stop();
          throw this.#failure.reason;
        }
        this.#result.failures.push({ path, reason: messageOf(thrown) });
      }
    });
    return this.#result;
  }

  async #saveFile(folder: FileSystemDirectoryHandle, path: string, taskId: number, file: TaskFile): Promise<void> {
    const place = await placeOf(folder, path);
    if (isSaved(await fileAt(place), file)) {
      this.#result.present++;
      return;
    }
    await writeFile(place, async (to) => {
      let at = 0;
      while (at < file.size)
        at = await tryAgain(
          () => this.#receive(to, path, taskId, file, at),
          this.#abort.signal,
          (retrying) => {
            this.#progress.retrying = retrying;
            this.#tell();
          },
        );
    });
    this.#result.saved++;
  }

  /**
   * Append what one request brings from byte `from` on; answers with the number of bytes that are
   * there then. When the answer breaks off after some bytes, the caller asks for the rest.
   */
  async #receive(
    to: FileSystemWritableFileStream,
    path: string,
    taskId: number,
    { frame, size, ...content }: TaskFile,
    from: number,
  ): Promise<number> {
    const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
    const response = await fetchBytes(`/tasks/${taskId}/frames/${frame}/file`, { headers, signal: this.#abort.signal });
    // A proxy that compresses an answer makes its tag weak.
    if (response.headers.get("ETag")?.replace(/^W\//, "") !== `"${contentTag(content)}"`) {
      await response.body?.cancel();
      throw new ApiError(409, { code: "changed", detail: "It was rendered again meanwhile." });
    }
    let at = response.status === 206 ? from : 0;
    await to.seek(at);
    const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
    for (;;) {
      const read = await reader.read().catch(() => null);
      this.#abort.signal.throwIfAborted();
      if (read === null || read.done) break;
      await to.write(read.value);
      at += read.value.length;
      this.#count(path, at);
    }
    if (at > size) throw new ApiError(409, { code: "changed", detail: "It has more bytes than the list says." });
    if (at <= from) throw new ApiError(0, { code: "unreachable", detail: "The manager cannot be reached." });
    return at;
  }

  #count(path: string, bytes: number): void {
    this.#moved.set(path, bytes);
    this.#progress.done = this.#moved.total;
    this.#tell();
  }

  #tell(): void {
    this.#show({ ...this.#progress });
  }
}

/**
 * Whether the file in the folder is the committed one, as far as that can be told without reading
 * it: it has the size, and was not written before the commit.
 */
function isSaved(there: File | null, { size, committed_ms }: TaskFile): boolean {
  return there?.size === size && there.lastModified >= (committed_ms ?? 0);
}

/** Whether an error concerns one file, and others may be saved. */
function isOfOneFile(thrown: unknown): boolean {
  // A TypeError is a name that the browser does not allow.
  return thrown instanceof TypeError || (thrown instanceof ApiError && [404, 409, 416].includes(thrown.status));
}
