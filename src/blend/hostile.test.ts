/** Bytes that are made to do harm: each ends in contents or in a BlendError, soon, and with little memory. */
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FIXTURE_VERSIONS,
  fixture,
  inFrames,
  LAYOUTS,
  makeFile,
  type MadeBlock,
  meshScene,
  smallScene,
  smallSceneBlocks,
  sourceOf,
  STRUCTS,
} from "../../test/support/blend-files.ts";
import { openBlend } from "./open.ts";
import { readContents } from "./read-contents.ts";
import { BlendError } from "./types.ts";

const MODERN = LAYOUTS[3]!;

/** Contents or a BlendError; anything else is thrown. */
async function readOrRefuse(bytes: Uint8Array): Promise<string> {
  try {
    const { externals } = await readContents(sourceOf(bytes));
    return `read ${externals.length}`;
  } catch (error) {
    if (!(error instanceof BlendError)) throw error;
    return error.message;
  }
}

/** Changes of some bytes: others, more, fewer. */
const changes = fc.array(
  fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
  { minLength: 1, maxLength: 6 },
);

function changed(bytes: Uint8Array, list: { at: number; bytes: Uint8Array }[], cut = 1): Uint8Array {
  const copy = bytes.slice(0, Math.ceil(bytes.length * cut));
  for (const { at, bytes: next } of list)
    copy.set(next.subarray(0, copy.length), Math.floor(at * Math.max(0, copy.length - 8)));
  return copy;
}

describe("hostile bytes", () => {
  // `TABLAO_BLEND_RUNS` makes it longer; `npm run test:long` does.
  const numRuns = Number(process.env["TABLAO_BLEND_RUNS"] ?? 150);

  test("P10: a small file of any layout with changed bytes", async () => {
    const files = LAYOUTS.map((layout) => smallScene(layout));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        changes,
        fc.double({ min: 0.2, max: 1, noNaN: true }),
        async (file, list, cut) => {
          await readOrRefuse(changed(file, list));
          await readOrRefuse(changed(file, list, cut));
        },
      ),
      { numRuns: numRuns * 4 },
    );
  });

  test("P10: Blender's own files with changed bytes, decompressed and as they are stored", async () => {
    const stored = FIXTURE_VERSIONS.map(fixture);
    const plain: Uint8Array[] = [];
    for (const bytes of stored) {
      const file = await openBlend(sourceOf(bytes));
      plain.push((await file.read(0, file.size)).slice());
    }
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...stored, ...plain), changes, async (file, list) => {
        await readOrRefuse(changed(file, list));
      }),
      { numRuns: Math.ceil(numRuns / 3) },
    );
  });

  test("P10: gzip and zstd with changed bytes", async () => {
    const unsized = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };
    const scene = smallScene(MODERN);
    const files = [gzipSync(scene), zstdCompressSync(scene), zstdCompressSync(scene, unsized)];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), changes, async (file, list) => {
        await readOrRefuse(changed(new Uint8Array(file), list));
      }),
      { numRuns },
    );
  });

  test("P10: frames of zstd that are decompressed in part or ahead, with changed bytes", async () => {
    const early = meshScene(
      MODERN,
      Array.from({ length: 9 }, () => 199_976),
    );
    const late = meshScene(MODERN, [190_000, ...Array.from({ length: 9 }, () => 199_976)]);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(inFrames(early, 200_000), inFrames(late, 200_000)),
        changes,
        async (file, list) => {
          await readOrRefuse(changed(file, list));
        },
      ),
      { numRuns },
    );
  });

  test("P10: random bytes behind a good beginning", async () => {
    const starts = ["BLENDER-v405", "BLENDER_V249", "BLENDER17-01v0500", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd"];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 600 }), async (start, rest) => {
        const bytes = new Uint8Array(Buffer.from(start, "latin1"));
        await readOrRefuse(new Uint8Array(Buffer.concat([bytes, rest])));
      }),
      { numRuns: numRuns * 2 },
    );
  });
});

