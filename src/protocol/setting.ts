/** Settings of the farm, the seed's commented-out block included. */
import { z } from "zod";

/** Names are words with dots or underscores: `lease_s`, `blender_path_linux`, `render_presets.final`. */
export const settingNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,99}$/, "must be lower-case letters, digits, '.', '_' or '-', starting with a letter");

const settingValueSchema = z
  .json()
  .refine((value) => JSON.stringify(value).length <= 65_536, "must be at most 64 KiB of JSON");

/** POST /settings: name → value; unsent names keep their value. */
export const settingsUpdateSchema = z.record(settingNameSchema, settingValueSchema).meta({ id: "SettingsUpdate" });

/** PATCH /settings/{name}. */
export const settingPatchSchema = z.strictObject({ value: settingValueSchema }).meta({ id: "SettingPatch" });

export const settingSchema = z.object({ name: z.string(), value: z.json() }).meta({ id: "Setting" });
export const settingsListSchema = z.record(z.string(), z.json()).meta({ id: "Settings" });
/** GET /settings?group=render: the names of the render presets, as the 2015 manager listed its files. */
export const settingsFilesSchema = z.object({ settings_files: z.array(z.string()) }).meta({ id: "SettingsFiles" });
