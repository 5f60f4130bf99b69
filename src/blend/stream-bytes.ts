/**
 * Bytes of a file that can only be decompressed from its beginning: gzip (Blender up to 2.93), and zstd
 * without frames of a bounded size.
 */
import { type Bytes, readStored } from "./bytes.ts";
import { KeptReads } from "./kept-reads.ts";
import { BlendError, type ByteSource } from "./types.ts";
import { decodeRun } from "./zstd-run.ts";

/** The stream is cut into slabs, which hold whole pages. */
const SLAB_BYTES = 256 * 1024;
/**
 * A few stored bytes can stand for gigabytes of zeros. No scene of 8 GiB is compressed as one stream: it
 * would take Blender a minute to open.
 */
const MAX_STREAM_BYTES = 8 * 1024 ** 3;
/** The reader looks at the file in order, so it needs two passes, and few more for data far back. */
const MAX_PASSES = 8;

/** A part of the stored file that is given to the decompressor at once. */
const STORED_CHUNK = 1024 * 1024;

/** The decompressed file from its beginning. Each call of `start` decompresses it anew. */
export class StreamBytes implements Bytes {
  size: number | undefined;
  readonly #start: () => AsyncIterator<Uint8Array>;
  readonly #kept = new KeptReads();
  #passes = 0;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  /** What came of the stream after the slab. */
  #rest: Uint8Array = new Uint8Array(0);
  #slab: Uint8Array = new Uint8Array(0);
  #slabStart = 0;
  #ended = false;

  constructor(start: () => AsyncIterator<Uint8Array>) {
    this.#start = start;
  }

  read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const start = offset - this.#slabStart;
    if (start >= 0 && start + length <= this.#slab.length) {
      return this.#slab.subarray(start, start + length);
    }
    return this.#kept.find(offset, length) ?? this.#fromStream(offset, length);
  }

  /** Ends the stream; no more can be read but what is kept, until a pass begins anew. */
  async close(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    this.#slab = new Uint8Array(0);
    this.#rest = new Uint8Array(0);
    this.#slabStart = 0;
    await chunks?.return?.();
  }

  async #fromStream(offset: number, length: number): Promise<Uint8Array> {
    if (!this.#chunks || offset < this.#slabStart) await this.#restart();
    while (offset >= this.#slabStart + this.#slab.length && !this.#ended) await this.#next();
    const first = this.#part(offset, length);
    if (first.length === length) return first;
    const parts = [first];
    let found = first.length;
    while (found < length && !this.#ended) {
      await this.#next();
      const part = this.#part(offset + found, length - found);
      parts.push(part);
      found += part.length;
    }
    const joined = new Uint8Array(found);
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  #part(offset: number, length: number): Uint8Array {
    const start = Math.max(0, offset - this.#slabStart);
    return this.#slab.subarray(start, start + length);
  }

  keep(offset: number, bytes: Uint8Array): void {
    this.#kept.keep(offset, bytes);
  }

  async #restart(): Promise<void> {
    await this.close();
    if (++this.#passes > MAX_PASSES) throw new BlendError("The file's data lies in too unusual an order to be read.");
    this.#chunks = this.#start();
    this.#ended = false;
  }

  async #next(): Promise<void> {
    const slab = new Uint8Array(SLAB_BYTES);
    let filled = 0;
    this.#slabStart += this.#slab.length;
    while (filled < SLAB_BYTES) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks!.next();
        if (next.done) {
          this.#ended = true;
          this.size = this.#slabStart + filled;
          break;
        }
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, SLAB_BYTES - filled);
      slab.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    this.#slab = slab.subarray(0, filled);
    if (this.#slabStart + filled > MAX_STREAM_BYTES) {
      throw new BlendError("The decompressed file has more than 8 GiB; save it without compression.");
    }
  }
}

/** A gzip file by the runtime's own decompressor. */
export async function* gunzip(source: ByteSource): AsyncGenerator<Uint8Array> {
  let at = 0;
  const stored = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const length = Math.min(STORED_CHUNK, source.size - at);
      if (length <= 0) {
        controller.close();
        return;
      }
      // DecompressionStream takes arrays over plain memory only.
      controller.enqueue((await readStored(source, at, length)) as Uint8Array<ArrayBuffer>);
      at += length;
    },
  });
  const reader = stored.pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    for (;;) {
      const next = await reader.read().catch((cause: unknown) => {
        if (cause instanceof BlendError) throw cause;
        throw new BlendError("The file's gzip data is damaged or truncated.", { cause });
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // An error of the stream was told by read().
    await reader.cancel().catch(() => undefined);
  }
}

/** A zstd file of any frames. */
export const unzstd = (source: ByteSource): AsyncGenerator<Uint8Array> => decodeRun(source);
