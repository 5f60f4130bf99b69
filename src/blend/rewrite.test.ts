import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Patch } from "./layout.ts";
import { patchedContent, segmentsOf, storedZstdFrame, type Segment } from "./rewrite.ts";
import type { BlendFile, StoredFrame } from "./types.ts";
import { decodeRun } from "./zstd-run.ts";

const MANY = { numRuns: 60 };

/** A file whose bytes are numbers that tell their places. */
function content(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

function fileOf(bytes: Uint8Array, frames?: StoredFrame[]): BlendFile {
  return {
    compression: frames ? "zstd" : "none",
    version: { major: 4, minor: 5 },
    versionText: "4.5",
    size: bytes.length,
    ...(frames && { frames }),
    read: async (offset, length) => bytes.slice(offset, offset + length),
  };
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return Uint8Array.from(Buffer.concat(parts));
}

async function decompress(bytes: Uint8Array): Promise<Uint8Array> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => bytes.slice(offset, offset + length);
  return await collected(decodeRun({ size: bytes.length, read }));
}

function joined(segments: readonly Segment[], stored: Uint8Array): Uint8Array {
  const parts = segments.map((one) => ("bytes" in one ? one.bytes : stored.subarray(one.from, one.to)));
  return Uint8Array.from(Buffer.concat(parts));
}

function expected(bytes: Uint8Array, patches: readonly Patch[]): Uint8Array {
  const copy = bytes.slice();
  for (const { offset, capacity, text } of patches) {
    copy.fill(0, offset, offset + capacity);
    copy.set(new TextEncoder().encode(text), offset);
  }
  return copy;
}

/** Patches that do not overlap. */
const patchesIn = (size: number): fc.Arbitrary<Patch[]> =>
  fc
    .array(fc.nat(Math.floor(size / 40) - 1), { maxLength: 6 })
    .map((places) =>
      [...new Set(places)].map((place) => ({ offset: place * 40 + 3, capacity: 30, text: `//tex/${place}.png` })),
    );

describe("P12: a copy differs from the file in the rewritten paths only", () => {
  it("of an uncompressed file", async () => {
    const bytes = content(5_000);
    await fc.assert(
      fc.asyncProperty(patchesIn(5_000), async (patches) => {
        const segments = await segmentsOf(fileOf(bytes), bytes.length, patches);
        expect(Buffer.compare(joined(segments!, bytes), expected(bytes, patches))).toBe(0);
      }),
      MANY,
    );
  });

  it("of a zstd file, whose frames may end within a path", async () => {
    const bytes = content(5_000);
    await fc.assert(
      fc.asyncProperty(patchesIn(5_000), fc.integer({ min: 700, max: 3_000 }), async (patches, frameSize) => {
        const frames: StoredFrame[] = [];
        const stored: Uint8Array[] = [];
        let at = 0;
        for (let offset = 0; offset < bytes.length; offset += frameSize) {
          const part = bytes.subarray(offset, offset + frameSize);
          const frame = storedZstdFrame(part);
          frames.push({ storedOffset: at, storedSize: frame.length, offset, size: part.length });
          stored.push(frame);
          at += frame.length;
        }
        const file = fileOf(bytes, frames);
        const copy = joined((await segmentsOf(file, at, patches))!, Buffer.concat(stored));
        const table = copy.subarray(copy.length - 9);
        const count = new DataView(table.buffer, table.byteOffset).getUint32(0, true);
        expect(count).toBe(frames.length);
        expect(Buffer.compare(await decompress(copy), expected(bytes, patches))).toBe(0);
      }),
      MANY,
    );
  });

  it("of a file that cannot be changed in places, as its whole content", async () => {
    const bytes = content(2_500_000);
    const file: BlendFile = { ...fileOf(bytes), compression: "gzip" };
    const patches = [999_990, 1_048_570, 2_499_960].map((offset) => ({ offset, capacity: 40, text: `//${offset}` }));
    expect(await segmentsOf(file, 10, patches)).toBeUndefined();
    expect(await segmentsOf({ ...file, compression: "zstd" }, 10, patches)).toBeUndefined();
    const copy = await collected(patchedContent(file, patches));
    expect(Buffer.compare(copy, expected(bytes, patches))).toBe(0);
    expect(Buffer.compare(bytes, content(2_500_000))).toBe(0);
  });

  it("a frame of more than one block", async () => {
    const bytes = content(300_000);
    expect(Buffer.compare(await decompress(storedZstdFrame(bytes)), bytes)).toBe(0);
    expect(await decompress(storedZstdFrame(new Uint8Array(0)))).toHaveLength(0);
  });

  it("a text that does not fit, and two patches of the same bytes, are refused", async () => {
    const bytes = content(100);
    const patch = { offset: 10, capacity: 8, text: "//long/name" };
    await expect(segmentsOf(fileOf(bytes), 100, [patch])).rejects.toThrow("does not fit");
    const two = [
      { offset: 10, capacity: 8, text: "//a" },
      { offset: 12, capacity: 8, text: "//b" },
    ];
    await expect(segmentsOf(fileOf(bytes), 100, two)).rejects.toThrow("share the bytes");
  });
});
