/**
 * OpenEXR (https://openexr.com/en/latest/OpenEXRFileLayout.html): header, table of chunks, and the pixels of
 * single-part scanline files of every compression but DWAA and DWAB. Of other files only the structure is read.
 */
import { inflateSync } from "node:zlib";
import { unpackB44, unpackPxr24 } from "./exr-lossy.ts";
import { pizHasNoNumber, unpackPiz } from "./exr-piz.ts";
import { brokenPicture, MAX_PIXEL_BYTES, wholePicture, type PictureFacts } from "./picture.ts";

const MAGIC = 0x01312f76;
/** Flags of the version field: tiles, deep data, several parts. */
const TILED = 0x200;
const OTHER_LAYOUTS = 0x800 | 0x1000;
/** Rows of a chunk by compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB. */
const ROWS = [1, 1, 1, 16, 32, 16, 32, 32, 32, 256];
/** Compressions by their numbers. */
const [ZIP, PIZ, PXR24, B44, B44A] = [3, 4, 5, 6, 7] as const;
/**
 * A chunk that is larger is not read: its compression is undone in one go. It has 32 rows of 131,072 pixels of four
 * floats.
 */
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;
/** Headers are a few kB; a longer one is not read. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** Between so many bytes of pixels, other work of the process gets its turn. */
const PAUSE_BYTES = 4 * 1024 * 1024;

interface Channel {
  name: string;
  type: number;
  /** Its values are stored by their logarithms. */
  linear: boolean;
  xs: number;
  ys: number;
}

export interface Header {
  channels: Channel[];
  compression: number;
  box: { xMin: number; yMin: number; xMax: number; yMax: number };
  end: number;
}

/** Whether the bytes begin as an OpenEXR file. */
export function isExr(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === MAGIC;
}

/** The facts of an OpenEXR file. Never rejects. */
export async function lookAtExr(bytes: Uint8Array): Promise<PictureFacts> {
  try {
    return await look(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    // A read beyond the end of the file, or a chunk that cannot be unpacked.
    if (error instanceof RangeError) return brokenPicture("EXR", "it ends before its end");
    return brokenPicture("EXR", "its pixels cannot be unpacked");
  }
}

async function look(bytes: Uint8Array, view: DataView): Promise<PictureFacts> {
  const flags = view.getUint32(4, true);
  const header = readHeader(bytes, view);
  if (!header) return brokenPicture("EXR", "its header is none");
  const { box, compression, channels } = header;
  const size = { width: box.xMax - box.xMin + 1, height: box.yMax - box.yMin + 1 };
  if (size.width < 1 || size.height < 1 || ROWS[compression] === undefined)
    return brokenPicture("EXR", "its header is none");
  if ((flags & (TILED | OTHER_LAYOUTS)) !== 0) return wholePicture("EXR", size);
  const rows = ROWS[compression];
  const chunks = Math.ceil(size.height / rows);
  const rowBytes = channels.reduce((sum, { type }) => sum + size.width * (type === 1 ? 2 : 4), 0);
  const isRead =
    compression <= B44A &&
    rowBytes * size.height <= MAX_PIXEL_BYTES &&
    rowBytes * rows <= MAX_CHUNK_BYTES &&
    channels.length > 0 &&
    channels.every(({ xs, ys, type, linear }) => xs === 1 && ys === 1 && type <= 2 && !(linear && compression >= B44));
  if (header.end + chunks * 8 > bytes.length) return brokenPicture("EXR", "it ends before its end", size);
  const seen: Seen = { first: [], notANumber: false, oneColour: true };
  /** The type of all channels; null when there are several. */
  const type = channels.every((channel) => channel.type === channels[0]!.type) ? channels[0]!.type : null;
  let since = 0;
  for (let i = 0; i < chunks; i++) {
    const at = Number(view.getBigUint64(header.end + i * 8, true));
    if (at === 0 || at + 8 > bytes.length) return brokenPicture("EXR", "it lacks rows of pixels", size);
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > bytes.length) return brokenPicture("EXR", "it lacks rows of pixels", size);
    if (!isRead) continue;
    const count = Math.min(rows, size.height - i * rows);
    const data = bytes.subarray(at + 8, at + 8 + length);
    const all = count * rowBytes;
    if (!lookAtRows(data, header, count, all, type, seen)) return brokenPicture("EXR", "it lacks pixels", size);
    since += all;
    if (since < PAUSE_BYTES) continue;
    since = 0;
    await new Promise(setImmediate);
  }
  return isRead
    ? wholePicture("EXR", size, { notANumber: seen.notANumber, oneColour: seen.oneColour })
    : wholePicture("EXR", size);
}

/**
 * Look at a chunk of so many rows, which are `all` bytes when they are not packed; `type`: that of all channels. False
 * when it has fewer.
 */
function lookAtRows(
  data: Uint8Array,
  header: Header,
  rows: number,
  all: number,
  type: number | null,
  seen: Seen,
): boolean {
  const { box, compression, channels } = header;
  const width = box.xMax - box.xMin + 1;
  // A chunk that did not become smaller is stored as it is.
  const isPacked = compression !== 0 && data.length < all;
  const isApart = isPacked && compression <= ZIP;
  // In nearly every picture, the first rows have several colours; then a quicker look is enough.
  const isQuick = !seen.oneColour && type !== null;
  if (isQuick && isPacked && compression === PIZ && (type === 1 || type === 2)) {
    seen.notANumber ||= pizHasNoNumber(data, type, channels.length, width, rows);
    return true;
  }
  const pixels = isPacked ? unpacked(data, header, rows, all) : data;
  if (pixels.length !== all) return false;
  if (isQuick) seen.notANumber ||= isApart ? hasNoNumberApart(pixels, type) : hasNoNumber(pixels, type);
  else compare(isApart ? together(pixels) : pixels, rows, width, channels, seen);
  return true;
}

