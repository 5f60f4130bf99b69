/** All layouts and compressions, with files made by hand, and what is no .blend file. */
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  fixture,
  LAYOUTS,
  makeFile,
  seekTable,
  smallScene,
  smallSceneBlocks,
  sourceOf,
} from "../../test/support/blend-files.ts";
import { openBlend } from "./open.ts";
import { readContents } from "./read-contents.ts";

const MODERN = LAYOUTS[3]!;

/** As Blender does: a frame for each part, and a seek table. */
function seekable(bytes: Uint8Array, frameBytes: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += frameBytes) parts.push(bytes.subarray(at, at + frameBytes));
  const frames = parts.map((part) => zstdCompressSync(part, { pledgedSrcSize: part.length }));
  const sizes = parts.map(({ length }) => length);
  return Buffer.concat([...frames, seekTable(frames, sizes)]);
}

describe.each(LAYOUTS)("a file of $title", (layout) => {
  test("is read", async () => {
    const { summary, externals } = await readContents(sourceOf(smallScene(layout)));
    expect(summary.versionText).toBe(layout.version);
    expect(summary.scenes[0]).toMatchObject({ name: "Shot", start: 5, end: 8, width: 320, engine: "CYCLES" });
    expect(externals.map(({ path, used }) => ({ path, used }))).toEqual([
      { path: "//used.png", used: true },
      { path: "//spare.png", used: false },
    ]);
  });

  test("without a field that is read has no value for it", async () => {
    const blocks = smallSceneBlocks();
    const structs = {
      Link: ["Link *next"],
      ListBase: ["void *first", "void *last"],
      ID: ["char name[66]", "short flag"],
      Scene: ["ID id"],
    };
    const file = makeFile(layout, [{ ...blocks[1]!, values: { "id.name": "SCBare" } }], structs);
    const { summary } = await readContents(sourceOf(file));
    expect(summary.scenes[0]).toMatchObject({ name: "Bare", start: 0, engine: "", viewLayers: [] });
  });
});

describe("compression", () => {
  const plain = smallScene(MODERN);
  const framed = seekable(plain, 1000);
  const frameCount = Math.ceil(plain.length / 1000);
  // A frame as a stream writes it, which does not know how much will come.
  const streamed = zstdCompressSync(plain, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });

  test.each<[string, Uint8Array, string]>([
    ["none", plain, "none"],
    ["gzip", gzipSync(plain), "gzip"],
    ["zstd frames with a seek table", framed, "zstd"],
    ["zstd frames without a seek table", framed.subarray(0, framed.length - 17 - 8 * frameCount), "zstd"],
    ["one zstd frame that does not say its length", streamed, "zstd"],
  ])("%s gives the same content", async (_, stored, compression) => {
    const file = await openBlend(sourceOf(stored));
    expect(file.compression).toBe(compression);
    expect(file.size).toBe(plain.length);
    expect(Buffer.compare(await file.read(0, plain.length), plain)).toBe(0);
    expect((await readContents(sourceOf(stored))).externals).toHaveLength(2);
  });

  test("a seek table that does not fit is not believed", async () => {
    const stored = seekable(plain, 1000);
    stored[stored.length - 9 - 8] = stored[stored.length - 9 - 8]! ^ 1;
    expect((await readContents(sourceOf(stored))).externals).toHaveLength(2);
  });

  test("a gzip file of 40 MB keeps few of its bytes, and is read in two passes", async () => {
    const blocks = smallSceneBlocks();
    const mesh = { code: "DATA", struct: "Link", address: 100, raw: new Uint8Array(8 * 1024 * 1024) };
    const file = gzipSync(makeFile(MODERN, [...blocks.slice(0, 3), mesh, mesh, mesh, mesh, mesh, ...blocks.slice(3)]));
    const reads: { offset: number; length: number }[] = [];
    const { externals } = await readContents(sourceOf(file, reads));
    expect(externals).toHaveLength(2);
    expect(reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(2 * file.length + 4);
  });

  test("of a plain or framed file, only the headers and what is asked for is read", async () => {
    const blocks = smallSceneBlocks();
    const mesh = { code: "DATA", struct: "Link", address: 100, raw: new Uint8Array(8 * 1024 * 1024).fill(7) };
    const file = makeFile(MODERN, [...blocks, mesh, mesh]);
    const reads: { offset: number; length: number }[] = [];
    expect((await readContents(sourceOf(file, reads))).externals).toHaveLength(2);
    expect(reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(2 * 1024 * 1024);
  });
});

describe("what is no .blend file is refused with what it is", () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /it is empty/],
    [
      "a Git LFS pointer",
      text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"),
      /Git LFS pointer/,
    ],
    ["a PNG picture", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), /PNG picture/],
    ["a web page", text("<!DOCTYPE html><html></html>"), /web page/],
    ["a text", text("hello"), /does not begin with BLENDER/],
    ["zeros", new Uint8Array(5000), /not written completely/],
    ["half a header", text("BLENDER-v"), /header is damaged or truncated/],
    ["a picture that is compressed", gzipSync(Uint8Array.of(0x89, 0x50, 0x4e, 0x47)), /PNG picture/],
    ["a file of a later format", text("BLENDER17-02v0600"), /format 2 of a newer Blender \(6\.0\)/],
  ])("%s", async (_, bytes, message) => {
    await expect(openBlend(sourceOf(bytes))).rejects.toThrow(message);
  });

  test.each(["plain", "zstd", "gzip"])("a file (%s) that ends too early", async (kind) => {
    const plain = smallScene(MODERN);
    const stored = kind === "plain" ? plain : kind === "zstd" ? fixture("4.5") : gzipSync(plain);
    for (const part of [0.3, 0.6, 0.95]) {
      const cut = stored.subarray(0, Math.floor(stored.length * part));
      await expect(openBlend(sourceOf(cut))).rejects.toThrow(/truncated/);
    }
  });
});
