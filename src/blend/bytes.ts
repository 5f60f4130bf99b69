/** The decompressed bytes of a file, whatever stores them. */
import { BlendError, type ByteSource } from "./types.ts";

/**
 * Bytes of the decompressed file. What is at hand is answered at once, because a scene has hundreds of
 * thousands of blocks, and a promise for each would take most of the time.
 */
export interface Bytes {
  /** Length of the decompressed file; undefined while a stream has not been read to its end. */
  readonly size: number | undefined;
  /** Keeps what was read from `offset` on. Only where reading it again would cost time. */
  keep?(offset: number, bytes: Uint8Array): void;
  /** Exactly `length` bytes, or fewer where the file ends. The caller must not write into them. */
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
}

/** Reads all of `length` bytes. @throws BlendError if the file ends before. */
export async function readWhole(bytes: Bytes, offset: number, length: number): Promise<Uint8Array> {
  const found = await bytes.read(offset, length);
  if (found.length < length) throw new BlendError("The file is truncated: it ends in the middle of a block.");
  return found;
}

/** The least and the most that is read of an uncompressed file at once. Neighbours are read ahead. */
const SMALLEST_PAGE = 16 * 1024;
const LARGEST_PAGE = 256 * 1024;
/** Pages that are kept: those of a block, and of what it points to. 4 MiB at most. */
const PAGES_KEPT = 16;

interface Page {
  offset: number;
  bytes: Uint8Array;
}

/** An uncompressed file: reads in pages, larger ones while it is read from front to back. */
export class PlainBytes implements Bytes {
  readonly size: number;
  readonly #source: ByteSource;
  #pages: Page[] = [];
  #pageSize = SMALLEST_PAGE;
  #end = 0;

  constructor(source: ByteSource) {
    this.#source = source;
    this.size = source.size;
  }

  read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - offset));
    if (wanted === 0) return new Uint8Array(0);
    for (let at = 0; at < this.#pages.length; at++) {
      const page = this.#pages[at]!;
      const start = offset - page.offset;
      if (start >= 0 && start + wanted <= page.bytes.length) {
        if (at > 0) {
          this.#pages.splice(at, 1);
          this.#pages.unshift(page);
        }
        return page.bytes.subarray(start, start + wanted);
      }
    }
    return this.#load(offset, wanted);
  }

  async #load(offset: number, wanted: number): Promise<Uint8Array> {
    const follows = offset >= this.#end - this.#pageSize && offset <= this.#end;
    this.#pageSize = follows ? Math.min(LARGEST_PAGE, this.#pageSize * 2) : SMALLEST_PAGE;
    const length = Math.min(Math.max(this.#pageSize, wanted), this.size - offset);
    const bytes = await readStored(this.#source, offset, length);
    this.#end = offset + length;
    // A large array is given out and not kept, so that it does not push all others out.
    if (length <= LARGEST_PAGE) {
      this.#pages.unshift({ offset, bytes });
      this.#pages.length = Math.min(this.#pages.length, PAGES_KEPT);
    }
    return bytes.subarray(0, wanted);
  }
}

/** Bytes of the stored file. @throws BlendError if the source has fewer than it said. */
export async function readStored(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length);
  if (bytes.length !== length) throw new BlendError("The file became shorter while it was read.");
  return bytes;
}