/** The header; null when it lacks something. Throws a `RangeError` when the file ends in it. */
export function readHeader(bytes: Uint8Array, view: DataView): Header | null {
  let at = 8;
  const limit = Math.min(bytes.length, MAX_HEADER_BYTES);
  const text = (): string => {
    const end = bytes.indexOf(0, at);
    if (end < 0 || end >= limit) throw new RangeError("no end");
    const value = Buffer.from(bytes.subarray(at, end)).toString("latin1");
    at = end + 1;
    return value;
  };
  const header: Partial<Header> = {};
  for (let name = text(); name !== ""; name = text()) {
    text();
    const length = view.getUint32(at, true);
    at += 4;
    const end = at + length;
    if (end > limit) throw new RangeError("no end");
    if (name === "channels") {
      header.channels = [];
      for (let channel = text(); channel !== ""; channel = text()) {
        const [type, xs, ys] = [view.getUint32(at, true), view.getUint32(at + 8, true), view.getUint32(at + 12, true)];
        header.channels.push({ name: channel, type, linear: bytes[at + 4] !== 0, xs, ys });
        at += 16;
      }
    } else if (name === "compression") header.compression = bytes[at]!;
    else if (name === "dataWindow") {
      const [xMin, yMin, xMax, yMax] = [0, 4, 8, 12].map((offset) => view.getInt32(at + offset, true));
      header.box = { xMin: xMin!, yMin: yMin!, xMax: xMax!, yMax: yMax! };
    }
    at = end;
  }
  const { channels, compression, box } = header;
  return channels && compression !== undefined && box ? { channels, compression, box, end: at } : null;
}

/**
 * The bytes of a packed chunk of so many rows; of RLE, ZIPS and ZIP the even and the odd ones lie apart. Throws when it
 * cannot be unpacked.
 */
export function unpacked(
  data: Uint8Array,
  { compression, channels, box }: Header,
  rows: number,
  length: number,
): Uint8Array {
  const width = box.xMax - box.xMin + 1;
  const types = channels.map(({ type }) => type as 0 | 1 | 2);
  if (compression === PIZ)
    return unpackPiz(
      data,
      types.map((type) => (type === 1 ? 1 : 2)),
      width,
      rows,
    );
  if (compression === PXR24) return unpackPxr24(data, types, width, rows);
  if (compression >= B44) return unpackB44(data, types, width, rows);
  const packed = compression === 1 ? runs(data, length) : inflateSync(data, { maxOutputLength: length + 1 });
  // The bytes are differences, of which 128 is none.
  let value = packed[0] ?? 0;
  for (let i = 1; i < packed.length; i++) packed[i] = value = (value + packed[i]! + 128) & 0xff;
  return packed;
}

/** The even bytes lie in the first half, the odd ones in the second. */
function together(apart: Uint8Array): Uint8Array {
  const out = new Uint8Array(apart.length);
  const half = (apart.length + 1) >> 1;
  for (let i = 0; i < half; i++) out[2 * i] = apart[i]!;
  for (let i = half; i < apart.length; i++) out[2 * (i - half) + 1] = apart[i]!;
  return out;
}

/** Whether a value of the type has all bits of its exponent: it is infinite or no number. */
function hasNoNumber(pixels: Uint8Array, type: number): boolean {
  if (type === 1) for (let i = 1; i < pixels.length; i += 2) if ((pixels[i]! & 0x7c) === 0x7c) return true;
  if (type === 2)
    for (let i = 3; i < pixels.length; i += 4) if ((pixels[i]! & 0x7f) === 0x7f && pixels[i - 1]! >= 0x80) return true;
  return false;
}

/** The same, where even and odd bytes lie apart. */
function hasNoNumberApart(pixels: Uint8Array, type: number): boolean {
  const half = pixels.length >> 1;
  if (type === 1) for (let i = half; i < pixels.length; i++) if ((pixels[i]! & 0x7c) === 0x7c) return true;
  if (type === 2)
    for (let i = 1; i < half; i += 2) if ((pixels[half + i]! & 0x7f) === 0x7f && pixels[i]! >= 0x80) return true;
  return false;
}

/** RLE: a count below 0 copies as many bytes, another repeats the next byte. */
function runs(data: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let to = 0;
  for (let at = 0; at < data.length && to < length;) {
    const count = (data[at++]! << 24) >> 24;
    if (count < 0) {
      out.set(data.subarray(at, at - count).subarray(0, length - to), to);
      [at, to] = [at - count, to - count];
    } else {
      out.fill(data[at++]!, to, Math.min(length, to + count + 1));
      to += count + 1;
    }
  }
  return to === length ? out : out.subarray(0, 0);
}

interface Seen {
  /** The bits of the first pixel, by channel. */
  first: number[];
  notANumber: boolean;
  oneColour: boolean;
}

/** Compare the pixels of these rows with the first one, and look for values that are no numbers. */
function compare(pixels: Uint8Array, rows: number, width: number, channels: Header["channels"], seen: Seen): void {
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (const [i, { type }] of channels.entries()) {
      const step = type === 1 ? 2 : 4;
      // All bits of the exponent are set in what is infinite or no number; unsigned integers are all numbers.
      const exponent = type === 1 ? 0x7c00 : type === 2 ? 0x7f800000 : 0;
      for (let x = 0; x < width; x++, at += step) {
        const bits = step === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
        if (exponent !== 0 && (bits & exponent) === exponent) seen.notANumber = true;
        if (bits !== (seen.first[i] ??= bits)) seen.oneColour = false;
      }
    }
  }
}
