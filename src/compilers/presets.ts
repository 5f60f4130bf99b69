/**
 * Render presets: farm settings named `render.<name>` that hold settings of Blender, which many
 * tasks share.
 */
import { z } from "zod";
import { ok, type Result } from "../lib/result.ts";
import { PRESET_PREFIX } from "../protocol/constants.ts";
import type { Refusal } from "../protocol/problem.ts";
import { settingNameSchema } from "../protocol/setting.ts";
import { presetFields } from "./blender-settings.ts";
import { settingErrors } from "./check.ts";

/** A preset's content: any of these settings. The settings of a submission override them. */
const presetSchema = z.strictObject(presetFields).partial().meta({ id: "RenderPreset" });
type Preset = z.infer<typeof presetSchema>;

/**
 * The name of the farm setting that holds a preset: `final` and `render.final` → `render.final`.
 * Null when `name` cannot be the name of a preset.
 */
export function presetSetting(name: unknown): string | null {
  if (typeof name !== "string" || name === "") return null;
  const setting = name.startsWith(PRESET_PREFIX) ? name : PRESET_PREFIX + name;
  return settingNameSchema.safeParse(setting).success ? setting : null;
}

/**
 * Check a preset before it is stored. Refusal: `invalid`, with every broken rule as `value.<key>`.
 */
export function checkPreset(value: unknown): Result<Preset, Refusal> {
  const parsed = presetSchema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const errors = settingErrors(parsed.error.issues, "value", "a render preset", Object.keys(presetFields));
  return { ok: false, error: { code: "invalid", detail: "This is not a render preset", errors } };
}