describe("what would take for ever or all memory", () => {
  const blocks = smallSceneBlocks();

  test("a million empty blocks with one address", async () => {
    const empty = new Uint8Array(24);
    empty.set([...new TextEncoder().encode("DATA")]);
    empty[8] = 99;
    const many = new Uint8Array(24 * 1_000_000);
    for (let at = 0; at < many.length; at += 24) many.set(empty, at);
    const file = makeFile(MODERN, blocks);
    const start = file.subarray(0, 12);
    const joined = new Uint8Array(Buffer.concat([start, many, file.subarray(12)]));
    expect(await readOrRefuse(joined)).toBe("read 2");
  });

  test("more blocks than there may be are refused", async () => {
    const page = new Uint8Array(24 * 65_536);
    for (let at = 0; at < page.length; at += 24) page.set(new TextEncoder().encode("DATA"), at);
    const start = new TextEncoder().encode("BLENDER-v405");
    // The same page again and again, without a file of that length.
    const source = {
      size: 12 + 24 * 100_000_000,
      read: async (offset: number, length: number): Promise<Uint8Array> => {
        const bytes = new Uint8Array(length);
        for (let at = 0; at < length;) {
          if (offset + at < 12) bytes[at] = start[offset + at++]!;
          else {
            const part = page.subarray((offset + at - 12) % page.length).subarray(0, length - at);
            bytes.set(part, at);
            at += part.length;
          }
        }
        return bytes;
      },
    };
    await expect(openBlend(source)).rejects.toThrow("The file has more than 3,000,000 blocks");
  });

  test("a list that is a circle", async () => {
    const structs = {
      ...STRUCTS,
      Scene: ["ID id", "Object *camera", "RenderData r", "ListBase view_layers", "ListBase markers"],
      ViewLayer: ["ViewLayer *next", "ViewLayer *prev", "char name[64]"],
    };
    const circle: MadeBlock[] = [
      blocks[0]!,
      { ...blocks[1]!, values: { ...blocks[1]!.values, "view_layers.first": 50 } },
      { code: "DATA", struct: "ViewLayer", address: 50, values: { next: 51, name: "A" } },
      { code: "DATA", struct: "ViewLayer", address: 51, values: { next: 50, name: "B" } },
      ...blocks.slice(2),
    ];
    const { summary } = await readContents(sourceOf(makeFile(MODERN, circle, structs)));
    expect(summary.scenes[0]?.viewLayers.map(({ name }) => name)).toEqual(["A", "B"]);
  });

  test("a struct that contains itself", async () => {
    const file = makeFile(MODERN, blocks);
    // The type of `r` in Scene becomes Scene.
    const text = Buffer.from(file).toString("latin1");
    expect(text).toContain("RenderData");
    const twice = Uint8Array.from(Buffer.from(text.replace("RenderData\0", "Scene\0AAAA\0"), "latin1"));
    expect(await readOrRefuse(twice)).toMatch(/^read|damaged/);
  });

  test("gigabytes of zeros in a few kilobytes of gzip", async () => {
    const header = Buffer.from(smallScene(MODERN).subarray(0, 12));
    const block = Buffer.alloc(24);
    block.write("DATA");
    block.writeInt32LE(0x7fffffff, 4);
    // One block of 2 GiB of which 100 MB are there.
    const stored = gzipSync(Buffer.concat([header, block, Buffer.alloc(100 * 1024 * 1024)]), { level: 1 });
    const before = process.memoryUsage().rss;
    expect(await readOrRefuse(new Uint8Array(stored))).toMatch(/truncated/);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  test("a zstd frame that asks for a window of gigabytes", async () => {
    // Magic, no content size, window descriptor 0xa8: 2 GiB; then one raw block.
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x09, 0x00, 0x00, 0x41);
    expect(await readOrRefuse(frame)).toMatch(/window above 32 MiB/);
  });

  test("a zstd block whose sequences make more than a block may hold", async () => {
    // 65,791 sequences of one symbol each, by tables of single symbols: matches of up to 131,074 bytes.
    const body = [0x01, 0x41, 0xff, 0x01, 0x81, 0x54, 0x00, 0x00, 52, ...Array.from({ length: 200_000 }, () => 0xff)];
    const length = Math.min(body.length, 131_071);
    const header = (length << 3) | (2 << 1) | 1;
    const frame = Uint8Array.from([
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0x80,
      0x58,
      0x00,
      0x00,
      0x10,
      0x00,
      header & 255,
      (header >> 8) & 255,
      header >> 16,
      ...body.slice(0, length),
    ]);
    expect(await readOrRefuse(frame)).toMatch(/zstd data of the file is damaged/);
  });
});
