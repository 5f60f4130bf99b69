/**
 * The cache of inputs, by content: each is downloaded once, verified by hash, and shared by all
 * slots; least recently used ones are removed at a bound.
 *
 * A lease gets a file of its own: a clone where the file system shares blocks until they are written
 * (APFS, Btrfs, XFS, ReFS), else a copy. Through a hard link, a program could change the bytes that
 * later leases get. Only leases that run no code of a submitter get links, and only where a copy would
 * take too long or does not fit: their programs open inputs for reading, and the files are read-only.
 */
import { constants, createReadStream, createWriteStream, rmSync } from "node:fs";
import { chmod, copyFile, link, mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { downloadPieces, downloadTo, fetchPieceList, keepHalfFiles } from "../client/download.ts";
import type { ManagerClient } from "../client/manager-client.ts";
import { deferred } from "../lib/deferred.ts";
import { systemCode } from "../lib/errors.ts";
import { PIECE_LIST_HEADER } from "../protocol/piece-list.ts";
import { whenAborted } from "./lease-renewer.ts";
import { isDiskFull } from "./release-lease.ts";

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
  /** With the grant of the lease that wants it, the newest one at each call. */
  headers?: () => Record<string, string>;
}

interface Entry {
  size: number;
  usedMs: number;
  /** How many calls are about to copy it: it must not be removed meanwhile. */
  pins: number;
  /**
   * Modification time in whole ms when its hash was last checked: a process that wrote through a
   * link changes it.
   */
  checkedMtimeMs: number | undefined;
}

interface Fetching {
  done: Promise<void>;
  /**
   * What the leases that wait for it want. Each request goes out under the grant of the first: the
   * one that began may be over. All have the same content and the same `url`.
   */
  waiters: CachedInput[];
  stop: AbortController;
}

/** What a file in the cache is called. It says of which content the file is, and how it is verified. */
const NAME = /^[0-9a-f]{64}(-whole)?$/;

/** A piece list and the file it stands for have the same hash, and are different files. */
function nameOf({ sha256, list, pieces }: Pick<CachedInput, "sha256" | "list" | "pieces">): string {
  return list || pieces !== undefined ? `${pieces ?? sha256}-whole` : sha256;
}

/**
 * Whether a lease may get a hard link to the cached file, where it cannot be cloned: never; when the
 * disk has no room for a copy; or rather than a copy.
 */
export type Links = "never" | "if full" | "rather";

/** Errors of a file that another program holds on Windows. */
const IN_USE = ["EBUSY", "EPERM", "EACCES"];

/**
 * A copy of a file above this size can be broken off. A stopping agent gives its frames back within 2 s
 * (P5).
 */
const ABORTABLE_BYTES = 64 * 1024 ** 2;

export class InputCache {
  /** The file system has refused to clone a file. */
  #clonesNot = false;
  readonly #remove: (file: string) => void;
  readonly #dir: string;
  readonly #maxBytes: number;
  readonly #client: ManagerClient;
  readonly #entries = new Map<string, Entry>();
  readonly #fetching = new Map<string, Fetching>();

  private constructor(dir: string, maxBytes: number, client: ManagerClient, remove: (file: string) => void) {
    this.#remove = remove;
    this.#dir = dir;
    this.#maxBytes = maxBytes;
    this.#client = client;
  }

  /**
   * Open the cache with what an earlier run left in it. Half downloads stay, and are resumed when
   * they are wanted. `remove` removes a file.
   */
  static async open(
    dir: string,
    maxBytes: number,
    client: ManagerClient,
    remove: (file: string) => void = (file) => rmSync(file, { force: true }),
  ): Promise<InputCache> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    // The agent holds the lock of its name, and so of this folder.
    await keepHalfFiles(dir);
    const cache = new InputCache(dir, maxBytes, client, remove);
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
  async place(input: CachedInput, target: string, signal: AbortSignal, links: Links = "never"): Promise<void> {
    await mkdir(dirname(target), { recursive: true });
    await this.#obtain(input, signal);
    const source = join(this.#dir, nameOf(input));
    try {
      await this.#give(source, target, input.size, signal, links);
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
      try {
        this.#remove(join(this.#dir, name));
      } catch (error) {
        // On Windows a renderer may have it open, through a link. It still takes its room.
        this.#entries.set(name, entry);
        if (!IN_USE.includes(systemCode(error) ?? "")) throw error;
        continue;
      }
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

  /** Give a lease the file at `source`, as it was checked. */
  async #give(source: string, target: string, size: number, signal: AbortSignal, links: Links): Promise<void> {
    if (!this.#clonesNot) {
      try {
        return await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
      } catch (error) {
        if (systemCode(error) === "EEXIST" || isDiskFull(error)) throw error;
        // The error differs by system (ENOTSUP, EXDEV, EINVAL, ENOSYS); any other is met again below.
        this.#clonesNot = true;
      }
    }
    if (links === "rather" && (await linked(source, target))) return;
    try {
      await copy(source, target, size, signal);
    } catch (error) {
      if (links === "never" || !isDiskFull(error) || !(await linked(source, target))) throw error;
    }
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
    if (fetching && (fetching.stop.signal.aborted || fetching.waiters[0]?.url !== input.url)) {
      // A download that was given up must have closed the half file before a new one resumes it. One
      // from another address goes by the grant of another task, and may bring the content.
      await Promise.race([fetching.done.catch(() => undefined), whenAborted(signal)]);
      return await this.#obtain(input, signal);
    }
    if (!fetching) {
      const stop = new AbortController();
      const waiters: CachedInput[] = [];
      const headers = (): Record<string, string> => waiters[0]?.headers?.() ?? {};
      fetching = {
        waiters,
        stop,
        done: this.#fetch(input, headers, stop.signal).finally(() => this.#fetching.delete(name)),
      };
      // It may fail when no call waits for it any more.
      fetching.done.catch(() => undefined);
      this.#fetching.set(name, fetching);
    }
    fetching.waiters.push(input);
    const abandoned = deferred<never>();
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
      fetching.waiters.splice(fetching.waiters.indexOf(input), 1);
      if (fetching.waiters.length === 0) fetching.stop.abort();
    }
  }

  async #fetch(
    { sha256, size, pieces, list, url }: CachedInput,
    headers: () => Record<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const name = nameOf({ sha256, list, pieces });
    const file = join(this.#dir, name);
    if (!this.#entries.has(name)) await this.evict("bound", size);
    // An entry of an earlier run is hashed here before it is used, and downloaded again when its
    // content is wrong.
    const options = { headers, size, signal, retryForMs: INPUT_RETRY_MS };
    if (list) {
      const listed = await fetchPieceList(this.#client, sha256, size, options);
      // The task names the list, and not the pieces.
      const ofList = () => ({ ...headers(), [PIECE_LIST_HEADER]: sha256 });
      await downloadPieces(this.#client, file, listed, { ...options, headers: ofList });
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

/** Make a hard link; false where there can be none: another disk, or a file system without links. */
async function linked(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") throw error;
    return false;
  }
}

/** A copy with the same mode; `target` must not exist, and is removed when the copy fails. */
async function copy(source: string, target: string, size: number, signal: AbortSignal): Promise<void> {
  if (size <= ABORTABLE_BYTES) return await copyFile(source, target, constants.COPYFILE_EXCL);
  const { mode } = await stat(source);
  const to = createWriteStream(target, { flags: "wx", mode });
  try {
    await pipeline(createReadStream(source, { highWaterMark: 1024 * 1024 }), to, { signal });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") await rm(target, { force: true });
    signal.throwIfAborted();
    throw error;
  }
}
