/** `/settings…`: the block the seed had commented out. */
import { checkPreset } from "../compilers/index.ts";
import { settingNameSchema, settingPatchSchema, settingsUpdateSchema } from "../protocol/setting.ts";
import { checkSetting } from "../protocol/setting-rules.ts";
import { json, noContent } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody, readQuery, spelledValue } from "./input.ts";
import { callRegistry } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { settingsQuery } from "./queries.ts";

/** GET /settings; `?group=render` lists the presets as the 2015 manager listed its files. */
export const listSettings: Handler = async (_request, { env, url }) => {
  const query = readQuery(url, settingsQuery);
  if (!query.ok) return problemResponse(query.error);
  if (query.value.group === "render")
    return json({ settings_files: await callRegistry(env, (registry) => registry.listPresets()) });
  return json(await callRegistry(env, (registry) => registry.listSettings()));
};

/** POST /settings: all or nothing. */
export const updateSettings: Handler = async (request, { env }) => {
  const values = await readBody(request, settingsUpdateSchema, coerceSetting);
  if (!values.ok) return problemResponse(values.error);
  const stored = await callRegistry(env, (registry) => registry.setSettings(values.value));
  return stored.ok ? noContent() : problemResponse(stored.error);
};

/** GET /settings/{name} */
export const showSetting: Handler = async (_request, { env, params }) => {
  const name = settingNameSchema.safeParse(params["name"]);
  if (!name.success) return noSuchSetting();
  const value = await callRegistry(env, (registry) => registry.getSetting(name.data));
  return value.ok ? json({ name: name.data, value: value.value }) : problemResponse(value.error);
};

/** PATCH /settings/{name} */
export const patchSetting: Handler = async (request, { env, params }) => {
  const name = settingNameSchema.safeParse(params["name"]);
  if (!name.success) return noSuchSetting();
  const patch = await readBody(request, settingPatchSchema, (field, text) =>
    field === "value" ? coerceSetting(name.data, text) : text,
  );
  if (!patch.ok) return problemResponse(patch.error);
  const stored = await callRegistry(env, (registry) => registry.setSettings({ [name.data]: patch.value.value }));
  if (!stored.ok) return problemResponse(stored.error);
  const value = await callRegistry(env, (registry) => registry.getSetting(name.data));
  // `null` takes a setting back; then there may be none.
  return json({ name: name.data, value: value.ok ? value.value : null });
};

/** A form's text is the value, unless the setting wants another type and the text spells one (`lease_s=120`). */
function coerceSetting(name: string, text: string): unknown {
  if (checkSetting(name, text, checkPreset).length === 0) return text;
  return spelledValue(text) ?? text;
}

function noSuchSetting(): Response {
  return problemResponse({
    code: "not_found",
    detail: "There is no such setting: names are lower-case letters, digits, '.', '_' and '-'.",
  });
}
