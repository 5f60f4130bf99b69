/**
 * A file compressed with zstd, read frame by frame. Blender (3.0 and later) stores each MiB as a frame of
 * its own, and a seek table at the end (zstd's "seekable format"), so that any part can be read alone.
 */
import { type Bytes, readStored } from "./bytes.ts";
import { KeptReads } from "./kept-reads.ts";
import { nodeZlib } from "./node-zlib.ts";
import { BlendError, type ByteSource, type StoredFrame } from "./types.ts";
import { decodeZstdBlocks, MAX_BLOCK_BYTES } from "./zstd-decode.ts";

/** First bytes of a zstd frame, little-endian. */
export const ZSTD_MAGIC = 0xfd2fb528;
/** Skippable frames have one of 16 magic numbers. The seek table has the last one but one. */
const SKIPPABLE_MAGIC = 0x184d2a50;
export const isSkippable = (magic: number): boolean => (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
const SEEK_TABLE_MAGIC = 0x184d2a5e;
const SEEKABLE_MAGIC = 0x8f92eab1;
const SEEK_TABLE_FOOTER_BYTES = 9;

/**
 * The largest content of a frame. Blender's have 1 MiB; others are read as a stream. Without a bound, a
 * few stored bytes could ask for all memory.
 */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** So many frames of 1 MiB are 256 GiB. The index of more would take too much memory. */
const MAX_FRAMES = 262_144;
/** Decompressed frames that are kept: what a block and its neighbours lie in. */
const KEPT_BYTES = 4 * 1024 * 1024;

/**
 * Headers of large blocks lie alone in their frames. So much more than a header is decompressed, because small blocks
 * often follow; and a frame of which more than this share is needed is decompressed wholly.
 */
const AHEAD_BYTES = 32 * 1024;
const MOST_OF_A_PART = 0.8;
/**
 * So many frames in a row must have been needed before the next ones are begun with, and so many are then. Fewer
 * would often be for nothing: the parts of one mesh lie in two or three frames, and the next mesh farther back.
 */
const FRAMES_IN_A_ROW = 4;
const FRAMES_AHEAD = 3;
/** zstd's ZSTD_e_continue: the end of the bytes need not be the end of the frame. */
const FLUSH = 0;

/** Where the frames of a file lie, in both the stored and the decompressed file. */
export interface FrameTable {
  frames: StoredFrame[];
  /** Length of the decompressed file. */
  size: number;
}

/**
 * The frames of the file, from its seek table, or else from the frames themselves. Undefined when a frame
 * does not say how long it is, or is too large: then the file must be read as a stream.
 * @throws BlendError for damaged tables and frames.
 */
export async function frameTable(source: ByteSource): Promise<FrameTable | undefined> {
  return (await seekTable(source)) ?? (await scanFrames(source));
}

async function seekTable(source: ByteSource): Promise<FrameTable | undefined> {
  if (source.size < SEEK_TABLE_FOOTER_BYTES + 8) return undefined;
  const footer = viewOf(await readStored(source, source.size - SEEK_TABLE_FOOTER_BYTES, SEEK_TABLE_FOOTER_BYTES));
  if (footer.getUint32(5, true) !== SEEKABLE_MAGIC) return undefined;
  const count = footer.getUint32(0, true);
  const descriptor = footer.getUint8(4);
  const entryBytes = descriptor & 0x80 ? 12 : 8;
  const tableBytes = 8 + count * entryBytes + SEEK_TABLE_FOOTER_BYTES;
  if (count > MAX_FRAMES || tableBytes > source.size || descriptor & 0x7c) return undefined;
  const table = viewOf(await readStored(source, source.size - tableBytes, tableBytes));
  if (table.getUint32(0, true) !== SEEK_TABLE_MAGIC || table.getUint32(4, true) !== tableBytes - 8) return undefined;
  const frames: StoredFrame[] = [];
  let storedOffset = 0;
  let offset = 0;
  for (let entry = 0; entry < count; entry++) {
    const storedSize = table.getUint32(8 + entry * entryBytes, true);
    const size = table.getUint32(12 + entry * entryBytes, true);
    if (size > MAX_FRAME_BYTES || storedSize > 2 * MAX_FRAME_BYTES) return undefined;
    // Other writers may have skippable frames in the table, which hold nothing.
    if (size > 0) frames.push({ storedOffset, storedSize, offset, size });
    storedOffset += storedSize;
    offset += size;
  }
  // A table that does not fit its file is as good as none; the frames tell the truth.
  return storedOffset === source.size - tableBytes ? { frames, size: offset } : undefined;
}

/** Walks the frames by the lengths of their blocks, without decompressing them. */
async function scanFrames(source: ByteSource): Promise<FrameTable | undefined> {
  const frames: StoredFrame[] = [];
  const stored = new StoredWindow(source);
  let storedOffset = 0;
  let offset = 0;
  while (storedOffset < source.size) {
    const header = await stored.at(storedOffset, 18);
    if (header.byteLength < 8) throw truncated();
    const magic = header.getUint32(0, true);
    if (isSkippable(magic)) {
      storedOffset += 8 + header.getUint32(4, true);
      continue;
    }
    if (magic !== ZSTD_MAGIC) throw damaged();
    const frame = frameHeader(header);
    if (frame.contentSize === undefined || frame.contentSize > MAX_FRAME_BYTES) return undefined;
    let end = storedOffset + frame.headerBytes;
    for (let last = false; !last;) {
      const block = await stored.at(end, 3);
      if (block.byteLength < 3) throw truncated();
      const word = block.getUint8(0) | (block.getUint8(1) << 8) | (block.getUint8(2) << 16);
      last = (word & 1) === 1;
      end += 3 + (((word >> 1) & 3) === 1 ? 1 : word >> 3);
    }
    end += frame.checksumBytes;
    if (end > source.size) throw truncated();
    if (frame.contentSize > 0) {
      frames.push({ storedOffset, storedSize: end - storedOffset, offset, size: frame.contentSize });
    }
    if (frames.length > MAX_FRAMES) return undefined;
    storedOffset = end;
    offset += frame.contentSize;
  }
  return { frames, size: offset };
}

/** What the first bytes of a frame say (RFC 8878, section 3.1.1.1). */
export function frameHeader(view: DataView): {
  headerBytes: number;
  checksumBytes: number;
  /** Undefined when the frame does not say it. */
  contentSize: number | undefined;
  /** How far back a match may reach. */
  windowSize: number;
} {
  const byte = (at: number): number => {
    if (at >= view.byteLength) throw truncated();
    return view.getUint8(at);
  };
  const descriptor = byte(4);
  if (descriptor & 8) throw damaged();
  const singleSegment = (descriptor & 32) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  let at = 5;
  let windowSize = 0;
  if (!singleSegment) {
    const window = byte(at++);
    const base = 2 ** (10 + (window >> 3));
    windowSize = base + (base / 8) * (window & 7);
  }
  for (let index = 0; index < dictionaryBytes; index++) {
    if (byte(at++) !== 0)
      throw new BlendError("The file is compressed with a zstd dictionary; Blender cannot read it.");
  }
  let contentSize: number | undefined;
  if (sizeBytes > 0) {
    contentSize = sizeBytes === 2 ? 256 : 0;
    for (let index = 0; index < sizeBytes; index++) contentSize += byte(at + index) * 256 ** index;
    at += sizeBytes;
  }
  if (singleSegment) windowSize = contentSize ?? 0;
  return { headerBytes: at, checksumBytes: descriptor & 4 ? 4 : 0, contentSize, windowSize };
}

const truncated = (): BlendError => new BlendError("The file is truncated: its compressed data ends too early.");

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Small reads of the stored file, from front to back. */
class StoredWindow {
  readonly #source: ByteSource;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Up to `length` bytes; fewer where the file ends. */
  async at(offset: number, length: number): Promise<DataView> {
    const wanted = Math.min(length, this.#source.size - offset);
    if (wanted <= 0) return new DataView(new ArrayBuffer(0));
    if (offset < this.#start || offset + wanted > this.#start + this.#bytes.length) {
      this.#start = offset;
      this.#bytes = await readStored(this.#source, offset, Math.min(65_536, this.#source.size - offset));
    }
    return viewOf(this.#bytes.subarray(offset - this.#start, offset - this.#start + wanted));
  }
}

/**
 * Node's own decoder, where there is one; it is several times as fast. Undefined when it refuses the frame, so
 * that the other one says what is wrong.
 * @param stored the frame, or its beginning when less than `size` is enough
 */
function nativeDecode(stored: Uint8Array, size: number, enough: number): Uint8Array | undefined {
  const decode = nodeZlib?.zstdDecompressSync;
  if (!decode) return undefined;
  try {
    // Of a beginning, the decoder gives the whole blocks. They may be a little more than is expected.
    const chunkSize = Math.max(64, Math.min(size, enough + MAX_BLOCK_BYTES));
    const bytes = decode(stored, { maxOutputLength: size, chunkSize, ...(enough < size && { finishFlush: FLUSH }) });
    return enough < size || bytes.length === size ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Gives the memory of an array back without waiting for the garbage collector, which would let some hundred
 * megabytes come together. Runtimes that cannot do it wait.
 */
function giveBack(bytes: Uint8Array): void {
  const { buffer } = bytes as { buffer: { byteLength: number; transfer?(length: number): unknown } };
  // Small arrays share their memory with others.
  if (buffer.byteLength === bytes.length) buffer.transfer?.(0);
}

/**
 * Frames that are decompressed before they are asked for, by threads of Node's pool. Where there is none, no frame
 * is begun with.
 */
class FramesAhead {
  readonly #source: ByteSource;
  readonly #frames: readonly StoredFrame[];
  readonly #begun = new Map<number, Promise<Uint8Array | undefined>>();

  constructor(source: ByteSource, frames: readonly StoredFrame[]) {
    this.#source = source;
    this.#frames = frames;
  }

  /**
   * The content of a frame that was begun with. Undefined for another one, and for one that failed: what is wrong
   * with it is found when it is read again. Frames before it will not be needed.
   */
  async take(number: number): Promise<Uint8Array | undefined> {
    const content = await this.#begun.get(number);
    for (const [other, begun] of this.#begun) {
      if (other === number) this.#begun.delete(other);
      else if (other < number || other > number + FRAMES_AHEAD) {
        this.#begun.delete(other);
        void begun.then((bytes) => bytes && giveBack(bytes));
      }
    }
    return content;
  }

  /** Begins with the frames from this one on, unless that was done. */
  begin(first: number): void {
    if (!nodeZlib?.zstdDecompress) return;
    for (let number = first, bytes = 0; number < first + FRAMES_AHEAD; number++) {
      const frame = this.#frames[number];
      bytes += frame?.size ?? 0;
      if (!frame || bytes > KEPT_BYTES) return;
      if (!this.#begun.has(number)) this.#begun.set(number, this.#decode(frame));
    }
  }

  async #decode({ storedOffset, storedSize, size }: StoredFrame): Promise<Uint8Array | undefined> {
    try {
      const stored = await readStored(this.#source, storedOffset, storedSize);
      const options = { maxOutputLength: size, chunkSize: Math.max(64, size) };
      return await new Promise((resolve) => {
        nodeZlib!.zstdDecompress!(stored, options, (error, bytes) => {
          giveBack(stored);
          resolve(error || bytes.length !== size ? undefined : bytes);
        });
      });
    } catch {
      return undefined;
    }
  }
}

/** A file of frames. Frames are decompressed when something in them is read, and few are kept. */
export class FramedBytes implements Bytes {
  readonly size: number;
  readonly frames: readonly StoredFrame[];
  readonly #source: ByteSource;
  /** Decompressed frames, or their beginnings, by number, the newest last. */
  readonly #kept = new Map<number, Uint8Array>();
  #keptBytes = 0;
  /** Frames of which a part was decompressed, and those of which more was needed later. */
  #parts = 0;
  #misses = 0;
  readonly #ahead: FramesAhead;
  /** The last frame that was loaded, and how many before it followed each other. */
  #last = -1;
  #inARow = 0;
  readonly #small = new KeptReads();

  constructor(source: ByteSource, table: FrameTable) {
    this.#source = source;
    this.frames = table.frames;
    this.size = table.size;
    this.#ahead = new FramesAhead(source, table.frames);
  }

  read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - offset));
    if (wanted === 0) return new Uint8Array(0);
    const number = this.#frameAt(offset);
    const frame = this.frames[number]!;
    const decoded = this.#kept.get(number);
    if (decoded && offset + wanted <= frame.offset + decoded.length) return this.#part(decoded, frame, offset, wanted);
    const small = this.#small.find(offset, wanted);
    if (small) return small;
    if (offset + wanted > frame.offset + frame.size) return this.#acrossFrames(offset, wanted, number);
    return this.#load(number, offset + wanted - frame.offset).then((all) => this.#part(all, frame, offset, wanted));
  }

  /** A copy, so that the memory of the frame can be given back at once. */
  #part(decoded: Uint8Array, frame: StoredFrame, offset: number, wanted: number): Uint8Array {
    const start = offset - frame.offset;
    return decoded.slice(start, start + wanted);
  }

  async #acrossFrames(offset: number, wanted: number, first: number): Promise<Uint8Array> {
    const result = new Uint8Array(wanted);
    for (let number = first, done = 0; done < wanted; number++) {
      const frame = this.frames[number]!;
      const length = Math.min(wanted - done, frame.offset + frame.size - offset - done);
      const end = offset + done + length - frame.offset;
      const kept = this.#kept.get(number);
      const bytes = kept && kept.length >= end ? kept : await this.#load(number, end);
      const part = this.#part(bytes, frame, offset + done, length);
      result.set(part, done);
      done += part.length;
    }
    return result;
  }

  /** Number of the frame that holds this byte, by bisection. */
  #frameAt(offset: number): number {
    let low = 0;
    let high = this.frames.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.frames[middle]!.offset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  keep(offset: number, bytes: Uint8Array): void {
    this.#small.keep(offset, bytes);
  }

  /**
   * Decompresses a frame, or so much of it that it has the first `enough` bytes.
   * @throws BlendError for damaged data.
   */
  async #load(number: number, enough: number): Promise<Uint8Array> {
    const frame = this.frames[number]!;
    const before = this.#kept.get(number);
    // More of a frame is needed than was decompressed of it.
    if (before) {
      this.#forget(number, before);
      this.#misses++;
    }
    const ahead = await this.#ahead.take(number);
    const wanted = enough + AHEAD_BYTES;
    // A part that was too little costs as much as it saves where it was enough.
    const mayBePart = !ahead && !before && wanted < frame.size * MOST_OF_A_PART && this.#misses * 2 <= this.#parts + 4;
    if (mayBePart) this.#parts++;
    let bytes = ahead;
    if (mayBePart) bytes ??= await this.#decode(frame, wanted);
    bytes ??= await this.#decode(frame, frame.size);
    if (!bytes || bytes.length < enough) throw damaged();
    // A file is read from front to back. Where that needs frame after frame, the next ones are begun with.
    if (!before) this.#inARow = number === this.#last + 1 ? this.#inARow + 1 : 0;
    this.#last = number;
    if (bytes.length === frame.size && this.#inARow >= FRAMES_IN_A_ROW) this.#ahead.begin(number + 1);
    this.#kept.set(number, bytes);
    this.#keptBytes += bytes.length;
    // The oldest goes first. Files are read in their order, so that is the one that is not needed.
    for (const [old, oldBytes] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES || old === number) break;
      this.#forget(old, oldBytes);
    }
    return bytes;
  }

  /** The first `wanted` bytes of a frame, and some more; undefined when a part of the stored frame was too little. */
  async #decode(frame: StoredFrame, wanted: number): Promise<Uint8Array | undefined> {
    const isWhole = wanted >= frame.size;
    // Nothing says where a block of the content lies in the stored frame. Most frames are alike from end to end.
    const estimate = Math.ceil((frame.storedSize * wanted) / frame.size) + MAX_BLOCK_BYTES;
    const length = isWhole ? frame.storedSize : Math.min(frame.storedSize, estimate);
    const stored = await readStored(this.#source, frame.storedOffset, length);
    const view = viewOf(stored);
    if (view.byteLength < 8 || view.getUint32(0, true) !== ZSTD_MAGIC) throw damaged();
    const { headerBytes, contentSize } = frameHeader(view);
    if (contentSize !== undefined && contentSize !== frame.size) throw damaged();
    const bytes =
      nativeDecode(stored, frame.size, wanted) ?? decodeZstdBlocks(stored.subarray(headerBytes), frame.size, wanted);
    giveBack(stored);
    return bytes.length >= wanted ? bytes : undefined;
  }

  #forget(number: number, bytes: Uint8Array): void {
    this.#kept.delete(number);
    this.#keptBytes -= bytes.length;
    giveBack(bytes);
  }
}

const damaged = (): BlendError => new BlendError("The zstd data of the file is damaged.");
