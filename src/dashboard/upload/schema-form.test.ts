import { expect, it } from "vitest";
import { z } from "zod";
import { COMPILERS, compileSubmission } from "../../compilers/index.ts";
import type { JsonSchema } from "../lib/task-types.ts";
import { fieldsOf, valueOf, wordsOf, type SettingField } from "./schema-form.ts";

function fieldsFor(type: string): Map<string, SettingField> {
  const compiler = COMPILERS.find((one) => one.type === type)!;
  const schema = z.toJSONSchema(compiler.settings, { io: "input", unrepresentable: "any" }) as JsonSchema;
  return new Map(fieldsOf(schema, new Set()).map((field) => [field.name, field]));
}

it("every type's form has its settings, and none of those that exist only to refuse a name of 2015", () => {
  for (const compiler of COMPILERS) expect([...fieldsFor(compiler.type).keys()], compiler.type).toContain("frames");
  const blender = fieldsFor("blender_render");
  expect(blender.get("engine")).toMatchObject({ kind: "choice", required: false });
  expect(blender.get("samples")).toMatchObject({ kind: "integer", minimum: 1, maximum: 1_000_000 });
  expect(blender.get("denoise")!.kind).toBe("boolean");
  expect(blender.get("file")!.required).toBe(true);
  expect(blender.has("filepath")).toBe(false);
});

it("the settings of a filled form are accepted by the compiler", () => {
  const filled: Record<string, string> = { frames: "1-3", width: "64", seed: "7", height: "" };
  const settings: Record<string, unknown> = {};
  for (const field of fieldsFor("demo_render").values()) {
    const value = valueOf(field, filled[field.name] ?? "");
    if (value !== undefined) settings[field.name] = value;
  }
  expect(settings).toEqual({ frames: "1-3", width: 64, seed: 7 });
  expect(compileSubmission({ type: "demo_render", settings }).ok).toBe(true);
});

it("lists are lines, and bad JSON is an error", () => {
  const exec = fieldsFor("exec");
  const list = [...exec.values()].find((field) => field.kind === "list");
  expect(valueOf(list!, "-c\n\n print(1) \n")).toEqual(["-c", "print(1)"]);
  expect(() => valueOf({ ...list!, kind: "json" }, "{")).toThrow(SyntaxError);
});

it("names are shown as words, with their unit", () => {
  expect([wordsOf("frame_timeout_s"), wordsOf("delay_ms"), wordsOf("samples")]).toEqual([
    "Frame timeout (s)",
    "Delay (ms)",
    "Samples",
  ]);
});
