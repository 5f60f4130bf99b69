/**
 * The settings form, made from the JSON Schema of a task type: which fields it has, what each field
 * takes, and which value a text stands for. Pure.
 */
import type { JsonSchema } from "../lib/task-types.ts";

export interface SettingField {
  name: string;
  kind: "number" | "integer" | "boolean" | "choice" | "text" | "list" | "json";
  required: boolean;
  choices: string[];
  minimum: number | undefined;
  maximum: number | undefined;
  fallback: unknown;
  description: string | undefined;
}

/** The schema of `X` for `X | null`: in the form, null is an empty field. */
function plain(schema: JsonSchema): JsonSchema {
  if (!schema.anyOf) return schema;
  const some = schema.anyOf.filter((one) => one.type !== "null");
  return some.length === 1 ? { ...schema, ...some[0] } : schema;
}

function kindOf(schema: JsonSchema): SettingField["kind"] {
  if (schema.enum) return "choice";
  const { type } = schema;
  if (type === "number" || type === "integer" || type === "boolean") return type;
  if (type === "string") return "text";
  return type === "array" ? "list" : "json";
}

/**
 * The fields of a type's settings, without the old names of 2015 (`not` in the schema) and without
 * those in `hidden`.
 */
export function fieldsOf(schema: JsonSchema, hidden: ReadonlySet<string>): SettingField[] {
  const fields: SettingField[] = [];
  for (const [name, raw] of Object.entries(schema.properties ?? {})) {
    if (hidden.has(name) || raw.not !== undefined) continue;
    const one = plain(raw);
    fields.push({
      name,
      kind: kindOf(one),
      required: (schema.required ?? []).includes(name) && one.default === undefined,
      choices: (one.enum ?? []).map(String),
      minimum: one.minimum !== undefined && one.minimum > -Number.MAX_SAFE_INTEGER ? one.minimum : undefined,
      maximum: one.maximum !== undefined && one.maximum < Number.MAX_SAFE_INTEGER ? one.maximum : undefined,
      fallback: one.default ?? undefined,
      description: one.description,
    });
  }
  return fields;
}

/**
 * The value of a field's text; undefined for an empty field, which is not sent. Throws
 * `SyntaxError` for bad JSON.
 */
export function valueOf(field: SettingField, text: string): unknown {
  if (text.trim() === "") return undefined;
  switch (field.kind) {
    case "number":
    case "integer":
      // Anything that is not a number is sent as it is, and the manager says what is wrong with it.
      return Number.isNaN(Number(text)) ? text : Number(text);
    case "boolean":
      return text === "true";
    case "list":
      return text
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "");
    case "json":
      return JSON.parse(text) as unknown;
    case "choice":
    case "text":
      return text;
  }
}

/** The label of a setting: `frame_timeout_s` → `Frame timeout (s)`. */
export function wordsOf(name: string): string {
  const unit = /_(s|ms)$/.exec(name)?.[1];
  const words = (unit ? name.slice(0, -unit.length - 1) : name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1) + (unit ? ` (${unit})` : "");
}
