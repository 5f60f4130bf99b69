/**
 * The end of a task: how long workers are idle there, with chunk auto and with fixed chunks. Frames
 * of a recorded shot.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { simulateChunks } from "../../support/chunk-simulation.ts";
import type { Case, Row } from "../case.ts";
import { percent, short } from "../numbers.ts";
import { CHECKOUT } from "../runtime.ts";

const WORKERS = 4;
const LOAD_S = 2;
const FIXED = [1, 5, 10, 25];

export const chunks: Case = {
  name: "chunks",
  async run() {
    const file = path.join(CHECKOUT, "test/support/uneven-shot.json");
    const frames = JSON.parse(readFileSync(file, "utf8")) as number[];
    const run = (chunk: number | "auto") => simulateChunks(frames, { workers: WORKERS, loadS: LOAD_S, chunk });
    const auto = run("auto");
    const fixed = FIXED.map((chunk) => ({ chunk, ...run(chunk) }));
    const best = fixed.reduce((a, b) => (a.wallS < b.wallS ? a : b));
    const row: Row = {
      what: "the tail of a task at chunk auto",
      figure: `${short(auto.idleS)} s idle, ${percent(auto.idleS / best.idleS)} of the best fixed size`,
      goal: "less than the fixed size that ends first",
      reached: auto.idleS < best.idleS,
      detail: `${frames.length} frames of ${short(Math.min(...frames))} to ${short(Math.max(...frames))} s, recorded from Blender, replayed through the real rules on ${WORKERS} workers that load for ${LOAD_S} s; wall and idle seconds: auto ${short(auto.wallS)} and ${short(auto.idleS)}; ${fixed.map(({ chunk, wallS, idleS }) => `${chunk}: ${short(wallS)} and ${short(idleS)}`).join("; ")}`,
    };
    return [row];
  },
};
