import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readerOf, readTar, readZip, type ReadAt } from "../../../test/support/archive-readers.ts";
import { crc32, crc32Text } from "../../lib/crc32.ts";
import { piecesOf, type Layout } from "./layout.ts";
import { tarLayout } from "./tar.ts";
import { zipLayout, type ZipEntry } from "./zip.ts";

/** A range of an archive whose files have these contents. */
function bytesOf(layout: Layout, contents: readonly Uint8Array[], offset = 0, length = layout.size - offset): Buffer {
  const pieces = piecesOf(layout, { offset, length }).map((piece) => {
    if ("bytes" in piece) return piece.bytes();
    const content = contents[piece.entry]!;
    const { range } = piece;
    return range ? content.subarray(range.offset, range.offset + range.length) : content;
  });
  return Buffer.concat(pieces);
}

/** Reads an archive's own bytes, when its files are too large to exist. */
function ownBytes(layout: Layout): ReadAt {
  return (offset, length) => {
    const pieces = piecesOf(layout, { offset, length }).map((piece) => {
      if ("entry" in piece) throw new Error(`${length} bytes at ${offset} reach into file ${piece.entry}`);
      return piece.bytes();
    });
    return Buffer.concat(pieces);
  };
}

const MADE_MS = Date.UTC(2026, 10, 27, 13, 14, 16);

function entryOf(path: string, size: number, modifiedMs = MADE_MS): ZipEntry {
  return { path, size, modifiedMs, crc32: "01234567" };
}

const FORMATS = [
  ["zip", zipLayout],
  ["tar", tarLayout],
] as const;

const path = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 200 })
  // oxlint-disable-next-line no-control-regex
  .map((text) => text.replace(/[\u0000-\u001f\\]/g, "_").toWellFormed());
const file = fc.record({
  path,
  content: fc.uint8Array({ maxLength: 1_200 }),
  seconds: fc.integer({ min: 400_000_000, max: 2_000_000_000 }),
});
const files = fc.array(file, { maxLength: 6 });

interface Made {
  path: string;
  content: Uint8Array;
  seconds: number;
}

function madeOf(made: readonly Made[]): { entries: ZipEntry[]; contents: Uint8Array[] } {
  const entries = made.map(({ path, content, seconds }) => ({
    path,
    size: content.length,
    modifiedMs: seconds * 1_000,
    crc32: crc32Text(crc32(content)),
  }));
  return { entries, contents: made.map(({ content }) => content) };
}

describe.each(FORMATS)("a %s", (format, layoutOf) => {
  const read = (bytes: Uint8Array) =>
    format === "zip" ? readZip(bytes.length, readerOf(bytes)).files : readTar(bytes.length, readerOf(bytes));

  test("is read by another reader: paths, sizes, times and bytes", () => {
    fc.assert(
      fc.property(files, (made) => {
        const { entries, contents } = madeOf(made);
        const layout = layoutOf(entries);
        const bytes = bytesOf(layout, contents);
        expect(bytes.length).toBe(layout.size);
        const found = read(bytes);
        expect(found.map(({ path, size, modifiedMs }) => ({ path, size, modifiedMs }))).toEqual(
          entries.map(({ path, size, modifiedMs }) => ({ path, size, modifiedMs })),
        );
        for (const [index, { at, size }] of found.entries())
          expect(bytes.subarray(at, at + size).equals(contents[index]!)).toBe(true);
      }),
    );
  });

  test("has the same bytes in any range as in the whole", () => {
    fc.assert(
      fc.property(files, fc.nat(), fc.nat(), (made, from, length) => {
        const { entries, contents } = madeOf(made);
        const layout = layoutOf(entries);
        const whole = bytesOf(layout, contents);
        const offset = from % layout.size;
        const end = offset + 1 + (length % (layout.size - offset));
        expect(bytesOf(layout, contents, offset, end - offset).equals(whole.subarray(offset, end))).toBe(true);
      }),
    );
  });

  test("opens only the files that a range needs, and those whole that it needs whole", () => {
    const layout = layoutOf([entryOf("a", 10), entryOf("b", 10), entryOf("c", 10)]);
    const whole = piecesOf(layout, { offset: 0, length: layout.size });
    expect(whole.flatMap((piece) => ("entry" in piece ? [piece] : []))).toMatchObject([
      { entry: 0, range: null },
      { entry: 1, range: null },
      { entry: 2, range: null },
    ]);
    const contents = ["a", "b", "c"].map((letter) => Buffer.alloc(10, letter));
    const bytes = bytesOf(layout, contents);
    const { at } = read(bytes)[1]!;
    expect(piecesOf(layout, { offset: at + 3, length: 4 })).toEqual([{ entry: 1, range: { offset: 3, length: 4 } }]);
  });
});

