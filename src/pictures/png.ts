/**
 * PNG (https://www.w3.org/TR/png-3/): the chunks, and the pixels as far as needed. Interlaced pictures are
 * inflated and not compared.
 */
import { promisify } from "node:util";
import { inflate } from "node:zlib";
import { brokenPicture, MAX_PIXEL_BYTES, wholePicture, type PictureFacts } from "./picture.ts";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const inflateAll = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate);

/** Channels by colour type; other types are not allowed. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Whether the bytes begin as a PNG. */
export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/** The facts of a PNG. Never rejects. */
export async function lookAtPng(bytes: Uint8Array): Promise<PictureFacts> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || view.getUint32(12) !== 0x49484452) return brokenPicture("PNG", "it ends in its header");
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
    if (at + 12 + length > bytes.length) break;
    if (kind === 0x49444154) parts.push(bytes.subarray(at + 8, at + 8 + length));
    ended = kind === 0x49454e44;
    at += 12 + length;
  }
  if (!ended) return brokenPicture("PNG", "it ends before its end mark", size);
  const row = Math.ceil((size.width * channels * depth) / 8) + 1;
  const all = row * size.height;
  if (all > MAX_PIXEL_BYTES || interlaced) return wholePicture("PNG", size);
  let pixels: Buffer;
  try {
    pixels = await inflateAll(Buffer.concat(parts), { maxOutputLength: all + 1 });
  } catch {
    return brokenPicture("PNG", "its pixels cannot be unpacked", size);
  }
  if (pixels.length < all) return brokenPicture("PNG", "it has fewer pixels than its header says", size);
  // Pixels of less than a byte are compared by their bytes, which is right for all but a picture's last ones.
  return wholePicture("PNG", size, { oneColour: isOneColour(pixels, size.height, row, channels, depth) });
}

/**
 * Undo the filters row by row, until a pixel differs from another. One step of 8 bits is no difference: Blender's
 * dither spreads a dark colour over two.
 */
function isOneColour(pixels: Uint8Array, height: number, row: number, channels: number, depth: number): boolean {
  const step = (channels * depth) >> 3 || 1;
  let above = new Uint8Array(row - 1);
  let line = new Uint8Array(row - 1);
  // Per value of a pixel; 16 bits are read as one value. Pixels of less than a byte must be equal.
  const bytes = depth === 16 ? 2 : 1;
  const tolerance = depth === 16 ? 257 : depth === 8 ? 1 : 0;
  const lowest = Array.from({ length: step / bytes }, () => Infinity);
  const highest = Array.from({ length: step / bytes }, () => -Infinity);
  for (let y = 0; y < height; y++) {
    const from = y * row;
    if (!unfilter(pixels, from, line, above, step)) return false;
    for (let x = 0, channel = 0; x < line.length; x += bytes) {
      const value = bytes === 2 ? (line[x]! << 8) | line[x + 1]! : line[x]!;
      if (value < lowest[channel]!) lowest[channel] = value;
      if (value > highest[channel]!) highest[channel] = value;
      if (highest[channel]! - lowest[channel]! > tolerance) return false;
      channel = channel + 1 === lowest.length ? 0 : channel + 1;
    }
    [above, line] = [line, above];
  }
  return true;
}

/** Undo the filter of the row at `from`; false for a filter that does not exist. */
function unfilter(pixels: Uint8Array, from: number, line: Uint8Array, above: Uint8Array, step: number): boolean {
  const filter = pixels[from]!;
  if (filter > 4) return false;
  for (let x = 0; x < line.length; x++) {
    const left = x >= step ? line[x - step]! : 0;
    const up = above[x]!;
    const corner = x >= step ? above[x - step]! : 0;
    const guess =
      filter === 1
        ? left
        : filter === 2
          ? up
          : filter === 3
            ? (left + up) >> 1
            : filter === 4
              ? paeth(left, up, corner)
              : 0;
    line[x] = pixels[from + 1 + x]! + guess;
  }
  return true;
}

function paeth(left: number, up: number, corner: number): number {
  const sum = left + up - corner;
  const [a, b, c] = [Math.abs(sum - left), Math.abs(sum - up), Math.abs(sum - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
