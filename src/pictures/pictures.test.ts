import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SEED } from "../../test/support/seed.ts";
import { encodePng } from "../demo-renderer/png.ts";
import { findings, formatOf, lookAt } from "./index.ts";

const picture = (width: number, height: number, at: (x: number, y: number) => number): Buffer =>
  encodePng(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, (_, i) => at(((i / 3) | 0) % width, (i / 3 / width) | 0)),
  );

/** A PNG of rows as they are stored, each with its filter; the pixels in chunks of this length. */
function png(
  { width, height, depth, type }: { width: number; height: number; depth: number; type: number },
  rows: Uint8Array,
  chunkBytes = 8192,
): Buffer {
  const chunk = (name: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
    const around = Buffer.alloc(8);
    around.writeUInt32BE(data.length, 0);
    around.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = depth;
  header[9] = type;
  const deflated = deflateSync(rows, { level: 1 });
  const parts = Array.from({ length: Math.ceil(deflated.length / chunkBytes) }, (_, at) =>
    chunk("IDAT", deflated.subarray(at * chunkBytes, (at + 1) * chunkBytes)),
  );
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  return Buffer.concat([signature, chunk("IHDR", header), ...parts, chunk("IEND", Buffer.alloc(0))]);
}

/** Rows as the filters of the specification (section 9.2) make them, one filter for each row. */
function filtered(pixels: Uint8Array, row: number, step: number, filters: readonly number[]): Uint8Array {
  const out = new Uint8Array((row + 1) * (pixels.length / row));
  for (let y = 0, to = 0; y * row < pixels.length; y++) {
    const filter = (out[to++] = filters[y % filters.length]!);
    const at = (x: number, line: number): number => (x < 0 || line < 0 ? 0 : pixels[line * row + x]!);
    for (let x = 0; x < row; x++) {
      const [left, up, corner] = [at(x - step, y), at(x, y - 1), at(x - step, y - 1)];
      const [a, b, c] = [left, up, corner].map((value) => Math.abs(left + up - corner - value));
      const paeth = a! <= b! && a! <= c! ? left : b! <= c! ? up : corner;
      out[to++] = at(x, y) - [0, left, up, (left + up) >> 1, paeth][filter]!;
    }
  }
  return out;
}

/** An OpenEXR file of two channels of half floats, or of floats; `compression` as the format numbers it. */
function exr(
  width: number,
  height: number,
  bits: (x: number, y: number) => number,
  compression = 0,
  Kind: typeof Uint16Array | typeof Uint32Array = Uint16Array,
): Buffer {
  const text = (value: string) => Buffer.from(`${value}\0`, "latin1");
  const int = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer);
  const attribute = (name: string, type: string, value: Buffer) =>
    Buffer.concat([text(name), text(type), int(value.length), value]);
  const channels = Buffer.concat(
    ["B", "G"]
      .map((name) => Buffer.concat([text(name), int(Kind === Uint16Array ? 1 : 2, 0, 1, 1)]))
      .concat(Buffer.of(0)),
  );
  const head = Buffer.concat([
    int(0x01312f76, 2),
    attribute("channels", "chlist", channels),
    attribute("compression", "compression", Buffer.of(compression)),
    attribute("dataWindow", "box2i", int(0, 0, width - 1, height - 1)),
    Buffer.of(0),
  ]);
  const rows = compression === 3 ? 16 : 1;
  const chunks: Buffer[] = [];
  for (let y = 0; y < height; y += rows) {
    const count = Math.min(rows, height - y);
    const halves = Array.from({ length: count }, (_, row) =>
      [0, 1].flatMap(() => Array.from({ length: width }, (__, x) => bits(x, y + row))),
    );
    const raw = Buffer.from(Kind.from(halves.flat()).buffer);
    const data = pack(raw, compression);
    chunks.push(Buffer.concat([int(y, data.length), data.length < raw.length ? data : raw]));
    if (data.length >= raw.length) chunks.splice(-1, 1, Buffer.concat([int(y, raw.length), raw]));
  }
  let at = head.length + chunks.length * 8;
  const table = BigUint64Array.from(chunks.map((chunk) => BigInt((at += chunk.length) - chunk.length)));
  return Buffer.concat([head, Buffer.from(table.buffer), ...chunks]);
}

/** As the reference implementation does it: even and odd bytes apart, then differences, then the compression. */
function pack(raw: Buffer, compression: number): Buffer {
  if (compression === 0) return raw;
  const apart = Buffer.concat([raw.filter((_, i) => i % 2 === 0), raw.filter((_, i) => i % 2 === 1)]);
  const differences = Buffer.from(apart.map((byte, i) => (i === 0 ? byte : byte - apart[i - 1]! + 128)));
  if (compression !== 1) return deflateSync(differences);
  const out: number[] = [];
  for (let i = 0; i < differences.length;) {
    let run = 1;
    while (run < 128 && differences[i + run] === differences[i]) run++;
    if (run > 2) out.push(run - 1, differences[i]!);
    else out.push(-run & 0xff, ...differences.subarray(i, i + run));
    i += run;
  }
  return Buffer.from(out);
}

