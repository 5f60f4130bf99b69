/**
 * JPEGs of real programs: Blender 3.4.1 and 4.5.15 (also of a world of one colour, dithered as by default), ffmpeg
 * 5.1, and libjpeg through Pillow 13 (`progressive`, `subsampling`, `restart_marker_blocks`). In those called
 * `one-pixel`, only the last pixel differs.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SEED } from "../../test/support/seed.ts";
import { findings, lookAt } from "./index.ts";

const FOLDER = new URL("fixtures/", import.meta.url);
const files = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".jpg"))
  .map((name): [string, Buffer] => [name, readFileSync(new URL(name, FOLDER))]);

describe("P12: a JPEG that is looked at", () => {
  test.each(files)("%s: whether it has one colour", async (name, bytes) => {
    const facts = await lookAt(bytes);
    expect(facts).toMatchObject({ format: "JPEG", broken: null, oneColour: name.startsWith("flat") });
  });

  test("of arithmetic codes, 12 bits, or tables that are missing, it is not known", async () => {
    const [, bytes] = files.find(([name]) => name === "flat-libjpeg-progressive-grey.jpg")!;
    const frame = bytes.indexOf(Buffer.of(0xff, 0xc2, 0, 11));
    const changed = (at: number, byte: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at] = byte;
      return copy;
    };
    const tables = bytes.indexOf(Buffer.of(0xff, 0xc4));
    for (const copy of [changed(frame + 1, 0xca), changed(frame + 4, 12), changed(tables + 1, 0xe4)])
      expect(await lookAt(copy)).toMatchObject({ broken: null, oneColour: null });
  });

  test("each file that is cut off is told, wherever it was cut", async () => {
    for (const [name, bytes] of files.filter(([, { length }]) => length < 900))
      for (let length = 0; length < bytes.length; length += 3) {
        const [finding] = findings("a.jpg", await lookAt(bytes.subarray(0, length)), null);
        expect(finding, `${name}: ${length}`).toMatch(/^the picture is (not whole:|no )/);
      }
  });

  test("hostile bytes cost bounded time and memory, and never an exception", async () => {
    const hostile = fc
      .tuple(
        fc.constantFrom(...files.map(([, bytes]) => bytes)),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 12 }),
      )
      .map(([bytes, changes]) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, byte] of changes) copy[at % (copy.length - 2)] = byte;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        const { oneColour } = await lookAt(bytes);
        expect([true, false, null]).toContain(oneColour);
      }),
      { seed: SEED, numRuns: 3_000 },
    );
    // Of 65,535 × 65,535 pixels, in a file of 284 bytes.
    const [, bytes] = files.find(([name]) => name === "flat-libjpeg-progressive-grey.jpg")!;
    const huge = Buffer.from(bytes);
    huge.fill(0xff, bytes.indexOf(Buffer.of(0xff, 0xc2, 0, 11)) + 5, bytes.indexOf(Buffer.of(0xff, 0xc2, 0, 11)) + 9);
    expect(await lookAt(huge)).toMatchObject({ width: 65_535, height: 65_535, oneColour: null });
  });
});
