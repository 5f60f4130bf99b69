/** Compressed files, decompressed by Node and by what browsers have: the same contents, and the same errors. */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  FIXTURE_VERSIONS,
  fixture,
  LAYOUTS,
  makeFile,
  seekTable,
  smallScene,
  smallSceneBlocks,
  sourceOf,
} from "../../test/support/blend-files.ts";
import type { BlendContents, ByteSource } from "./types.ts";

const MODERN = LAYOUTS[3]!;
type Read = (source: ByteSource) => Promise<BlendContents>;

/** Numbers that do not repeat soon, so that they compress as little as a mesh does. */
const noise = (length: number): Uint8Array =>
  new Uint8Array(Float32Array.from({ length: length / 4 }, (_, at) => Math.sin(at * at)).buffer);

/** A scene with blocks of a mesh in front of its pictures, which lie in another part of the file than its header. */
function meshScene(lengths: number[]): Uint8Array {
  const [first, ...rest] = smallSceneBlocks();
  const meshes = lengths.map((length, at) => ({
    code: "DATA",
    struct: "Link",
    address: 1000 + at,
    raw: noise(length),
  }));
  return makeFile(MODERN, [first!, ...meshes, ...rest]);
}

/** As Blender stores it: a frame for each part of the file, and the table of them. */
function inFrames(bytes: Uint8Array, frameBytes: number): Uint8Array {
  const parts = Array.from({ length: Math.ceil(bytes.length / frameBytes) }, (_, at) =>
    bytes.subarray(at * frameBytes, (at + 1) * frameBytes),
  );
  const frames = parts.map((part) => zstdCompressSync(part, { pledgedSrcSize: part.length }));
  const table = seekTable(
    frames,
    parts.map(({ length }) => length),
  );
  return new Uint8Array(Buffer.concat([...frames, table]));
}

describe.each(["Node", "a browser"])("P12: by the decompressors of %s", (runtime) => {
  let read: Read;
  beforeAll(async () => {
    vi.resetModules();
    if (runtime !== "Node")
      vi.stubGlobal("process", Object.create(process, { getBuiltinModule: { value: undefined } }) as unknown);
    ({ readContents: read } = await import("./read-contents.ts"));
    vi.unstubAllGlobals();
  });
  afterAll(() => {
    vi.resetModules();
  });

  const failure = async (bytes: Uint8Array): Promise<unknown> => await read(sourceOf(bytes)).catch((error) => error);

  test.each(FIXTURE_VERSIONS)("a scene of Blender %s, also in one stream of gzip", async (version) => {
    const { openBlend } = await import("./open.ts");
    const stored = fixture(version);
    const file = await openBlend(sourceOf(stored));
    const plain = (await file.read(0, file.size)).slice();
    const expected = await read(sourceOf(plain));
    expect(expected.externals.length).toBeGreaterThan(5);
    expect(await read(sourceOf(stored))).toEqual(expected);
    expect(await read(sourceOf(gzipSync(plain)))).toEqual(expected);
  });

  test("gzip that is cut off or changed is refused", async () => {
    const stored = gzipSync(smallScene(MODERN));
    for (let length = 2; length < stored.length; length += 7)
      expect(String(await failure(stored.subarray(0, length)))).toMatch(/gzip data is damaged|truncated|not a .blend/);
    const changed = Uint8Array.from(stored);
    changed.fill(0xff, 40, 60);
    expect(String(await failure(changed))).toMatch(/gzip data is damaged|file is damaged/);
  });

  test("an error of the disk is told as it is", async () => {
    const stored = gzipSync(meshScene([3_000_000]), { level: 1 });
    const source = sourceOf(stored);
    const reading = read({
      size: source.size,
      read: async (offset, length) => (offset > 0 ? new Uint8Array(0) : await source.read(offset, length)),
    });
    await expect(reading).rejects.toThrow("The file became shorter while it was read.");
  });

  test("zstd frames, wherever the blocks lie in them", async () => {
    for (const lengths of [[1_000_000, 64, 2_500_000], Array.from({ length: 9 }, (_, at) => 90_000 * (at + 1))]) {
      const plain = meshScene(lengths);
      const expected = await read(sourceOf(plain));
      for (const frameBytes of [1024 * 1024, 300_000]) {
        expect(await read(sourceOf(inFrames(plain, frameBytes)))).toEqual(expected);
      }
    }
  });
});
