/**
 * The disk as a power cut may leave it, made from what `recorder.c` has recorded. Pure.
 *
 * What is assumed of the file system is what journaled ones have in common (ext4, xfs, APFS, NTFS):
 *
 * - Bytes are on the disk when the kernel has answered a sync of their file. Any others may be there or not,
 *   page by page, and the size may be any that the file has had since its last sync.
 * - Names are changed in one order for the whole disk, and a sync of any file or folder takes with it all
 *   changes of names before it. So a file can have its new name, and be empty.
 */
import type { Rng } from "../chaos/rng.ts";

const PAGE_BYTES = 4096;
const HEADER_BYTES = 32;

/** The numbers that `recorder.c` writes. */
export const OPERATIONS = [
  "",
  "write",
  "size",
  "sync",
  "name",
  "rename",
  "exchange",
  "unlink",
  "mkdir",
  "rmdir",
] as const;

export interface Operation {
  what: (typeof OPERATIONS)[number];
  inode: bigint;
  /** Where bytes were written, or the size that was set. */
  offset: number;
  path: string;
  to: string;
  bytes: Buffer;
}

/** The record from byte `from` up to `to`, which is where an operation ends. */
export function* operations(record: Buffer, from: number, to: number): Generator<Operation> {
  for (let at = from; at < to;) {
    const length = record.readUInt32LE(at);
    const pathAt = at + HEADER_BYTES;
    const toAt = pathAt + record.readUInt32LE(at + 24);
    const bytesAt = toAt + record.readUInt32LE(at + 28);
    yield {
      what: OPERATIONS[record.readUInt32LE(at + 4)]!,
      inode: record.readBigUInt64LE(at + 8),
      offset: Number(record.readBigInt64LE(at + 16)),
      path: record.toString("utf8", pathAt, toAt),
      to: record.toString("utf8", toAt, bytesAt),
      bytes: record.subarray(bytesAt, at + length),
    };
    at += length;
  }
}

/** Where each operation of a record ends. A last one that is not whole does not count. */
export function endsOf(record: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 0; at + HEADER_BYTES <= record.length;) {
    at += record.readUInt32LE(at);
    if (at <= record.length) ends.push(at);
  }
  return ends;
}

type Change = { what: "write"; offset: number; bytes: Buffer } | { what: "size"; size: number };

/** What is sure to be on the disk of a file, and what was written after that. */
class File {
  /** Has room for more. What is above the size is zeros. */
  #bytes = Buffer.alloc(0);
  #size = 0;
  readonly since: Change[] = [];

