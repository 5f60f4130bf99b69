/** The scenes of `test/e2e/fixtures/scenes.py`, made by Blender when a test needs them. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { encodePng } from "../../src/demo-renderer/png.ts";

const SCRIPT = path.resolve(import.meta.dirname, "../e2e/fixtures/scenes.py");

/** A function's name in the script; the name says what is special about the scene. */
export type SceneName =
  | "textured"
  | "slow"
  | "denoised"
  | "healthy"
  | "untextured"
  | "broken_script"
  | "broken_handler"
  | "quitting_script";

/** Make the scenes in one run of Blender; returns the path of each .blend. */
export function makeScenes<N extends SceneName>(folder: string, ...names: N[]): Record<N, string> {
  mkdirSync(folder, { recursive: true });
  execFileSync(
    "blender",
    ["-b", "--factory-startup", "--python-exit-code", "1", "--python", SCRIPT, "--", folder, ...names],
    { stdio: "pipe", timeout: 120_000 },
  );
  return Object.fromEntries(names.map((name) => [name, path.join(folder, `${name}.blend`)])) as Record<N, string>;
}

export type Colour = readonly [red: number, green: number, blue: number];

/** A picture of two colours, one above the other. */
export function writeTexture(file: string, upper: Colour, lower: Colour): void {
  const side = 8;
  const pixels = Array.from({ length: side * side }, (_, i) => (i < (side * side) / 2 ? upper : lower));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, encodePng(side, side, Uint8Array.from(pixels.flat())));
}
