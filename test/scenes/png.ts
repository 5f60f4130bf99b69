/** Decodes PNGs as Blender writes them, and compares them channel by channel. */
import { inflateSync } from "node:zlib";

export interface Picture {
  width: number;
  height: number;
  /** Samples of a pixel: 1 grey, 3 RGB, 4 RGBA. */
  channels: number;
  /** The largest value of a sample: 255 or 65535. */
  max: number;
  /** Row by row from the top. */
  samples: Uint8Array | Uint16Array;
}

const SIGNATURE = "89504e470d0a1a0a";
/** Samples of a pixel by colour type (PNG specification, 11.2.2). Blender writes no palettes. */
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** Decode a PNG without palette and interlacing. Throws for anything else, and for a damaged file. */
export function decodePng(bytes: Buffer): Picture {
  if (bytes.subarray(0, 8).toString("hex") !== SIGNATURE) throw new Error("not a PNG");
  const chunks = chunksOf(bytes);
  const header = chunks.get("IHDR")?.[0];
  if (!header || !chunks.has("IEND")) throw new Error("the PNG is cut off");
  const [width, height, depth] = [header.readUInt32BE(0), header.readUInt32BE(4), header[8]!];
  const channels = CHANNELS[header[9]!];
  if (channels === undefined || depth < 8 || header[12] !== 0)
    throw new Error("a kind of PNG that Blender never writes");
  const pixelBytes = (channels * depth) / 8;
  const rows = unfilter(inflateSync(Buffer.concat(chunks.get("IDAT") ?? [])), width * pixelBytes, height, pixelBytes);
  if (depth === 8) return { width, height, channels, max: 255, samples: rows };
  const samples = new Uint16Array(rows.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = rows[2 * i]! * 256 + rows[2 * i + 1]!;
  return { width, height, channels, max: 65_535, samples };
}

/** The bodies of the chunks, by type (PNG specification, 5.3). */
function chunksOf(bytes: Buffer): Map<string, Buffer[]> {
  const chunks = new Map<string, Buffer[]>();
  for (let at = SIGNATURE.length / 2; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    chunks.set(type, [...(chunks.get(type) ?? []), bytes.subarray(at + 8, at + 8 + length)]);
    at += length + 12;
  }
  return chunks;
}

/** Undo the filters of the rows (PNG specification, 9.2). */
function unfilter(filtered: Uint8Array, stride: number, height: number, pixelBytes: number): Uint8Array {
  if (filtered.length !== height * (stride + 1)) throw new Error("the PNG has another number of pixels than it says");
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = filtered[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x < pixelBytes ? 0 : out[at - pixelBytes]!;
      const up = y === 0 ? 0 : out[at - stride]!;
      const upLeft = x < pixelBytes || y === 0 ? 0 : out[at - stride - pixelBytes]!;
      out[at] = filtered[y * (stride + 1) + 1 + x]! + predicted(filter, left, up, upLeft);
    }
  }
  return out;
}

function predicted(filter: number, left: number, up: number, upLeft: number): number {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const estimate = left + up - upLeft;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - upLeft)];
  return a <= b && a <= c ? left : b <= c ? up : upLeft;
}

/**
 * The largest difference of a sample, as a part of the full range (0 to 1); a sentence where the
 * pictures cannot be compared.
 */
export function largestDifference(one: Picture, other: Picture): number | string {
  const [a, b] = [one, other].map(({ width, height, channels, max }) => `${width}×${height}×${channels} of ${max}`);
  if (a !== b) return `${a} instead of ${b}`;
  let largest = 0;
  for (let i = 0; i < one.samples.length; i++)
    largest = Math.max(largest, Math.abs(one.samples[i]! - other.samples[i]!));
  return largest / one.max;
}
