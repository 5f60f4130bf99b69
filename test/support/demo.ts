/** `npm run demo` in tests: start it in a folder of its own, and inspect what it left there. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { cleanEnvironment, startChild, type Child } from "./child.ts";
import { CHECKOUT } from "./farm.ts";

const DEMO = path.join(CHECKOUT, "src/launcher/demo.ts");
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Start it; `cwd` gets its output and its temporary files. */
export function startDemo(cwd: string, env: NodeJS.ProcessEnv = {}): Child {
  return startChild(process.execPath, [DEMO], { cwd, env: cleanEnvironment({ TMPDIR: cwd, ...env }) });
}

/**
 * Command lines of the processes that a demo in this folder started: their environment has the
 * folder as TMPDIR. Linux.
 */
export function processesOf(folder: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        if (!readFileSync(`/proc/${name}/environ`, "utf8").includes(folder)) return [];
        return [readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ")];
      } catch {
        return [];
      }
    });
}

/** Expect its 24 frames, each a PNG. */
export function expectFrames(folder: string): void {
  const output = path.join(folder, "demo-output");
  const frames = readdirSync(output).filter((name) => name.endsWith(".png"));
  expect(frames).toHaveLength(24);
  for (const name of frames) expect(readFileSync(path.join(output, name)).subarray(0, 8)).toEqual(PNG);
}
