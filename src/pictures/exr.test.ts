/**
 * OpenEXR files of Blender 3.4.1 and 4.5.15, saved by `Image.save_render`. In `flat` all pixels are (0.25, 0.5, 0.125).
 * The values of `noise`, `smooth` and `wide` are those of the functions below, so they are known without the file; in `nan` the
 * last pixel's G is no number. B44 loses bits: of its files, Blender's own reading is in `unpacked`, saved with ZIP.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SEED } from "../../test/support/seed.ts";
import { readHeader, unpacked } from "./exr.ts";
import { findings, lookAt } from "./index.ts";

const FOLDER = new URL("fixtures/", import.meta.url);
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".exr"));
const fixture = (name: string): Buffer => readFileSync(new URL(name, FOLDER));
/** Rows of a chunk, by the number of the compression. */
const ROWS = [1, 1, 1, 16, 32, 16, 32, 32];

/** A number that looks random, of a place. */
function hash(x: number, y: number, channel: number): number {
  let value = (Math.imul(x, 374761393) + Math.imul(y, 668265263) + Math.imul(channel, 2246822519)) | 0;
  value = Math.imul(value ^ (value >>> 13), 1274126177);
  return (value ^ (value >>> 16)) >>> 0;
}

/** The bits of the pictures, smooth above and noise below; `channel` 0 is R. */
const BITS: Record<string, (x: number, y: number, channel: number) => number> = {
  half: (x, y, channel) => (y < 16 ? 0x3000 + x * 16 + y * 3 + channel : 0x3000 + (hash(x, y, channel) & 0xbff)),
  float: (x, y, channel) => 0x3e800000 + (y < 16 ? x * 4096 + y * 512 + channel * 256 : hash(x, y, channel) & 0x3ff00),
  smooth: (x, y, channel) => 0x3e800000 + 3 * (y * 60 + x) + channel,
  // More different words than 2^14, which go through another wavelet.
  wide: (x, y, channel) => 0x3e800000 + 3 * (y * 180 + x) + channel,
};

/** The pixels of a file, row by row, the channels of each. */
function pixelsOf(bytes: Buffer): Buffer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(bytes, view)!;
  const [width, height] = [header.box.xMax + 1, header.box.yMax + 1];
  const rowBytes = header.channels.reduce((sum, { type }) => sum + width * (type === 1 ? 2 : 4), 0);
  const rows = ROWS[header.compression]!;
  const chunks = Array.from({ length: Math.ceil(height / rows) }, (_, i) => {
    const at = Number(view.getBigUint64(header.end + i * 8, true));
    const data = bytes.subarray(at + 8, at + 8 + view.getUint32(at + 4, true));
    const count = Math.min(rows, height - i * rows);
    if (data.length === count * rowBytes) return data;
    const pixels = unpacked(data, header, count, count * rowBytes);
    if (header.compression > 3) return pixels;
    const half = (pixels.length + 1) >> 1;
    return Buffer.from(pixels.map((__, to) => pixels[to % 2 === 0 ? to / 2 : half + (to - 1) / 2]!));
  });
  return Buffer.concat(chunks);
}

/** What the pixels must be. The channels of a file are in the order of their names: B, G, R. */
function expected(width: number, height: number, kind: string): Buffer {
  const size = kind === "half" ? 2 : 4;
  const out = Buffer.alloc(width * height * 3 * size);
  let to = 0;
  for (let y = 0; y < height; y++)
    for (const channel of [2, 1, 0])
      for (let x = 0; x < width; x++) to = out.writeUIntLE(BITS[kind]!(x, y, channel), to, size);
  return out;
}

describe("P12: an OpenEXR file that is looked at", () => {
  test.each(NAMES)("%s: whether it has one colour, and values that are no numbers", async (name) => {
    const [kind] = name.split("-");
    const isRead = !name.includes("DWA");
    expect(await lookAt(fixture(name))).toMatchObject({
      format: "EXR",
      broken: null,
      notANumber: kind === "nan",
      oneColour: isRead ? kind === "flat" : null,
    });
  });

  test.each([
    ["noise-half-PIZ-3.4.exr", "half"],
    ["noise-half-PXR24-4.5.exr", "half"],
    ["smooth-float-PIZ-4.5.exr", "smooth"],
    ["noise-float-PXR24-4.5.exr", "float"],
    ["wide-float-PIZ-4.5.exr", "wide"],
  ])("%s: the pixels are those that Blender was given", (name, kind) => {
    const [width, height] = kind === "wide" ? [180, 32] : kind === "smooth" ? [60, 64] : [21, 35];
    expect(pixelsOf(fixture(name)).equals(expected(width, height, kind))).toBe(true);
  });

  test.each(["B44", "B44A"])("%s: the pixels are those that Blender reads", (kind) => {
    const pixels = pixelsOf(fixture(`noise-half-${kind}-4.5.exr`));
    expect(pixels.equals(pixelsOf(fixture(`noise-half-${kind}-unpacked-4.5.exr`)))).toBe(true);
    expect(pixels.equals(expected(21, 35, "half"))).toBe(false);
  });

  test("each file that is cut off is told, wherever it was cut", async () => {
    for (const name of NAMES.filter((one) => fixture(one).length < 1_100)) {
      const bytes = fixture(name);
      for (let length = 0; length < bytes.length; length += 3) {
        const [finding] = findings("a.exr", await lookAt(bytes.subarray(0, length)), null);
        expect(finding, `${name}: ${length}`).toMatch(/^the picture is (not whole:|no )/);
      }
    }
  });

  test("hostile bytes cost bounded time and memory, and never an exception", async () => {
    const small = NAMES.map(fixture).filter(({ length }) => length < 10_000);
    const hostile = fc
      .tuple(
        fc.constantFrom(...small),
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), { minLength: 1, maxLength: 12 }),
      )
      .map(([bytes, changes]) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, byte] of changes) copy[Math.floor(at * (copy.length - 1))] = byte;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        const { broken, oneColour } = await lookAt(bytes);
        expect(broken === null || broken.length > 0).toBe(true);
        expect([true, false, null]).toContain(oneColour);
      }),
      { seed: SEED, numRuns: 3_000 },
    );
  });
});
