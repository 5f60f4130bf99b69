/** The example of a task type: manager and agent accept it. */
import { expect, test } from "vitest";
import { ffmpegStills } from "../../examples/task-type/ffmpeg-stills.ts";
import { COMPILERS } from "../../src/compilers/index.ts";
import { PARSERS } from "../../src/parsers/index.ts";
import { planSchema } from "../../src/protocol/plan.ts";

const assets = [{ path: "shots/take.mp4", sha256: "0".repeat(64), size: 10 }];
const settings = ffmpegStills.settings.parse({ movie: "shots/take.mp4", assets, frames: "2-6:2", width: 64 });

test("it has a unique name, and a parser and programs that exist", () => {
  const names = COMPILERS.flatMap(({ type, aliases }) => [type, ...aliases]);
  expect(names).not.toContain(ffmpegStills.type);
  expect(PARSERS.map(({ name }) => name)).toContain(ffmpegStills.parser);
  expect(COMPILERS.flatMap(({ programs }) => programs)).toEqual(expect.arrayContaining([...ffmpegStills.programs]));
});

test("its plan is valid for an agent: one file for each frame of the lease", () => {
  const plan = planSchema.parse({ ...ffmpegStills.plan(settings, [2, 4], "linux"), parser: ffmpegStills.parser });
  expect(plan.outputs).toEqual([
    { frame: 2, name: "still_0002.png" },
    { frame: 4, name: "still_0004.png" },
  ]);
  expect(plan.command.args).toContainEqual({ in: "shots/take.mp4" });
  expect(plan.command.args).toContain("select=eq(n\\,3),scale=64:-2");
  expect(ffmpegStills.describe(settings)).toMatchObject({ format: "PNG", filesPerFrame: 1, inputs: assets });
});

test("settings that it cannot render are refused by their field", () => {
  const refused = ffmpegStills.settings.safeParse({ movie: "other.mp4", assets, frames: "1" });
  expect(refused.error?.issues).toMatchObject([{ path: ["movie"], message: "must be one of `assets`" }]);
  expect(ffmpegStills.settings.safeParse({ movie: "shots/take.mp4", assets }).success).toBe(false);
});
