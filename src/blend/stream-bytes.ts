/**
 * Bytes of a file that can only be decompressed from its beginning: gzip (Blender up to 2.93), and zstd
 * without frames of a bounded size.
 */
import { type Bytes, readStored } from "./bytes.ts";
import { KeptReads } from "./kept-reads.ts";
import { nodeStreams, nodeZlib } from "./node-zlib.ts";
import { BlendError, type ByteSource } from "./types.ts";
import { decodeRun } from "./zstd-run.ts";

/** The stream is cut into slabs, which hold whole pages. */
const SLAB_BYTES = 64 * 1024;
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
  readonly #memory = new Uint8Array(SLAB_BYTES);
  /** What the memory holds now. */
  #slab: Uint8Array = new Uint8Array(0);
  #slabStart = 0;
  #ended = false;

  constructor(start: () => AsyncIterator<Uint8Array>) {
    this.#start = start;
  }

  read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const start = offset - this.#slabStart;
    if (start >= 0 && start + length <= this.#slab.length) {
      return this.#slab.slice(start, start + length);
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

  /** A copy, because the slab is used again. */
  #part(offset: number, length: number): Uint8Array {
    const start = Math.max(0, offset - this.#slabStart);
    return this.#slab.slice(start, start + length);
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
    // One slab serves the whole stream: so much garbage would come together that it is seen in the memory.
    const slab = this.#memory;
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

/** The content of a gzip file. @throws BlendError for damaged data. */
export async function* gunzip(source: ByteSource): AsyncGenerator<Uint8Array> {
  try {
    if (nodeZlib && nodeStreams) yield* gunzipByNode(source, nodeZlib, nodeStreams);
    else yield* gunzipByBrowser(source);
  } catch (cause) {
    if (cause instanceof BlendError) throw cause;
    throw new BlendError("The file's gzip data is damaged or truncated.", { cause });
  }
}

/** By a thread of Node's pool, which decompresses the next chunk while this one is looked at. */
async function* gunzipByNode(
  source: ByteSource,
  zlib: NonNullable<typeof nodeZlib>,
  streams: NonNullable<typeof nodeStreams>,
): AsyncGenerator<Uint8Array> {
  const content = zlib.createGunzip({ chunkSize: SLAB_BYTES });
  // Errors of the source and of the decompressor come out of the iteration.
  streams.pipeline(storedChunks(source), content, () => undefined);
  yield* content;
}

/** By what browsers have. */
async function* gunzipByBrowser(source: ByteSource): AsyncGenerator<Uint8Array> {
  const chunks = storedChunks(source);
  const stored = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      // DecompressionStream takes arrays over plain memory only.
      else controller.enqueue(next.value as Uint8Array<ArrayBuffer>);
    },
  });
  const reader = stored.pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    // An error of the stream was told by read().
    await reader.cancel().catch(() => undefined);
  }
}

/** The stored file from its beginning. */
async function* storedChunks(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.size; at += STORED_CHUNK) {
    yield await readStored(source, at, Math.min(STORED_CHUNK, source.size - at));
  }
}

/** A zstd file of any frames. */
export const unzstd = (source: ByteSource): AsyncGenerator<Uint8Array> => decodeRun(source);
