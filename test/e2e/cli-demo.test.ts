/** `npm run demo`: what a new user sees first. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { cleanEnvironment, endAllChildren, startChild, type Child } from "../support/child.ts";
import { CHECKOUT } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

afterAll(endAllChildren);

const DEMO = path.join(CHECKOUT, "src/launcher/demo.ts");
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function startDemo(cwd: string, env: NodeJS.ProcessEnv = {}): Child {
  return startChild(process.execPath, [DEMO], { cwd, env: cleanEnvironment({ TMPDIR: cwd, ...env }) });
}

/** Processes whose environment names this folder: everything that a demo in it started, for it is their TMPDIR. */
function processesOf(folder: string): string[] {
  if (process.platform !== "linux") return [];
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

function expectFrames(folder: string): void {
  const output = path.join(folder, "demo-output");
  const frames = readdirSync(output).filter((name) => name.endsWith(".png"));
  expect(frames).toHaveLength(24);
  for (const name of frames) expect(readFileSync(path.join(output, name)).subarray(0, 8)).toEqual(PNG);
}

testWith(
  "blender",
  "ffmpeg",
  "ffprobe",
)("the demo renders a scene with Blender, makes a video of 24 frames, and leaves no process", async () => {
  const folder = testFolder("demo");
  const demo = startDemo(folder);
  expect(await demo.ended, demo.stderr()).toEqual({ code: 0, signal: null });
  expectFrames(folder);
  const probe = [
    "-v",
    "error",
    "-count_frames",
    "-select_streams",
    "v:0",
    "-show_entries",
    "stream=nb_read_frames,codec_name",
    "-of",
    "csv=p=0",
  ];
  expect(
    execFileSync("ffprobe", [...probe, path.join(folder, "demo-output", "dance.mp4")], { encoding: "utf8" }).trim(),
  ).toBe("h264,24");
  expect(demo.stdout()).toContain("24 frames and dance.mp4 are in ./demo-output");
  expect(processesOf(folder)).toEqual([]);
  expect(readdirSync(folder)).toEqual(["demo-output"]);
});

test("without Blender and ffmpeg it renders with the agent's own ray tracer, and says what to install", async () => {
  const folder = testFolder("demo");
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  symlinkSync(process.execPath, path.join(bin, "node"));
  const demo = startDemo(folder, { PATH: bin });
  expect(await demo.ended, demo.stderr()).toEqual({ code: 0, signal: null });
  expectFrames(folder);
  expect(demo.stdout()).toMatch(/Install Blender/);
  expect(demo.stdout()).toMatch(/Install ffmpeg/);
  expect(processesOf(folder)).toEqual([]);
});

test.each(["SIGINT", "SIGKILL"] as const)("%s in the middle leaves no process", async (signal) => {
  const folder = testFolder("demo");
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  const demo = startDemo(folder, { PATH: bin });
  await until(() => demo.stderr().includes("task 1:"), { withinMs: 60_000, what: "it renders" });
  expect(processesOf(folder).length).toBeGreaterThan(2);
  const { code } = await demo.end(signal, 30_000);
  if (signal === "SIGINT") expect(code).toBe(130);
  await until(() => processesOf(folder).length === 0, { withinMs: 20_000, what: "every process is gone" });
});
