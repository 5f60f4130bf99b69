import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { chunkSize, MAX_CHUNK } from "./chunking.ts";
import { simulateChunks } from "../../../test/support/chunk-simulation.ts";

/**
 * Seconds of 240 frames as Blender took them on two cores: a calm shot, a move into detail, a
 * dissolve, a cut back.
 */
const SHOT = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, "../../../test/support/uneven-shot.json"), "utf8"),
) as number[];

describe("chunk auto", () => {
  test("begins with one frame, grows while loading dominates, and stays within its bound", () => {
    expect(chunkSize("auto", { frames: 0, frameMs: 0, loadMs: 0 }, 10_000, 4)).toBe(1);
    expect(chunkSize("auto", { frames: 9, frameMs: 1_000, loadMs: 2_000 }, 10_000, 4)).toBe(58);
    expect(chunkSize("auto", { frames: 9, frameMs: 1_000, loadMs: 12_000 }, 10_000, 4)).toBe(120);
    expect(chunkSize("auto", { frames: 9, frameMs: 1, loadMs: 2_000 }, 1_000_000, 4)).toBe(MAX_CHUNK);
  });

  test("shrinks at the end: no worker takes more than half of an even share of the remaining frames", () => {
    const stats = { frames: 9, frameMs: 100, loadMs: 2_000 };
    expect([80, 16, 8, 1].map((pending) => chunkSize("auto", stats, pending, 4))).toEqual([10, 2, 1, 1]);
  });

  test.each([1, 10])("on a recorded shot of uneven frames (× %i), workers stand idle at the end for less", (factor) => {
    const frames = SHOT.map((seconds) => seconds * factor);
    const run = (chunk: number | "auto") => simulateChunks(frames, { workers: 4, loadS: 2, chunk });
    const auto = run("auto");
    expect(auto.idleS).toBeLessThan(run(10).idleS / 3);
    expect(auto.idleS).toBeLessThan(run(25).idleS / 10);
    // The time saved at the end is not lost in loading.
    expect(auto.wallS).toBeLessThan(1.02 * Math.min(...[1, 5, 10, 25].map((chunk) => run(chunk).wallS)));
  });
});
