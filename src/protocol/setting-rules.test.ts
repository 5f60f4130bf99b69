import { describe, expect, it } from "vitest";
import { checkPreset } from "../compilers/presets.ts";
import { checkSetting, DEFAULTS, keepDaysOf, unusedInputsDaysOf } from "./setting-rules.ts";

const fieldsOf = (name: string, value: unknown) => checkSetting(name, value, checkPreset).map((error) => error.field);

describe("settings", () => {
  it.each([
    ["lease_s", 5],
    ["lease_s", 86_400],
    ["blender_path_linux", "/opt/blender"],
    ["blender_path_of_mine", 3],
    ["anything.else", { free: true }],
    ["render.final", { samples: 128 }],
    ["lease_s", null],
    ["history_days", 7],
    ["history_days", 36_500],
    ["history_days", "forever"],
    ["history_days", null],
    ["unused_inputs_days", 7],
    ["unused_inputs_days", "forever"],
  ])("take %s = %j", (name, value) => {
    expect(fieldsOf(name, value)).toEqual([]);
  });

  it.each([
    ["lease_s", 4],
    ["lease_s", 86_401],
    ["lease_s", 60.5],
    ["lease_s", "60"],
    ["history_days", 6],
    ["history_days", 36_501],
    ["history_days", 30.5],
    ["history_days", "30"],
    ["history_days", 0],
    ["history_days", false],
    ["unused_inputs_days", 6],
    ["unused_inputs_days", 36_501],
    ["unused_inputs_days", "never"],
    ["blender_path_win", 3],
    ["blender_path_osx", {}],
    ["render.final", "fast"],
    ["render.", { samples: 1 }],
  ])("P10: refuse %s = %j by name", (name, value) => {
    expect(fieldsOf(name, value)).toEqual([name]);
  });

  it("P14: delete events and inputs after the days that they say, and never for a value that is no rule", () => {
    expect([7, 365, "forever", 0, 3, null, undefined, "30"].map(keepDaysOf)).toEqual([
      7,
      365,
      null,
      null,
      null,
      null,
      null,
      null,
    ]);
    expect(keepDaysOf(DEFAULTS["history_days"])).toBe(90);
    expect([7, 6, "forever", null, 30.5].map(unusedInputsDaysOf)).toEqual([7, null, null, null, null]);
    expect(unusedInputsDaysOf(DEFAULTS["unused_inputs_days"])).toBe(30);
  });

  it("P10: name the wrong field of a preset", () => {
    expect(fieldsOf("render.final", { samples: "many" })).toEqual(["render.final.samples"]);
  });
});
