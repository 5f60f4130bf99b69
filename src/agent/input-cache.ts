/**
 * The cache of inputs, by content: each is downloaded once, verified by hash, and shared by all
 * slots; least recently used ones are removed at a bound. A lease gets a hard link, so that a scene
 * of gigabytes costs no copy; a copy where links are not possible.
 */
import { constants, rmSync } from "node:fs";
import { chmod, copyFile, link, mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { downloadPieces, downloadTo, fetchPieceList } from "../client/download.ts";
import type { ManagerClient } from "../client/manager-client.ts";

/**
 * How long an input is tried without a byte. Then the lease is released with the reason, although
 * renewals may get through: with a longer time, nobody would know within 2 minutes (P13).
 */
export const INPUT_RETRY_MS = 90_000;

export interface CachedInput {
  /** Of the file; with `list`, of its piece list. */
  sha256: string;
  size: number;
  /** The input is the file that the piece list `sha256` stands for. */
  list?: boolean;
  /**
   * Of a file in parts: the hash of the list of its parts, by which it is verified. `sha256` is then
   * the word of the worker that made it, and may be that of another file.
   */
  pieces?: string | undefined;
  /** Path on the manager, e.g. `/assets/<sha256>`. */
  url: string;
  headers?: Record<string, string>;
}

interface Entry {
  size: number;
  usedMs: number;
  /** How many calls are about to link it: it must not be removed meanwhile. */
  pins: number;
  /**
   * Modification time in whole ms when its hash was last checked: a process that wrote through a
   * link changes it.
   */
  checkedMtimeMs: number | undefined;
}

interface Fetching {
  done: Promise<void>;
  waiters: number;
  stop: AbortController;
}

/** What a file in the cache is called. It says of which content the file is, and how it is verified. */
const NAME = /^[0-9a-f]{64}(-whole)?$/;

/** A piece list and the file it stands for have the same hash, and are different files. */
function nameOf({ sha256, list, pieces }: CachedInput): string {
  return list || pieces !== undefined ? `${pieces ?? sha256}-whole` : sha256;
}

export class InputCache {
  readonly #dir: string;
  readonly #maxBytes: number;
  readonly #client: ManagerClient;
  readonly #entries = new Map<string, Entry>();
  readonly #fetching = new Map<string, Fetching>();

  private constructor(dir: string, maxBytes: number, client: ManagerClient) {
    this.#dir = dir;
    this.#maxBytes = maxBytes;
    this.#client = client;
  }

  /**
   * Open the cache with what an earlier run left in it. Half downloads stay, and are resumed when
   * they are wanted.
   */
  static async open(dir: string, maxBytes: number, client: ManagerClient): Promise<InputCache> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const cache = new InputCache(dir, maxBytes, client);
    for (const name of await readdir(dir)) {
      if (!NAME.test(name)) continue;
      const info = await stat(join(dir, name));
      cache.#entries.set(name, { size: info.size, usedMs: info.atimeMs, pins: 0, checkedMtimeMs: undefined });
    }
    return cache;
  }

  /** Bytes of all inputs in the cache. */
  get bytes(): number {
    let sum = 0;
    for (const { size } of this.#entries.values()) sum += size;
    return sum;
  }

  /**
   * Put an input at `target`, which must not exist. Throws `ManagerError`, the signal's reason, or
   * a disk error (`ENOSPC`).
   */
  async place(input: CachedInput, target: string, signal: AbortSignal): Promise<void> {
    await mkdir(dirname(target), { recursive: true });
    await this.#obtain(input, signal);
    const source = join(this.#dir, nameOf(input));
    try {
      await linkOrCopy(source, target);
    } finally {
      this.#entries.get(nameOf(input))!.pins--;
    }
    const now = new Date();
    await utimes(source, now, (await stat(source)).mtime).catch(() => undefined);
  }

  /**
   * Remove inputs that no call uses, least recently used first: until the bound holds with `room`
   * to spare, or all. Answers with the bytes.
   */
  async evict(reason: "bound" | "all", room = 0): Promise<number> {
    let freed = 0;
    const idle = [...this.#entries]
      .filter(([name, entry]) => entry.pins === 0 && !this.#fetching.has(name))
      .toSorted(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [name, entry] of idle) {
      if (reason === "bound" && this.bytes + room <= this.#maxBytes) break;
      // Entry and file go in one step: a lease that asked in between would be given a file that is
      // about to be removed.
      this.#entries.delete(name);
      rmSync(join(this.#dir, name), { force: true });
      freed += entry.size;
    }
    if (reason === "all") {
      for (const name of await readdir(this.#dir)) {
        if (name.endsWith(".part") && !this.#fetching.has(name.slice(0, -".part".length)))
          await rm(join(this.#dir, name), { force: true });
      }
    }
    return freed;
  }

  /** Download the input where needed, and pin its entry. */
  async #obtain(input: CachedInput, signal: AbortSignal): Promise<void> {
    const name = nameOf(input);
    signal.throwIfAborted();
    const entry = this.#entries.get(name);
    if (entry?.checkedMtimeMs !== undefined) {
      const info = await stat(join(this.#dir, name)).catch(() => undefined);
      if (info && wholeMs(info.mtimeMs) === entry.checkedMtimeMs && this.#entries.get(name) === entry) {
        entry.usedMs = Date.now();
        entry.pins++;
        return;
      }
    }
    let fetching = this.#fetching.get(name);
    while (fetching?.stop.signal.aborted) {
      // A download that was given up must have closed the half file before a new one resumes it.
      await fetching.done.catch(() => undefined);
      fetching = this.#fetching.get(name);
    }
    if (!fetching) {
      const stop = new AbortController();
      fetching = {
        waiters: 0,
        stop,
        done: this.#fetch(input, stop.signal).finally(() => this.#fetching.delete(name)),
      };
      // It may fail when no call waits for it any more.
      fetching.done.catch(() => undefined);
      this.#fetching.set(name, fetching);
    }
    fetching.waiters++;
    const abandoned = Promise.withResolvers<never>();
    const abandon = () => abandoned.reject(signal.reason as Error);
    signal.addEventListener("abort", abandon, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([fetching.done, abandoned.promise]);
      const fetched = this.#entries.get(name);
      // It was removed at once, to make room for another input.
      if (!fetched) return await this.#obtain(input, signal);
      fetched.usedMs = Date.now();
      fetched.pins++;
    } finally {
      signal.removeEventListener("abort", abandon);
      // The download goes on while at least one call waits for it.
      if (--fetching.waiters === 0) fetching.stop.abort();
    }
  }

  async #fetch(input: CachedInput, signal: AbortSignal): Promise<void> {
    const { sha256, size, pieces, list, url, headers } = input;
    const name = nameOf(input);
    const file = join(this.#dir, name);
    if (!this.#entries.has(name)) await this.evict("bound", size);
    // An entry of an earlier run is hashed here before it is used, and downloaded again when its
    // content is wrong.
    const options = { headers: headers ?? {}, size, signal, retryForMs: INPUT_RETRY_MS };
    if (list) {
      const listed = await fetchPieceList(this.#client, sha256, size, options);
      await downloadPieces(this.#client, file, listed, options);
    } else await downloadTo(this.#client, file, url, { sha256, pieces }, options);
    if (process.platform !== "win32") await chmod(file, 0o444);
    const info = await stat(file);
    this.#entries.set(name, {
      size: info.size,
      usedMs: Date.now(),
      pins: this.#entries.get(name)?.pins ?? 0,
      checkedMtimeMs: wholeMs(info.mtimeMs),
    });
  }
}

/**
 * A modification time in whole milliseconds. `utimes` sets it again from a `Date` together with the
 * time of use, and Node rounds that to the nearest millisecond: a time that is truncated here would
 * differ from it in half of all files.
 */
function wholeMs(mtimeMs: number): number {
  return Math.round(mtimeMs);
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw error;
    // Another disk, or a file system without links.
    await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
}
