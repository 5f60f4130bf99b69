/**
 * PNG (https://www.w3.org/TR/png-3/): the chunks and their checksums, and the pixels as far as needed. All are
 * inflated, because nothing else tells that none is missing. They are compared until one differs, which in nearly
 * every picture is in the first rows. Of interlaced pictures only the chunks are looked at.
 */
import zlib, { createInflate } from "node:zlib";
import { crc32 } from "../lib/crc32.ts";
import { brokenPicture, MAX_PIXEL_BYTES, wholePicture, type PictureFacts } from "./picture.ts";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const [IHDR, IDAT, IEND] = [0x49484452, 0x49444154, 0x49454e44];
/** The bit of a chunk's name that is set when the picture can be shown without the chunk. */
const ANCILLARY = 0x20000000;
/** Inflated pixels of one step: a thread of Node's pool makes the next ones while these are looked at. */
const INFLATED_BYTES = 256 * 1024;
/** Writers cut the pixels into chunks of 8 kB, each of which would take a way to the pool and back. */
const DEFLATED_BYTES = 1024 * 1024;

/**
 * Colours are not compared in wider and in higher pictures, which no renderer makes: memory for some rows is needed,
 * and some time for each.
 */
const MAX_ROW_BYTES = 4 * 1024 * 1024;
const MAX_ROWS = 1024 * 1024;

/** Node's own CRC-32 where it has one (20.15, 22.2 and newer): it takes a twentieth of the time. */
const crc = (zlib as { crc32?: typeof crc32 }).crc32 ?? crc32;

/** Channels by colour type; other types are not allowed. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Whether the bytes begin as a PNG. */
export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/** The facts of a PNG. Never rejects. */
export async function lookAtPng(bytes: Uint8Array): Promise<PictureFacts> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || view.getUint32(12) !== IHDR) return brokenPicture("PNG", "it ends in its header");
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  const [depth, type, interlaced] = [bytes[24]!, bytes[25]!, bytes[28] !== 0];
  const channels = CHANNELS[type];
  if (channels === undefined || size.width === 0 || size.height === 0 || ![1, 2, 4, 8, 16].includes(depth))
    return brokenPicture("PNG", "its header is none", size);
  const parts: Uint8Array[] = [];
  let at = 8;
  let ended = false;
  while (at + 12 <= bytes.length && !ended) {
    const length = view.getUint32(at);
    const kind = view.getUint32(at + 4);
    const end = at + 8 + length;
    if (end + 4 > bytes.length) break;
    if ((kind & ANCILLARY) === 0 && crc(bytes.subarray(at + 4, end)) !== view.getUint32(end))
      return brokenPicture("PNG", "its bytes were changed since it was written", size);
    if (kind === IDAT) parts.push(bytes.subarray(at + 8, end));
    ended = kind === IEND;
    at = end + 4;
  }
  if (!ended) return brokenPicture("PNG", "it ends before its end mark", size);
  const row = Math.ceil((size.width * channels * depth) / 8) + 1;
  const all = row * size.height;
  if (all > MAX_PIXEL_BYTES || interlaced) return wholePicture("PNG", size);
  const look = row <= MAX_ROW_BYTES && size.height <= MAX_ROWS ? new RowLook(row, channels, depth) : null;
  let found = 0;
  try {
    for await (const pixels of inflated(parts)) {
      found += pixels.length;
      if (found > all) return brokenPicture("PNG", "it has more pixels than its header says", size);
      look?.add(pixels);
    }
  } catch {
    return brokenPicture("PNG", "its pixels cannot be unpacked", size);
  }
  if (found < all) return brokenPicture("PNG", "it has fewer pixels than its header says", size);
  return wholePicture("PNG", size, { oneColour: look?.oneColour ?? null });
}

/** What was deflated, in chunks. Rejects where it is damaged, or ends before its end. */
async function* inflated(parts: readonly Uint8Array[]): AsyncGenerator<Buffer> {
  const inflate = createInflate({ chunkSize: INFLATED_BYTES });
  const deflated = Buffer.concat(parts);
  for (let at = 0; at < deflated.length; at += DEFLATED_BYTES)
    inflate.write(deflated.subarray(at, at + DEFLATED_BYTES));
  inflate.end();
  yield* inflate as AsyncIterable<Buffer>;
}

/**
 * Whether rows of pixels, of which each begins with its filter, have one colour. One step of 8 bits is no difference:
 * Blender's dither spreads a dark colour over two. Pixels of less than a byte are compared by their bytes, which is
 * right for all but a row's last ones.
 */
