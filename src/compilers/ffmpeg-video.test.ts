import { describe, expect, it } from "vitest";
import type { Argument } from "../protocol/plan.ts";
import { compileSubmission, planFor } from "./index.ts";

function plan(settings: Record<string, unknown>) {
  const result = compileSubmission({ type: "ffmpeg_video", settings });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return {
    ...planFor("ffmpeg_video", "ffmpeg", result.value.settings, [1], "linux"),
    description: result.value.description,
  };
}

function after(args: Argument[], flag: string): Argument | undefined {
  return args[args.indexOf(flag) + 1];
}

describe("ffmpeg_video", () => {
  it("takes another task's frames and leaves one video", () => {
    const { command, outputs, input_task, description } = plan({ task: 7 });
    expect(input_task).toBe(7);
    expect(description).toMatchObject({ inputTask: 7, filesPerFrame: 1, format: "MP4", programs: ["ffmpeg"] });
    expect(outputs).toEqual([{ frame: 1, name: "video.mp4" }]);
    expect(after(command.args, "-i")).toEqual({ in: "%06d.png" });
    expect(command.args.at(-1)).toEqual({ out: "video.mp4" });
    expect(after(command.args, "-framerate")).toBe("24");
    expect(after(command.args, "-crf")).toBe("18");
    expect(command.args).toContain("-xerror");
  });

  it("takes name, rate, quality and extension; EXR gets a transfer curve", () => {
    const { command, outputs } = plan({ task: 7, name: "shot.v2", fps: 23.976, crf: 0, preset: "slow", ext: "exr" });
    expect(outputs).toEqual([{ frame: 1, name: "shot.v2.mp4" }]);
    expect(after(command.args, "-i")).toEqual({ in: "%06d.exr" });
    expect(after(command.args, "-framerate")).toBe("23.976");
    expect(command.args.indexOf("-apply_trc")).toBeLessThan(command.args.indexOf("-i"));
    expect(plan({ task: 7 }).command.args).not.toContain("-apply_trc");
  });

  it.each([
    [{}, "settings.task"],
    [{ task: 0 }, "settings.task"],
    [{ task: 1, fps: 0 }, "settings.fps"],
    [{ task: 1, crf: 52 }, "settings.crf"],
    [{ task: 1, preset: "placebo; rm" }, "settings.preset"],
    [{ task: 1, ext: "../png" }, "settings.ext"],
    [{ task: 1, name: "../video" }, "settings.name"],
    [{ task: 1, frames: "1-2" }, "settings.frames"],
  ])("P10: refuses %j at %s", (settings, field) => {
    const result = compileSubmission({ type: "ffmpeg_video", settings });
    const errors = result.ok ? [] : (result.error.errors ?? []);
    expect([...new Set(errors.map((error) => error.field))]).toEqual([field]);
  });
});
