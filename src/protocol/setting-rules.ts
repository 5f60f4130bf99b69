/** The rules of settings: the names that the manager knows, their defaults, and presets. Pure. */
import { PRESET_PREFIX } from "./constants.ts";
import type { Result } from "../lib/result.ts";
import type { FieldError, Refusal } from "./problem.ts";

/**
 * The values of known names that are not set. `lease_s` is in seconds. The paths are settings of
 * the 2015 protocol; an empty path means that each worker uses the path that it found itself.
 * Without a name here, `GET /settings` of a new farm does not list it.
 */
export const DEFAULTS: Readonly<Record<string, unknown>> = {
  lease_s: 60,
  blender_path_linux: "",
  blender_path_win: "",
  blender_path_osx: "",
};

/**
 * The rules that a value breaks, as field errors whose fields start with the setting's name. Null
 * breaks none: it deletes the setting. `checkPreset` checks the content of a preset, and names
 * fields that start with `value`.
 */
export function checkSetting(
  name: string,
  value: unknown,
  checkPreset: (value: unknown) => Result<unknown, Refusal>,
): FieldError[] {
  if (value === null) return [];
  if (name.startsWith(PRESET_PREFIX)) {
    if (name === PRESET_PREFIX) return [{ field: name, message: `needs a preset's name after '${PRESET_PREFIX}'` }];
    const checked = checkPreset(value);
    if (checked.ok) return [];
    const errors = checked.error.errors ?? [{ field: "value", message: checked.error.detail }];
    return errors.map(({ field, message }) => ({ field: field.replace(/^value/, name), message }));
  }
  if (name === "lease_s" && !(Number.isInteger(value) && (value as number) >= 5 && (value as number) <= 86_400)) {
    return [{ field: name, message: "must be a whole number of seconds from 5 to 86400" }];
  }
  if (name.startsWith("blender_path_") && Object.hasOwn(DEFAULTS, name) && typeof value !== "string") {
    return [{ field: name, message: "must be a text" }];
  }
  return [];
}
