/** `npm run demo`: the first command of a new user. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { endAllChildren } from "../support/child.ts";
import { expectFrames, processesOf, startDemo } from "../support/demo.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

afterAll(endAllChildren);

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

test.each(["SIGINT", "SIGKILL"] as const)("%s in the middle leaves no process", async (signal) => {
  const folder = testFolder("demo");
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  const demo = startDemo(folder, { PATH: bin });
  await until(() => demo.stderr().includes("task 1:"), { what: "it renders" });
  expect(processesOf(folder).length).toBeGreaterThan(2);
  const { code } = await demo.end(signal);
  if (signal === "SIGINT") expect(code).toBe(130);
  await until(() => processesOf(folder).length === 0, { what: "every process is gone" });
});
