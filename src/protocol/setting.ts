/** Settings of the farm, with those of the block that is commented out in the 2015 protocol. */
import { z } from "zod";
import { isLarger, jsonValueSchema, recordOf } from "./bounded.ts";

/**
 * The name of a setting: words with dots or underscores, such as `lease_s`, `blender_path_linux`,
 * `render.final`.
 */
export const settingNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,99}$/, "must be lower-case letters, digits, '.', '_' or '-', starting with a letter");

/** Presets and paths are a few hundred characters; a farm has all its settings in one answer. */
const MAX_VALUE_CHARS = 65_536;

const settingValueSchema = jsonValueSchema.refine(
  (value) => !isLarger(value, MAX_VALUE_CHARS) && JSON.stringify(value).length <= MAX_VALUE_CHARS,
  "must be at most 64 KiB of JSON",
);

/** The most settings of one change. Without it, one body would be as many writes as it has names. */
const MAX_CHANGES = 200;

/**
 * POST /settings: name → value. Names that are not sent keep their value; null deletes a setting.
 */
export const settingsUpdateSchema = recordOf(settingNameSchema, settingValueSchema, MAX_CHANGES).meta({
  id: "SettingsUpdate",
});

/** PATCH /settings/{name}: the new value; null deletes the setting. */
export const settingPatchSchema = z.strictObject({ value: settingValueSchema }).meta({ id: "SettingPatch" });

/** One setting. */
export const settingSchema = z.object({ name: z.string(), value: z.json() }).meta({ id: "Setting" });
/** GET /settings: name → value, with the defaults of known names. */
export const settingsListSchema = z.record(z.string(), z.json()).meta({ id: "Settings" });
/**
 * GET /settings?group=render: the names of the render presets, as the 2015 manager listed its
 * files.
 */
export const settingsFilesSchema = z.object({ settings_files: z.array(z.string()) }).meta({ id: "SettingsFiles" });
