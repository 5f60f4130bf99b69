import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlendError } from "./types.ts";
import { decodeZstdBlocks } from "./zstd-decode.ts";
import { frameHeader } from "./zstd-frames.ts";

const compress = (bytes: Uint8Array, level: number): Buffer =>
  zstdCompressSync(bytes, {
    pledgedSrcSize: bytes.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });

function blocksOf(frame: Uint8Array): Uint8Array {
  const header = frameHeader(new DataView(frame.buffer, frame.byteOffset, frame.byteLength));
  return frame.subarray(header.headerBytes);
}

/** Texts with repetitions near and far, runs of a byte, and noise: what each kind of block is made for. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .tuple(fc.nat(255), fc.integer({ min: 1, max: 5000 }))
        .map(([byte, length]) => new Uint8Array(length).fill(byte)),
      fc
        .constantFrom("CollectionObject", "//textures/skin.png\0\0\0\0", "the same again and again ")
        .map((text) => new TextEncoder().encode(text)),
      fc.nat(255).map((seed) => Uint8Array.from({ length: 3000 }, (_, at) => (at * at * seed) >> 7)),
    ),
    { maxLength: 60 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

describe("zstd", () => {
  test("content comes back as it was, for all levels", () => {
    fc.assert(
      fc.property(content, fc.constantFrom(-5, 1, 3, 7, 12, 19), (bytes, level) => {
        const decoded = decodeZstdBlocks(blocksOf(compress(bytes, level)), bytes.length);
        expect(Buffer.compare(decoded, bytes)).toBe(0);
      }),
      { numRuns: 120 },
    );
  });

  test("content of several blocks comes back as it was", () => {
    const bytes = Uint8Array.from({ length: 700_000 }, (_, at) => ((at * 7919) >> 5) ^ (at >> 11));
    for (const level of [1, 9, 19]) {
      expect(Buffer.compare(decodeZstdBlocks(blocksOf(compress(bytes, level)), bytes.length), bytes)).toBe(0);
    }
  });

  test("the beginning of a frame is what it is of the whole, also when the rest is not there", () => {
    const bytes = Uint8Array.from({ length: 700_000 }, (_, at) => ((at * 7919) >> 5) ^ (at >> 11));
    for (const level of [1, 9, 19]) {
      const stored = blocksOf(compress(bytes, level));
      fc.assert(
        fc.property(fc.nat(bytes.length), fc.nat(stored.length), (enough, length) => {
          const all = decodeZstdBlocks(stored, bytes.length, enough);
          expect(all.length).toBeGreaterThanOrEqual(enough);
          expect(Buffer.compare(all, bytes.subarray(0, all.length))).toBe(0);
          if (enough === bytes.length) return;
          const part = decodeZstdBlocks(stored.subarray(0, length), bytes.length, enough);
          expect(Buffer.compare(part, bytes.subarray(0, part.length))).toBe(0);
        }),
        { numRuns: 40 },
      );
    }
  });

  test("another length than the frame has is refused", () => {
    const frame = blocksOf(compress(new TextEncoder().encode("some text, some text, some text"), 3));
    for (const size of [0, 30, 32]) expect(() => decodeZstdBlocks(frame, size)).toThrow(BlendError);
  });

  test("damaged data is refused or read, and never anything else", () => {
    const bytes = Uint8Array.from({ length: 20_000 }, (_, at) => (at * at) >> 9);
    const frame = blocksOf(compress(bytes, 3));
    fc.assert(
      fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = frame.slice();
        damaged[at] = damaged[at]! ^ flip;
        try {
          expect(decodeZstdBlocks(damaged, bytes.length)).toHaveLength(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(BlendError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