describe("a zip", () => {
  test("states the CRC-32 that came with a file", () => {
    const layout = zipLayout([entryOf("a.png", 3)]);
    const bytes = bytesOf(layout, [new Uint8Array(3)]);
    expect(readZip(bytes.length, readerOf(bytes)).files[0]!.crc32).toBe(0x01234567);
  });

  test("uses Zip64 for a file, a place or a directory of 4 GiB, and only then", () => {
    const MAX = 0xffff_ffff;
    const wide = (sizes: readonly number[]): unknown => {
      const layout = zipLayout(sizes.map((size, index) => entryOf(`${index}`, size)));
      const { files, zip64 } = readZip(layout.size, ownBytes(layout));
      expect(files.map(({ size }) => size)).toEqual(sizes);
      return [files.map((one) => one.zip64), zip64];
    };
    expect(wide([1_000, 2_000])).toEqual([[false, false], false]);
    expect(wide([MAX - 1])).toEqual([[false], true]);
    expect(wide([MAX])).toEqual([[true], true]);
    expect(wide([5e9, 7, 9e12])).toEqual([[true, true, true], true]);
    // The second file begins below 4 GiB, the third above.
    expect(wide([4e9, 4e8, 1])).toEqual([[false, false, true], true]);
    expect(wide([3e9, 1e9])).toEqual([[false, false], false]);
  });

  test("uses Zip64 for 65,535 files", () => {
    const ends = [65_534, 65_535].map((count) => {
      const layout = zipLayout(Array.from({ length: count }, (_, index) => entryOf(`${index}`, 0)));
      const { files, zip64 } = readZip(layout.size, readerOf(bytesOf(layout, [])));
      return [files.length, zip64];
    });
    expect(ends).toEqual([
      [65_534, false],
      [65_535, true],
    ]);
  });

  test("has times in UTC, within what its fields can state", () => {
    const layout = zipLayout([entryOf("a", 0), entryOf("b", 0, 0), entryOf("c", 0, Date.UTC(2200, 0, 1))]);
    const bytes = Uint8Array.from(bytesOf(layout, []));
    const view = new DataView(bytes.buffer);
    const dos = readZip(bytes.length, readerOf(bytes)).files.map(({ at, path }) => {
      // The extra field of the time is the last of a local header.
      const local = at - 30 - path.length - 9;
      return [view.getUint16(local + 12, true), view.getUint16(local + 10, true)];
    });
    expect(dos).toEqual([
      [((2026 - 1980) << 9) | (11 << 5) | 27, (13 << 11) | (14 << 5) | 8],
      [(1 << 5) | 1, 0],
      [(127 << 9) | (12 << 5) | 31, (23 << 11) | (59 << 5) | 29],
    ]);
  });
});

describe("a tar", () => {
  test("holds files of 8 GiB and more, and long paths, in extended headers", () => {
    const entries = [
      entryOf("small", 1),
      entryOf("just below.exr", 8 * 2 ** 30 - 1),
      entryOf("large.exr", 8 * 2 ** 30),
      entryOf("p".repeat(100), 5),
      entryOf("p".repeat(101), 3e12),
      entryOf("grün/絵.exr", 5),
    ];
    const layout = tarLayout(entries);
    expect(readTar(layout.size, ownBytes(layout)).map(({ path, size }) => [path, size])).toEqual(
      entries.map(({ path, size }) => [path, size]),
    );
  });

  test("counts the digits of a record's own length, also where they carry over", () => {
    for (let length = 80; length < 110; length++) {
      const layout = tarLayout([entryOf("é".repeat(length), 0)]);
      expect(readTar(layout.size, ownBytes(layout))[0]!.path).toBe("é".repeat(length));
    }
  });
});
