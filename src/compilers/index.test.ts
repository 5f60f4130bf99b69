import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commandSchema, planSchema } from "../protocol/plan.ts";
import { parseFrameList, countFrames, framesOf } from "../protocol/frame-list.ts";
import { canDo } from "../protocol/needs.ts";
import { COMPILERS, compileSubmission, findCompiler, needsOf, planFor, taskTypesFor } from "./index.ts";

const HASH = "a".repeat(64);

/** The smallest settings of each type, for more than one frame where possible. */
const SMALLEST: Record<string, Record<string, unknown>> = {
  blender_render: { file: "shot.blend", assets: [{ path: "shot.blend", sha256: HASH, size: 9 }], frames: "1-12" },
  ffmpeg_video: { task: 7 },
  demo_render: { frames: "1-12" },
  print_string: { text: "olé", frames: "1-12" },
  sleep_simple: { seconds: 0.25, frames: "1-12" },
  exec: { program: "make", args: ["{frame}"], outputs: "out_####.png", frames: "1-12" },
};

function errorsOf(type: string, settings: Record<string, unknown>): Record<string, string> {
  const result = compileSubmission({ type, settings });
  if (result.ok) return { accepted: JSON.stringify(result.value.settings) };
  expect(result.error.code).toBe("invalid");
  return Object.fromEntries((result.error.errors ?? []).map((error) => [error.field, error.message]));
}

