/** Decompression of a zstd file from front to back, for frames of unknown or large size. */
import { readStored } from "./bytes.ts";
import { BlendError, type ByteSource } from "./types.ts";
import { MAX_BLOCK_BYTES, ZstdBlocks } from "./zstd-decode.ts";
import { frameHeader, isSkippable, ZSTD_MAGIC } from "./zstd-frames.ts";

/** zstd's command line uses 8 MiB at its highest usual level. More is asked for by `--long` and `--ultra`. */
const MAX_WINDOW_BYTES = 32 * 1024 * 1024;
/** Content that is collected before the window is moved. */
const SLACK_BYTES = 2 * 1024 * 1024;

/** The content of all frames, in chunks. @throws BlendError for damaged data, and for windows above 32 MiB. */
export async function* decodeRun(source: ByteSource): AsyncGenerator<Uint8Array> {
  const stored = new StoredReader(source);
  while (stored.at < source.size) {
    const view = await stored.peek(18);
    if (view.byteLength < 8) throw truncated();
    const magic = view.getUint32(0, true);
    if (isSkippable(magic)) {
      stored.at += 8 + view.getUint32(4, true);
      continue;
    }
    if (magic !== ZSTD_MAGIC) throw new BlendError("The zstd data of the file is damaged.");
    const header = frameHeader(view);
    stored.at += header.headerBytes;
    yield* decodeFrame(stored, Math.max(1024, header.windowSize));
    stored.at += header.checksumBytes;
  }
}

async function* decodeFrame(stored: StoredReader, windowSize: number): AsyncGenerator<Uint8Array> {
  if (windowSize > MAX_WINDOW_BYTES) {
    throw new BlendError("The file is compressed with a zstd window above 32 MiB; save it again with Blender.");
  }
  const blocks = new ZstdBlocks();
  const out = new Uint8Array(windowSize + SLACK_BYTES);
  let position = 0;
  for (let last = false; !last;) {
    const header = await stored.peek(3);
    if (header.byteLength < 3) throw truncated();
    const word = header.getUint8(0) | (header.getUint8(1) << 8) | (header.getUint8(2) << 16);
    last = (word & 1) === 1;
    const type = (word >> 1) & 3;
    const length = word >> 3;
    if (length > MAX_BLOCK_BYTES || type === 3) throw new BlendError("The zstd data of the file is damaged.");
    stored.at += 3;
    const bytes = await stored.take(type === 1 ? 1 : length);
    if (position + MAX_BLOCK_BYTES > out.length) {
      out.copyWithin(0, position - windowSize, position);
      position = windowSize;
    }
    const start = position;
    if (type === 2) position = blocks.decode(bytes, 0, length, out, position);
    else {
      if (type === 0) out.set(bytes.subarray(0, length), position);
      else out.fill(bytes[0]!, position, position + length);
      position += length;
    }
    if (position > start) yield out.slice(start, position);
  }
}

const truncated = (): BlendError => new BlendError("The file is truncated: its compressed data ends too early.");

/** Reads the stored file in order. */
class StoredReader {
  at = 0;
  readonly #source: ByteSource;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Up to `length` bytes from here; fewer where the file ends. */
  async peek(length: number): Promise<DataView> {
    const wanted = Math.min(length, this.#source.size - this.at);
    if (wanted <= 0) return new DataView(new ArrayBuffer(0));
    if (this.at < this.#start || this.at + wanted > this.#start + this.#bytes.length) {
      this.#start = this.at;
      const size = Math.max(0, Math.min(Math.max(1024 * 1024, wanted), this.#source.size - this.at));
      this.#bytes = await readStored(this.#source, this.at, size);
    }
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.at - this.#start, wanted);
  }

  /** Exactly `length` bytes and four zero bytes, which the bit readers may look at. */
  async take(length: number): Promise<Uint8Array> {
    const view = await this.peek(length);
    if (view.byteLength < length) throw truncated();
    const bytes = new Uint8Array(length + 4);
    bytes.set(new Uint8Array(view.buffer, view.byteOffset, length));
    this.at += length;
    return bytes;
  }
}