  get synced(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** Everything that was written is on the disk now. */
  sync(): void {
    for (const change of this.since.splice(0)) {
      if (change.what === "size") {
        if (change.size < this.#size) this.#bytes.fill(0, change.size, this.#size);
        this.#reserve(change.size);
        this.#size = change.size;
        continue;
      }
      const end = change.offset + change.bytes.length;
      this.#reserve(end);
      change.bytes.copy(this.#bytes, change.offset);
      this.#size = Math.max(this.#size, end);
    }
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(size, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#size);
    this.#bytes = larger;
  }
}

type Entry = File | "folder";
type Names = Map<string, Entry>;
type NameChange = (names: Names) => void;

/** How much of what was not synced survives: nothing, all, or what chance says. */
export type Luck = "none" | "some" | "all";

/** The state of the disk after a part of the record. Operations are applied in their order. */
export class Disk {
  /** Names as the processes see them. */
  readonly #names: Names = new Map();
  readonly #durableNames: Names = new Map();
  #pending: NameChange[] = [];
  /** The file that has a number now: a number is given again when its file is gone. */
  readonly #inodes = new Map<bigint, File>();

  apply(operation: Operation): void {
    const { what, inode, path, to } = operation;
    switch (what) {
      case "write":
        this.#file(inode).since.push({ what, offset: operation.offset, bytes: operation.bytes });
        return;
      case "size":
        this.#file(inode).since.push({ what, size: operation.offset });
        return;
      case "sync": {
        this.#inodes.get(inode)?.sync();
        for (const change of this.#pending.splice(0)) change(this.#durableNames);
        return;
      }
      case "name":
        return this.#named(path, inode);
      case "rename":
        return this.#change((names) => move(names, path, to));
      case "exchange":
        return this.#change((names) => {
          move(names, path, `${path}\0`);
          move(names, to, path);
          move(names, `${path}\0`, to);
        });
      case "mkdir":
        return this.#change((names) => names.set(path, "folder"));
      case "unlink":
      case "rmdir":
        return this.#change((names) => names.delete(path));
      case "":
        throw new Error("the record holds an operation without a name");
    }
  }

  /** The folders and files that are left when power is cut now. */
  afterCut(rng: Rng, luck: Luck): { folders: string[]; files: Map<string, Buffer> } {
    const names = new Map(this.#durableNames);
    const kept = { none: 0, all: this.#pending.length, some: rng.int(0, this.#pending.length) }[luck];
    for (const change of this.#pending.slice(0, kept)) change(names);
    const folders: string[] = [];
    const files = new Map<string, Buffer>();
    const left = new Map<File, Buffer>();
    for (const [path, entry] of names) {
      if (entry === "folder") folders.push(path);
      else {
        if (!left.has(entry)) left.set(entry, leftOf(entry, rng, luck));
        files.set(path, left.get(entry)!);
      }
    }
    return { folders, files };
  }

  #change(change: NameChange): void {
    change(this.#names);
    this.#pending.push(change);
  }

  #file(inode: bigint): File {
    let file = this.#inodes.get(inode);
    if (!file) this.#inodes.set(inode, (file = new File()));
    return file;
  }

  /** A file was opened by a name, or got one: it may be new, an old one, or an old one's number again. */
  #named(path: string, inode: bigint): void {
    const known = this.#inodes.get(inode);
    if (known && this.#names.get(path) === known) return;
    const isLinked = known && [...this.#names.values()].includes(known);
    const file: File = isLinked ? known : new File();
    this.#inodes.set(inode, file);
    this.#change((names) => names.set(path, file));
  }
}

/** A folder takes what is in it along. */
function move(names: Names, from: string, to: string): void {
  const entry = names.get(from);
  if (entry === undefined) return;
  names.delete(from);
  names.set(to, entry);
  if (entry !== "folder") return;
  const within = [...names].filter(([path]) => path.startsWith(`${from}/`));
  for (const [path, inside] of within) {
    names.delete(path);
    names.set(to + path.slice(from.length), inside);
  }
}

function leftOf(file: File, rng: Rng, luck: Luck): Buffer {
  if (luck === "none") return file.synced;
  const { length } = file.since;
  if (luck === "all") return contentOf(file, length, () => true);
  // A page is written back as it is at some moment: with the first few writes to it, or with none.
  const writes = new Map<number, number>();
  const kept = new Map<number, number>();
  for (const change of file.since)
    if (change.what === "write") for (const page of pagesOf(change)) writes.set(page, (writes.get(page) ?? 0) + 1);
  for (const [page, count] of writes) kept.set(page, rng.int(0, count));
  return contentOf(file, rng.int(0, length), (page) => {
    const left = kept.get(page)!;
    kept.set(page, left - 1);
    return left > 0;
  });
}

function* pagesOf({ offset, bytes }: { offset: number; bytes: Buffer }): Generator<number> {
  const last = Math.floor((offset + bytes.length - 1) / PAGE_BYTES);
  for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++) yield page;
}

/**
 * The content with the size after the first `sizes` changes, and of the writes those pages that survive.
 * `survives` is asked for each page of each write, in their order.
 */
function contentOf({ synced, since }: File, sizes: number, survives: (page: number) => boolean): Buffer {
  if (since.length === 0) return synced;
  let size = synced.length;
  let most = size;
  for (const [i, change] of since.entries()) {
    if (change.what === "write") most = Math.max(most, change.offset + change.bytes.length);
    if (i >= sizes) continue;
    size = change.what === "size" ? change.size : Math.max(size, change.offset + change.bytes.length);
  }
  const content = Buffer.alloc(Math.max(most, size));
  synced.copy(content);
  let end = synced.length;
  for (const [i, change] of since.entries()) {
    if (change.what === "size") {
      // What is cut off reads as zeros when the file grows again.
      if (i < sizes && change.size < end) content.fill(0, change.size, end);
      end = i < sizes ? change.size : end;
      continue;
    }
    for (const page of pagesOf(change)) {
      if (!survives(page)) continue;
      const from = Math.max(change.offset, page * PAGE_BYTES);
      const to = Math.min(change.offset + change.bytes.length, (page + 1) * PAGE_BYTES);
      change.bytes.copy(content, from, from - change.offset, to - change.offset);
      end = Math.max(end, to);
    }
  }
  return content.subarray(0, size);
}
