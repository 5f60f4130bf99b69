import { describe, expect, it } from "vitest";
import { checkPreset } from "../compilers/presets.ts";
import { checkSetting } from "./setting-rules.ts";

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
  ])("take %s = %j", (name, value) => {
    expect(fieldsOf(name, value)).toEqual([]);
  });

  it.each([
    ["lease_s", 4],
    ["lease_s", 86_401],
    ["lease_s", 60.5],
    ["lease_s", "60"],
    ["blender_path_win", 3],
    ["blender_path_osx", {}],
    ["render.final", "fast"],
    ["render.", { samples: 1 }],
  ])("P10: refuse %s = %j by name", (name, value) => {
    expect(fieldsOf(name, value)).toEqual([name]);
  });

  it("P10: name the wrong field of a preset", () => {
    expect(fieldsOf("render.final", { samples: "many" })).toEqual(["render.final.samples"]);
  });
});
