/** `npm run demo` on a machine with Node alone: part of `npm test`. */
import { mkdirSync, symlinkSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { endAllChildren } from "../support/child.ts";
import { expectFrames, processesOf, startDemo } from "../support/demo.ts";
import { testFolder } from "../support/folders.ts";

afterAll(endAllChildren);

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
