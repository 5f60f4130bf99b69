/** Settings of the farm, with those of the block that is commented out in the 2015 protocol. */
import { z } from "zod";

/**
 * The name of a setting: words with dots or underscores, such as `lease_s`, `blender_path_linux`,
 * `render.final`.
 */
export const settingNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,99}$/, "must be lower-case letters, digits, '.', '_' or '-', starting with a letter");

const settingValueSchema = z
  .json()
  .refine((value) => JSON.stringify(value).length <= 65_536, "must be at most 64 KiB of JSON");

/**
 * POST /settings: name → value. Names that are not sent keep their value; null deletes a setting.
 */
export const settingsUpdateSchema = z.record(settingNameSchema, settingValueSchema).meta({ id: "SettingsUpdate" });

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
