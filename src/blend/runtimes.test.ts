/** Compressed files, decompressed by Node and by what browsers have: the same contents, and the same errors. */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  FIXTURE_VERSIONS,
  fixture,
  inFrames,
  LAYOUTS,
  meshScene,
  smallScene,
  sourceOf,
} from "../../test/support/blend-files.ts";
import type { BlendContents, ByteSource } from "./types.ts";

const MODERN = LAYOUTS[3]!;
type Read = (source: ByteSource) => Promise<BlendContents>;

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
    const stored = gzipSync(meshScene(MODERN, [3_000_000]), { level: 1 });
    const source = sourceOf(stored);
    const reading = read({
      size: source.size,
      read: async (offset, length) => (offset > 0 ? new Uint8Array(0) : await source.read(offset, length)),
    });
    await expect(reading).rejects.toThrow("The file became shorter while it was read.");
  });

  const MIB = 1024 * 1024;
  test.each<[string, number[]]>([
    ["alone in theirs", [1_000_000, 64, 2_500_000, 4_000_000]],
    ["anywhere", Array.from({ length: 12 }, (_, at) => 90_000 * (at + 1))],
    ["near the end of each", [MIB - 2000, ...Array.from({ length: 8 }, () => MIB - 24)]],
    ["close together", Array.from({ length: 5000 }, (_, at) => 4 * (at % 700))],
  ])("zstd frames, in which the headers of the blocks lie %s", async (_, lengths) => {
    const plain = meshScene(MODERN, lengths);
    const expected = await read(sourceOf(plain));
    expect(expected.externals).toHaveLength(2);
    for (const frameBytes of [MIB, 200_000]) {
      expect(await read(sourceOf(inFrames(plain, frameBytes)))).toEqual(expected);
    }
  });

  test("of a frame that has one header at its beginning, most is neither read nor decompressed", async () => {
    // With its header, each block is as long as a frame.
    const stored = inFrames(
      meshScene(
        MODERN,
        Array.from({ length: 10 }, () => MIB - 24),
      ),
      MIB,
    );
    const reads: { offset: number; length: number }[] = [];
    await read(sourceOf(stored, reads));
    expect(reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(stored.length / 2);
  });

  test("damage is told where it is needed, and not where nothing is read", async () => {
    const lengths = [MIB - 2000, ...Array.from({ length: 8 }, () => MIB - 24)];
    const stored = inFrames(meshScene(MODERN, lengths), MIB);
    const { frames = [] } = await (await import("./open.ts")).openBlend(sourceOf(stored));
    for (const frame of [0, 2, 5, 8]) {
      const changed = stored.slice();
      changed.fill(0, frames[frame]!.storedOffset + 9, frames[frame]!.storedOffset + 100);
      expect(String(await failure(changed))).toMatch("The zstd data of the file is damaged.");
    }
    // One block lies across all of the frames between the first and the last.
    const skipped = inFrames(meshScene(MODERN, [9 * MIB]), MIB);
    skipped.fill(0xff, skipped.length / 3, skipped.length / 2);
    expect((await read(sourceOf(skipped))).externals).toHaveLength(2);
  });

  test("a frame of another length than the table says is refused, although its beginning would be enough", async () => {
    const stored = inFrames(
      meshScene(
        MODERN,
        Array.from({ length: 4 }, () => MIB - 24),
      ),
      MIB,
    );
    // A frame without a dictionary and with a length of four bytes has that length behind magic and descriptor.
    const view = new DataView(stored.buffer);
    expect([stored[4], view.getUint32(5, true)]).toEqual([0xa0, MIB]);
    view.setUint32(5, MIB - 1, true);
    expect(String(await failure(stored))).toMatch("The zstd data of the file is damaged.");
  });
});