class RowLook {
  /** False once a pixel differs; the rows after it are not looked at. */
  oneColour = true;
  readonly #row: number;
  /** Bytes of a pixel, of a value, and the largest difference of two. */
  readonly #step: number;
  readonly #bytes: 1 | 2;
  readonly #tolerance: number;
  /** The row whose end comes with the next chunk, and how much of it is there. */
  readonly #begun: Uint8Array;
  #filled = 0;
  /** The last row as it was stored, and with the one above it as it was filtered. */
  readonly #stored: Uint8Array;
  #line: Uint8Array;
  #above: Uint8Array;
  /** The last row is as the one above it. */
  #isAlike = false;
  readonly #lowest: number[];
  readonly #highest: number[];

  constructor(row: number, channels: number, depth: number) {
    this.#row = row;
    this.#step = (channels * depth) >> 3 || 1;
    this.#bytes = depth === 16 ? 2 : 1;
    this.#tolerance = depth === 16 ? 257 : depth === 8 ? 1 : 0;
    this.#begun = new Uint8Array(row);
    this.#stored = new Uint8Array(row);
    this.#line = new Uint8Array(row - 1);
    this.#above = new Uint8Array(row - 1);
    this.#lowest = Array.from({ length: this.#step / this.#bytes }, () => Infinity);
    this.#highest = Array.from({ length: this.#step / this.#bytes }, () => -Infinity);
  }

  /** Look at the rows that these bytes complete. */
  add(pixels: Uint8Array): void {
    if (!this.oneColour) return;
    let at = 0;
    if (this.#filled > 0) {
      at = this.#begin(pixels);
      if (this.#filled < this.#row) return;
      this.#filled = 0;
      this.oneColour = this.#isSame(this.#begun);
    }
    for (; this.oneColour && at + this.#row <= pixels.length; at += this.#row)
      this.oneColour = this.#isSame(pixels.subarray(at, at + this.#row));
    if (this.oneColour) this.#begin(pixels.subarray(at));
  }

  /** Keep so many of these bytes as belong to the row that was begun. @returns how many */
  #begin(pixels: Uint8Array): number {
    const part = pixels.subarray(0, this.#row - this.#filled);
    this.#begun.set(part, this.#filled);
    this.#filled += part.length;
    return part.length;
  }

  /** Undo the filter of a row, and compare its pixels with those before. */
  #isSame(stored: Uint8Array): boolean {
    // The same bytes below two rows that are alike make the same row again. So it is where all is one colour.
    if (this.#isAlike && Buffer.compare(stored, this.#stored) === 0) return true;
    [this.#above, this.#line] = [this.#line, this.#above];
    const line = this.#line;
    if (!unfilter(stored, line, this.#above, this.#step)) return false;
    this.#isAlike = Buffer.compare(line, this.#above) === 0;
    this.#stored.set(stored);
    if (this.#isAlike && this.#lowest[0] !== Infinity) return true;
    for (let x = 0, channel = 0; x < line.length; x += this.#bytes) {
      const value = this.#bytes === 2 ? (line[x]! << 8) | line[x + 1]! : line[x]!;
      if (value < this.#lowest[channel]!) this.#lowest[channel] = value;
      if (value > this.#highest[channel]!) this.#highest[channel] = value;
      if (this.#highest[channel]! - this.#lowest[channel]! > this.#tolerance) return false;
      channel = channel + 1 === this.#lowest.length ? 0 : channel + 1;
    }
    return true;
  }
}

/** Undo the filter of a row, which is its first byte; false for a filter that does not exist. */
function unfilter(stored: Uint8Array, line: Uint8Array, above: Uint8Array, step: number): boolean {
  const length = line.length;
  switch (stored[0]) {
    case 0:
      line.set(stored.subarray(1));
      return true;
    case 1:
      for (let x = 0; x < length; x++) line[x] = stored[x + 1]! + (x < step ? 0 : line[x - step]!);
      return true;
    case 2:
      for (let x = 0; x < length; x++) line[x] = stored[x + 1]! + above[x]!;
      return true;
    case 3:
      for (let x = 0; x < length; x++) line[x] = stored[x + 1]! + (((x < step ? 0 : line[x - step]!) + above[x]!) >> 1);
      return true;
    case 4:
      for (let x = 0; x < step && x < length; x++) line[x] = stored[x + 1]! + above[x]!;
      for (let x = step; x < length; x++)
        line[x] = stored[x + 1]! + paeth(line[x - step]!, above[x]!, above[x - step]!);
      return true;
    default:
      return false;
  }
}

function paeth(left: number, up: number, corner: number): number {
  const sum = left + up - corner;
  const a = Math.abs(sum - left);
  const b = Math.abs(sum - up);
  const c = Math.abs(sum - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