function compiled(type: string, settings: Record<string, unknown>) {
  const result = compileSubmission({ type, settings });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

it("a setting that is missing is called required, and one of a wrong kind says what it takes", () => {
  const refusal = (type: string, settings: Record<string, unknown>) => {
    const compiled = compileSubmission({ type, settings });
    return compiled.ok ? null : compiled.error;
  };
  expect(refusal("print_string", { frames: "1" })).toMatchObject({
    detail: "The settings are not right for print_string: settings.text: is required",
    errors: [{ field: "settings.text", message: "is required" }],
  });
  const format = { field: "settings.format", message: 'must be "PNG", "JPEG" or "OPEN_EXR"' };
  expect(refusal("blender_render", { file: "/a.blend", frames: "1", format: "TIFF" })).toMatchObject({
    errors: [format],
  });
  expect(refusal("blender_render", { file: 5, frames: "1" })).toMatchObject({
    errors: [{ field: "settings.file", message: expect.stringContaining("must be text") as string }],
  });
});

describe("the registry", () => {
  it("knows every type of the contract, and no name twice", () => {
    expect(Object.keys(SMALLEST).toSorted()).toEqual(COMPILERS.map((c) => c.type).toSorted());
    const names = COMPILERS.flatMap((c) => [c.type, ...c.aliases]);
    expect(new Set(names).size).toBe(names.length);
    for (const old of ["simple_blender_render", "blender_simple_render"])
      expect(findCompiler(old)?.type).toBe("blender_render");
    expect(findCompiler("toString")).toBeUndefined();
  });

  it("P10: names the unknown type or parser, and what was probably meant", () => {
    const type = compileSubmission({ type: "blender_rendr", settings: {} });
    expect(type).toMatchObject({ ok: false, error: { code: "invalid", errors: [{ field: "type" }] } });
    expect(JSON.stringify(type)).toContain("did you mean 'blender_render'?");
    const parser = compileSubmission({ type: "print_string", parser: "zzz", settings: { text: "" } });
    expect(parser).toMatchObject({ ok: false, error: { errors: [{ field: "parser" }] } });
    expect(JSON.stringify(parser)).toContain("known are blender_render, ffmpeg, plain");
  });

  it("P10: names an unknown setting, and what was probably meant", () => {
    expect(errorsOf("demo_render", { frames: "1", widht: 3, zzzzzz: 1 })).toEqual({
      "settings.widht": "'widht' is not a setting of demo_render; did you mean 'width'?",
      "settings.zzzzzz": "'zzzzzz' is not a setting of demo_render",
    });
  });

  it.each(COMPILERS.map((c) => [c.type]))("%s: its list of keys is exactly the settings it accepts", (type) => {
    const compiler = findCompiler(type)!;
    for (const key of compiler.keys) {
      const errors = errorsOf(type, { ...SMALLEST[type], [key]: Symbol.iterator });
      expect(JSON.stringify(errors), key).not.toContain("is not a setting");
    }
  });

  it.each(COMPILERS.map((c) => [c.type]))("%s: accepts a list, or frame_start and frame_end, not both", (type) => {
    const { frames: _, ...rest } = SMALLEST[type]!;
    expect(compiled(type, { ...rest, frame_start: 5, frame_end: 5 }).settings.frames).toBe("5");
    expect(compiled(type, { ...rest, frames: " 05 " }).settings.frames).toBe("5");
    expect(errorsOf(type, { ...rest, frames: "1", frame_start: 1 })).toHaveProperty(["settings.frames"]);
    expect(errorsOf(type, { ...rest, frame_start: 1 })).toHaveProperty(["settings.frame_end"]);
    expect(errorsOf(type, { ...rest, frame_end: 1 })).toHaveProperty(["settings.frame_start"]);
    expect(errorsOf(type, { ...rest, frame_start: 2, frame_end: 1 })).toHaveProperty(["settings.frame_start"]);
    expect(errorsOf(type, { ...rest, frame_start: -6e8, frame_end: 6e8 })).toHaveProperty(["settings.frame_end"]);
    expect(errorsOf(type, { ...rest, frames: "1-5:0" })["settings.frames"]).toBe("has a step of 0 in '1-5:0'");
    expect(errorsOf(type, { ...rest, frame_start: "1", frame_end: 2 })).toHaveProperty(["settings.frame_start"]);
  });

  it("frames are required where a picture is made, and 1 elsewhere", () => {
    for (const [type, { frames: _, ...rest }] of Object.entries(SMALLEST)) {
      const required = type === "blender_render" || type === "demo_render";
      if (required) expect(errorsOf(type, rest)["settings.frames"]).toMatch(/^is required/);
      else expect(compiled(type, rest).settings.frames).toBe("1");
    }
  });

  it("a million frames cost no more than one", () => {
    const { description } = compiled("demo_render", { frames: "1-1000000" });
    expect(countFrames(description.frames)).toBe(1_000_000);
    expect(description.frames).toHaveLength(1);
  });

  it.each(COMPILERS.map((c) => [c.type]))("%s: its normalised settings compile to themselves", (type) => {
    const once = compiled(type, SMALLEST[type]!);
    expect(compiled(type, structuredClone(once.settings))).toEqual(once);
    expect(JSON.parse(JSON.stringify(once.settings))).toEqual(once.settings);
  });

  it.each(COMPILERS.map((c) => [c.type]))(
    "%s: a plan is valid, and its outputs are exactly the lease's frames (P11)",
    (type) => {
      fc.assert(
        fc.property(
          fc.uniqueArray(fc.integer({ min: -12_000, max: 12_000 }), { minLength: 1, maxLength: 40 }),
          (picked) => {
            const lease = type === "ffmpeg_video" ? [picked[0]!] : picked.toSorted((a, b) => a - b);
            const { settings, parser, description } = compiled(type, { ...SMALLEST[type], frames: lease.join(",") });
            expect([...framesOf(description.frames)]).toEqual(lease);
            for (const platform of ["linux", "darwin", "windows"] as const) {
              const plan = planSchema.parse(planFor(type, parser, settings, lease, platform));
              expect(plan.outputs.map((o) => o.frame)).toEqual(description.filesPerFrame === 0 ? [] : lease);
              expect(new Set(plan.outputs.map((o) => o.name)).size).toBe(plan.outputs.length);
              expect(plan.inputs).toEqual(description.inputs);
              expect(plan.input_task).toBe(description.inputTask);
              expect(plan.needs_exec).toBe(description.needsExec);
              expect(plan.parser).toBe(parser);
            }
          },
        ),
        { numRuns: 30 },
      );
    },
  );

  it("carries a frame's time limit into every plan, and refuses a senseless one", () => {
    for (const [type, settings] of Object.entries(SMALLEST)) {
      const { settings: stored, parser } = compiled(type, { ...settings, frame_timeout_s: 90 });
      expect(planFor(type, parser, stored, [1], "linux").frame_timeout_s).toBe(90);
      expect(errorsOf(type, { ...settings, frame_timeout_s: 0 })).toHaveProperty(["settings.frame_timeout_s"]);
    }
  });

  it("P10: settings of any shape are refused or compiled, without an exception", () => {
    const keys = [...new Set(COMPILERS.flatMap((c) => c.keys)), "__proto__", "constructor"];
    fc.assert(
      fc.property(
        fc.constantFrom(...COMPILERS.map((c) => c.type)),
        fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), fc.jsonValue()),
        (type, settings) => {
          const result = compileSubmission({ type, settings: { ...SMALLEST[type], ...settings } });
          if (result.ok) {
            const first = framesOf(result.value.description.frames).next().value as number;
            const plan = planFor(type, result.value.parser, result.value.settings, [first], "windows");
            expect(planSchema.safeParse(plan).success).toBe(true);
          } else {
            expect(result.error.errors?.length).toBeGreaterThan(0);
            for (const error of result.error.errors ?? []) expect(error.field).toMatch(/^settings(\.|$)/);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe("what workers can do", () => {
  const everything = { programs: { blender: "3.4.1", ffmpeg: "5.1", "tablao-tool": "1" }, tags: ["gpu", "fast"] };

  it("a worker does the types whose programs it found, exec only when allowed", () => {
    expect(taskTypesFor({ programs: everything.programs, allow_exec: true })).toEqual(COMPILERS.map((c) => c.type));
    expect(taskTypesFor({ programs: { ffmpeg: "5.1" }, allow_exec: false })).toEqual(["ffmpeg_video"]);
    expect(taskTypesFor({ programs: {}, allow_exec: true })).toEqual(["exec"]);
  });

  it("P8: a task goes to workers that have all of its programs and tags, and allow what it needs", () => {
    const blender = needsOf(compiled("blender_render", { ...SMALLEST.blender_render, autoexec: true }), ["gpu"]);
    const able = { ...everything, allow_exec: false, allow_autoexec: true, version: "0.1.0" };
    expect(canDo(blender, able)).toBe(true);
    expect(canDo(blender, { ...able, tags: ["fast"] })).toBe(false);
    expect(canDo(blender, { ...able, programs: { ffmpeg: "5.1" } })).toBe(false);
    expect(canDo(blender, { ...able, allow_autoexec: false })).toBe(false);
    const exec = needsOf(compiled("exec", SMALLEST.exec!), []);
    expect(canDo(exec, { ...able, allow_exec: true })).toBe(true);
    expect(canDo(exec, able)).toBe(false);
    expect(
      canDo(needsOf(compiled("print_string", SMALLEST.print_string!), []), { ...able, allow_autoexec: false }),
    ).toBe(true);
  });

  it("P8: a task with a piece list among its files needs an agent that reads it, and no other task does", () => {
    const file = { path: "shot.blend", sha256: "a".repeat(64), size: 50_000_000 };
    const of = (more: object): object =>
      needsOf(compiled("blender_render", { file: "shot.blend", frames: "1", assets: [{ ...file, ...more }] }), []);
    expect(of({})).not.toHaveProperty("agent");
    expect(of({ pieces: true })).toMatchObject({ agent: "0.2.0" });
    const settings = { file: "shot.blend", frames: "1", assets: [{ ...file, pieces: false }] };
    expect(compileSubmission({ type: "blender_render", settings })).toMatchObject({ ok: false });
  });
});

describe("P12: the version of Blender that a task needs", () => {
  const settings = (more: object) => ({ ...SMALLEST.blender_render, ...more });
  const needs = (more: object) => needsOf(compiled("blender_render", settings(more)), []);

  it("is a need of the task, and of an agent that reads plans with a version", () => {
    expect(needs({ blender: "4.5" })).toMatchObject({ blender: "4.5", agent: "0.2.0" });
    expect(needs({ blender: "4.5+" })).toMatchObject({ blender: "4.5+", agent: "0.2.0" });
  });

  it.each([{}, { blender: "any" }])("%j needs none: what old clients send is done by any agent, as before", (more) => {
    expect(needs(more)).not.toHaveProperty("blender");
    expect(needs(more)).not.toHaveProperty("agent");
    const { settings: stored, parser } = compiled("blender_render", settings(more));
    expect(planFor("blender_render", parser, stored, [1], "linux").command).not.toHaveProperty("version");
  });

  it("is in the plan as the lease has it, so that 4.5+ runs in the version that the task is bound to", () => {
    const { settings: stored, parser } = compiled("blender_render", settings({ blender: "4.5+" }));
    const { command } = planFor("blender_render", parser, stored, [1], "linux", "5.0");
    expect(commandSchema.parse(command)).toMatchObject({ program: "blender", version: "5.0" });
  });

  it.each([
    ["4.5.3", "settings.blender: names a patch, and workers are chosen by the minor version: give 4.5, 4.5+ or any"],
    ["4.5.3+", "settings.blender: names a patch, and workers are chosen by the minor version: give 4.5, 4.5+ or any"],
    ["newest", "settings.blender: must be a minor version such as 4.5, or 4.5+ for that or a newer one, or any"],
    ["v4.5", "settings.blender: must be a minor version such as 4.5, or 4.5+ for that or a newer one, or any"],
    ["4", "settings.blender: must be a minor version such as 4.5, or 4.5+ for that or a newer one, or any"],
    ["", "settings.blender: must be a minor version such as 4.5, or 4.5+ for that or a newer one, or any"],
  ])("P10: %j is refused by name", (blender, words) => {
    const result = compileSubmission({ type: "blender_render", settings: settings({ blender }) });
    expect(result.ok ? "accepted" : result.error.detail).toContain(words);
  });
});

describe("small types", () => {
  it("print_string and sleep_simple hand over text, seconds and frames as arguments", () => {
    const text = '"; rm -rf / #\n$(x) {in:y}';
    const print = compiled("print_string", { text, frames: "3,5" });
    expect(commandSchema.parse(planFor("print_string", "plain", print.settings, [3, 5], "linux").command)).toEqual({
      program: "tablao-tool",
      args: ["print", text, "3,5"],
      env: {},
    });
    const sleep = compiled("sleep_simple", { seconds: 0.5 });
    expect(planFor("sleep_simple", "plain", sleep.settings, [1], "linux").command.args).toEqual(["sleep", "0.5", "1"]);
  });

  it.each([
    ["print_string", { text: "a\0b" }, "settings.text"],
    ["print_string", {}, "settings.text"],
    ["print_string", { text: 5 }, "settings.text"],
    ["sleep_simple", { seconds: -1 }, "settings.seconds"],
    ["sleep_simple", { seconds: 86_401 }, "settings.seconds"],
    ["sleep_simple", { seconds: "1" }, "settings.seconds"],
    ["demo_render", { frames: "1", width: 0 }, "settings.width"],
    ["demo_render", { frames: "1", width: 8_192, height: 8_192 }, "settings.width"],
    ["demo_render", { frames: "1", seed: -1 }, "settings.seed"],
    ["demo_render", { frames: "1", delay_ms: 600_001 }, "settings.delay_ms"],
  ])("%s refuses %j at %s", (type, settings, field) => {
    expect(Object.keys(errorsOf(type, settings))).toEqual([field]);
  });

  it("a frame list of a lease that is longer than the grammar allows still reaches the tool", () => {
    const lease = Array.from({ length: 5_000 }, (_, i) => i * 2);
    expect(parseFrameList(lease.join(",")).ok).toBe(false);
    const { settings, parser } = compiled("demo_render", { frames: "0-9998:2" });
    expect(planFor("demo_render", parser, settings, lease, "linux").outputs).toHaveLength(5_000);
  });
});
