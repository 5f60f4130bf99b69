/** `/settings…`: the settings of the farm, among them the render presets. */
import { z } from "zod";
import { checkPreset } from "../../compilers/index.ts";
import { ok } from "../../lib/result.ts";
import { refuse } from "../../protocol/problem.ts";
import { checkSetting } from "../../protocol/setting-rules.ts";
import {
  settingNameSchema,
  settingPatchSchema,
  settingSchema,
  settingsFilesSchema,
  settingsListSchema,
  settingsUpdateSchema,
} from "../../protocol/setting.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { spelledValue } from "../server/input.ts";
import type { PathParameter } from "../server/path-parameters.ts";
import { ADMINS, defineRoute, PEOPLE, type Route } from "../server/route.ts";

const tag = "settings";

const settingName: PathParameter<string> = {
  schema: z.string(),
  read: (text) => {
    const name = settingNameSchema.safeParse(text);
    if (name.success) return ok(name.data);
    const detail = "There is no such setting: names are lower-case letters, digits, '.', '_' and '-'.";
    return refuse("not_found", detail);
  },
};

/** `?group=render` lists the presets as the manager of 2015 listed its files. */
const listSettings = defineRoute({
  method: "GET",
  path: "/settings",
  operationId: "listSettings",
  tag,
  summary: "All settings, or the names of the render presets",
  who: PEOPLE,
  query: z.strictObject({
    group: z.literal("render").optional().meta({ description: "`render`: the names of the render presets" }),
  }),
  answers: {
    200: {
      description: "Name → value; `?group=render`: `settings_files`",
      schema: z.union([settingsFilesSchema, settingsListSchema]),
    },
  },
  handle: async ({ env, query }) => {
    if (query.group === "render")
      return ok({ settings_files: await callRegistry(env, (registry) => registry.listPresets()) });
    // The registry stores each value as JSON.
    const values = await callRegistry(env, (registry) => registry.listSettings());
    return ok(values as z.output<typeof settingsListSchema>);
  },
});

const updateSettings = defineRoute({
  method: "POST",
  path: "/settings",
  operationId: "updateSettings",
  tag,
  summary: "Change settings, all or nothing",
  description: "In a form, a value that spells a number, a boolean or JSON is one where the setting takes it.",
  who: ADMINS,
  body: settingsUpdateSchema,
  coerce: coerceSetting,
  example: { lease_s: 120 },
  answers: { 204: { description: "Done" } },
  handle: async ({ env, body }) => await callRegistry(env, (registry) => registry.setSettings(body)),
});

const showSetting = defineRoute({
  method: "GET",
  path: "/settings/{name}",
  operationId: "showSetting",
  tag,
  summary: "One setting",
  who: PEOPLE,
  params: { name: settingName },
  answers: { 200: { description: "Name and value", schema: settingSchema } },
  handle: async ({ env, name }) => {
    const value = await callRegistry(env, (registry) => registry.getSetting(name));
    return value.ok ? ok(settingOf(name, value.value)) : value;
  },
});

const patchSetting = defineRoute({
  method: "PATCH",
  path: "/settings/{name}",
  operationId: "patchSetting",
  tag,
  summary: "Change one setting",
  who: ADMINS,
  params: { name: settingName },
  body: settingPatchSchema,
  coerce: (field, text, { name }) => (field === "value" ? coerceSetting(name, text) : text),
  example: { value: 120 },
  answers: { 200: { description: "Name and value", schema: settingSchema } },
  handle: async ({ env, name, body }) => {
    const stored = await callRegistry(env, (registry) => registry.setSettings({ [name]: body.value }));
    if (!stored.ok) return stored;
    const value = await callRegistry(env, (registry) => registry.getSetting(name));
    // A patch to `null` removes the setting, which then may have no value.
    return ok(settingOf(name, value.ok ? value.value : null));
  },
});

/** A setting as it is answered. The registry stores its value as JSON. */
function settingOf(name: string, value: unknown): z.output<typeof settingSchema> {
  return { name, value } as z.output<typeof settingSchema>;
}

/**
 * A form's text is the value, unless the setting takes another type and the text spells one
 * (`lease_s=120`).
 */
function coerceSetting(name: string, text: string): unknown {
  if (checkSetting(name, text, checkPreset).length === 0) return text;
  return spelledValue(text) ?? text;
}

export const settingRoutes: readonly Route[] = [listSettings, updateSettings, showSetting, patchSetting];