const HALF = 0x3c00;
const JPEG = Buffer.from(
  "ffd8ffe000044142ffc0000b08001000200101110 0ffda0004000012345600ffd9".replaceAll(" ", ""),
  "hex",
);

describe("P12: a picture that is looked at", () => {
  test("PNG: size, one colour or more, whatever the filters", async () => {
    expect(await lookAt(picture(64, 36, () => 9))).toEqual({
      format: "PNG",
      width: 64,
      height: 36,
      broken: null,
      notANumber: false,
      oneColour: true,
    });
    const last = (value: number) => picture(64, 36, (x, y) => (x === 63 && y === 35 ? value : 9));
    expect(await lookAt(last(7))).toMatchObject({ oneColour: false });
    expect(await lookAt(last(11))).toMatchObject({ oneColour: false });
    // A dither spreads a colour over two steps, not over three.
    expect(await lookAt(last(8))).toMatchObject({ oneColour: true });
    const three = picture(64, 36, (x) => 8 + (x % 3));
    expect(await lookAt(three)).toMatchObject({ oneColour: false });
  });

  test("PNG: one colour is told from others by all filters, depths and numbers of channels", async () => {
    const shape = fc.record({
      width: fc.integer({ min: 1, max: 9 }),
      height: fc.integer({ min: 1, max: 9 }),
      depth: fc.constantFrom(8, 16),
      type: fc.constantFrom(0, 2, 4, 6),
    });
    // Mostly the first pixel again; some values differ by what a dither makes, or by more.
    const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(1, 2, 255)), { maxLength: 3 });
    const filters = fc.array(fc.nat(4), { minLength: 1, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(shape, fc.uint8Array({ minLength: 8, maxLength: 8 }), changes, filters, async (...made) => {
        const [{ width, height, depth, type }, colour, differences, kinds] = made;
        const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[type]!;
        const bytes = depth / 8;
        const step = channels * bytes;
        const pixels = Uint8Array.from({ length: width * height * step }, (_, i) => colour[i % step]!);
        for (const [at, difference] of differences) pixels[at % pixels.length]! += difference;
        const values = Array.from({ length: width * height * channels }, (_, i) =>
          bytes === 2 ? pixels[2 * i]! * 256 + pixels[2 * i + 1]! : pixels[i]!,
        );
        const spread = Array.from({ length: channels }, (_, channel) => {
          const its = values.filter((__, i) => i % channels === channel);
          return Math.max(...its) - Math.min(...its);
        });
        const rows = filtered(pixels, width * step, step, kinds);
        const facts = await lookAt(png({ width, height, depth, type }, rows));
        expect(facts).toMatchObject({ broken: null, oneColour: Math.max(...spread) <= (bytes === 2 ? 257 : 1) });
      }),
      { seed: SEED, numRuns: 400 },
    );
  });

  test("PNG: large pictures, whose rows are inflated in parts", async () => {
    const [width, height] = [300, 250];
    const shape = { width, height, depth: 16, type: 6 };
    const row = width * 8;
    const grey = new Uint8Array(row * height).fill(0x55);
    const noise = Uint8Array.from({ length: row * height }, (_, i) => (i * i) >> 5);
    for (const [pixels, oneColour] of [
      [grey, true],
      [noise, false],
    ] as const) {
      for (const filter of [0, 1, 4]) {
        const rows = filtered(pixels, row, 8, [filter]);
        expect(await lookAt(png(shape, rows))).toMatchObject({ width, height, broken: null, oneColour });
        expect(await lookAt(png(shape, rows.subarray(1)))).toMatchObject({
          broken: "it has fewer pixels than its header says",
        });
        expect(await lookAt(png(shape, Buffer.concat([rows, Buffer.alloc(1)])))).toMatchObject({
          broken: "it has more pixels than its header says",
        });
      }
    }
    // A gradient from top to bottom, each row of which is stored in the same way.
    const gradient = Uint8Array.from({ length: row * height }, (_, i) => Math.floor(i / row));
    expect(await lookAt(png(shape, filtered(gradient, row, 8, [2])))).toMatchObject({ oneColour: false });
    grey[grey.length - 8] = 0x59;
    expect(await lookAt(png(shape, filtered(grey, row, 8, [2])))).toMatchObject({ broken: null, oneColour: false });
  });

  test("PNG: a changed bit is told, wherever it is", async () => {
    const bytes = png({ width: 30, height: 20, depth: 8, type: 0 }, new Uint8Array(31 * 20).fill(3), 20);
    for (let at = 0; at < bytes.length; at++) {
      const copy = Uint8Array.from(bytes);
      copy[at]! ^= 1;
      expect(findings("a.png", await lookAt(copy), null), `byte ${at}`).toHaveLength(1);
    }
  });

  test.each([0, 1, 2, 3])(
    "EXR of compression %i: one colour, other colours, and values that are no numbers",
    async (kind) => {
      const facts = { format: "EXR", width: 40, height: 37, broken: null };
      expect(await lookAt(exr(40, 37, () => HALF, kind))).toEqual({ ...facts, notANumber: false, oneColour: true });
      // Of several colours from the beginning, or at the very end only.
      for (const rest of [0x3a00, HALF]) {
        const last = (bits: number) =>
          exr(40, 37, (x, y) => (x === 39 && y === 36 ? bits : x === 0 ? HALF : rest), kind);
        expect(await lookAt(last(0x3800))).toEqual({ ...facts, notANumber: false, oneColour: false });
        for (const bits of [0x7c00, 0xfc00, 0x7e01])
          expect(await lookAt(last(bits))).toMatchObject({ notANumber: true });
        expect(await lookAt(last(0x7bff))).toMatchObject({ notANumber: false });
        const float = (bits: number) =>
          exr(40, 37, (x, y) => (x === 39 && y === 36 ? bits : x === 0 ? 1 : rest), kind, Uint32Array);
        for (const bits of [0x7f800000, 0xff800000, 0x7fc00001])
          expect(await lookAt(float(bits))).toMatchObject({ notANumber: true });
        for (const bits of [0x7f7fffff, 0xff7fff7f, 0x00807fff])
          expect(await lookAt(float(bits))).toEqual({ ...facts, notANumber: false, oneColour: false });
      }
    },
  );

  const files: [string, Buffer][] = [
    ["a.png", picture(20, 20, (x, y) => x * y)],
    ["a.jpg", JPEG],
    ["a.exr", exr(20, 20, (x) => HALF + x, 3)],
    ["a.exr", exr(20, 20, (x, y) => HALF + x * y, 1)],
    ["a.exr", exr(20, 20, (x, y) => HALF + x + y)],
  ];
  test.each(files)("%s: each file that is cut off is told, wherever it was cut", async (name, bytes) => {
    expect(findings(name, await lookAt(bytes), null)).toEqual([]);
    for (let length = 0; length < bytes.length; length += length < 400 ? 1 : 7) {
      const [finding] = findings(name, await lookAt(bytes.subarray(0, length)), null);
      expect(finding, `${length} of ${bytes.length}`).toMatch(/^the picture is (not whole:|no )/);
    }
  });

  test("another format or size than was asked for is told", async () => {
    const facts = await lookAt(picture(20, 10, (x) => x));
    expect(findings("a.jpg", facts, null)).toEqual(["the picture is no JPEG"]);
    expect(findings("a.png", facts, { width: 20, height: 10 })).toEqual([]);
    expect(findings("a.png", facts, { width: 40, height: 20 })).toEqual([
      "the picture has 20 × 10 pixels instead of 40 × 20",
    ]);
    expect(formatOf("x.tiff")).toBeNull();
  });

  test("hostile bytes cost bounded time and memory, and never an exception", async () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(
          fc.constantFrom(...files.map(([, bytes]) => bytes)),
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 12 }),
        )
        .map(([bytes, changes]) => {
          const copy = Uint8Array.from(bytes);
          for (const [at, byte] of changes) copy[at % copy.length] = byte;
          return copy;
        }),
    );
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        const facts = await lookAt(bytes);
        expect(facts.broken === null || facts.broken.length > 0).toBe(true);
      }),
      { seed: SEED, numRuns: 3_000 },
    );
    // A few bytes that say the picture is 2^31 pixels wide or high, or has rows that no renderer makes.
    const row = new Uint8Array(10);
    for (const [width, height] of [
      [2 ** 31 - 1, 1],
      [1, 2 ** 31 - 1],
    ] as const) {
      const facts = await lookAt(png({ width, height, depth: 8, type: 2 }, row));
      expect(facts).toMatchObject({ width, height, broken: null, oneColour: null });
    }
    for (const [width, height] of [
      [8_000_000, 1],
      [1, 2_000_000],
    ] as const) {
      const facts = await lookAt(png({ width, height, depth: 8, type: 0 }, new Uint8Array((width + 1) * height)));
      expect(facts).toMatchObject({ width, height, broken: null, oneColour: null });
    }
    // Its pixels unpack to more than the header says.
    const bomb = png({ width: 2, height: 2, depth: 8, type: 0 }, new Uint8Array(64 * 1024 * 1024));
    expect(await lookAt(bomb)).toMatchObject({ broken: "it has more pixels than its header says" });
  });
});
