/**
 * PXR24, B44 and B44A, OpenEXR's simple lossy compressions (https://openexr.com/en/latest/TechnicalIntroduction.html).
 * The results have the layout of a chunk that is not packed: row by row, the channels of each.
 */
import { inflateSync } from "node:zlib";

/** The pixel types of OpenEXR: unsigned integer, half, float. */
type PixelType = 0 | 1 | 2;

/** The bytes that PXR24 keeps of a value: floats lose their last one. */
const PXR24_BYTES: Readonly<Record<PixelType, number>> = { 0: 4, 1: 2, 2: 3 };
/** A flat block of B44A has a shift that no other block has, and 3 bytes instead of 14. */
const FLAT_FROM = 13 << 2;

const bytesOf = (type: PixelType): number => (type === 1 ? 2 : 4);

/**
 * Unpack a chunk of PXR24: differences of the values of a row, of which the highest bytes come first. Throws on data
 * that is none.
 */
export function unpackPxr24(data: Uint8Array, types: readonly PixelType[], width: number, rows: number): Uint8Array {
  const packedRow = types.reduce<number>((sum, type) => sum + width * PXR24_BYTES[type], 0);
  const packed = inflateSync(data, { maxOutputLength: packedRow * rows + 1 });
  if (packed.length !== packedRow * rows) throw new Error("not PXR24");
  const out = new Uint8Array(types.reduce<number>((sum, type) => sum + width * bytesOf(type), 0) * rows);
  const view = new DataView(out.buffer);
  let [at, to] = [0, 0];
  for (let row = 0; row < rows; row++) {
    for (const type of types) {
      const kept = PXR24_BYTES[type];
      let value = 0;
      for (let x = 0; x < width; x++) {
        let difference = 0;
        for (let i = 0; i < kept; i++) difference = (difference << 8) | packed[at + i * width + x]!;
        value = (value + (type === 2 ? difference << 8 : difference)) | 0;
        if (type === 1) view.setUint16(to, value & 0xffff, true);
        else view.setUint32(to, value >>> 0, true);
        to += bytesOf(type);
      }
      at += kept * width;
    }
  }
  return out;
}

/**
 * Unpack a chunk of B44 or B44A: halves in blocks of 4 × 4, channel after channel; other types are stored as they
 * are. Throws on data that is too short.
 */
export function unpackB44(data: Uint8Array, types: readonly PixelType[], width: number, rows: number): Uint8Array {
  const row = types.reduce<number>((sum, type) => sum + width * bytesOf(type), 0);
  const out = new Uint8Array(row * rows);
  const view = new DataView(out.buffer);
  const block = new Uint16Array(16);
  let [at, start] = [0, 0];
  for (const type of types) {
    const size = width * bytesOf(type);
    if (type !== 1) {
      if (at + size * rows > data.length) throw new Error("not B44");
      for (let y = 0; y < rows; y++, at += size) out.set(data.subarray(at, at + size), y * row + start);
    } else {
      for (let y = 0; y < rows; y += 4) {
        for (let x = 0; x < width; x += 4) {
          at += readBlock(data, at, block);
          for (let i = 0; i < 16; i++) {
            const [down, across] = [y + (i >> 2), x + (i & 3)];
            if (down < rows && across < width) view.setUint16(down * row + start + 2 * across, block[i]!, true);
          }
        }
      }
    }
    start += size;
  }
  return out;
}

/** Read a block, row by row. How many bytes it had. */
function readBlock(data: Uint8Array, at: number, block: Uint16Array): number {
  const length = (data[at + 2] ?? 0) >= FLAT_FROM ? 3 : 14;
  if (at + length > data.length) throw new Error("not B44");
  block[0] = (data[at]! << 8) | data[at + 1]!;
  if (length === 3) block.fill(block[0]);
  else {
    const shift = data[at + 2]! >> 2;
    // 15 differences of 6 bits each, after the 6 bits of the shift: down the first column, then along the rows.
    for (let i = 1, bit = 8 * (at + 2) + 6; i < 16; i++, bit += 6) {
      const pair = (data[bit >> 3]! << 8) | (data[(bit >> 3) + 1] ?? 0);
      const difference = (pair >> (10 - (bit & 7))) & 0x3f;
      const [x, y] = [i >> 2, i & 3];
      const before = x === 0 ? 4 * (y - 1) : 4 * y + x - 1;
      block[4 * y + x] = block[before]! + (difference << shift) - (0x20 << shift);
    }
  }
  // The order of the numbers is that of the values; half floats have a sign instead.
  for (let i = 0; i < 16; i++) block[i] = block[i]! & 0x8000 ? block[i]! & 0x7fff : ~block[i]!;
  return length;
}
