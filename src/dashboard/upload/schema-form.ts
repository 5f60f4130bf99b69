/**
 * The settings form, made from the compiler's own JSON Schema: which fields there are, what each takes, and the value that a
 * text spells. Pure.
 */

/** The part of JSON Schema that settings use. */
export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  not?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

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

/** `X | null` is X that may be left out. */
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

/** The fields of a type's settings. Names of 2015 and what only takes nothing are left out, and so are `hidden` ones. */
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

/** The value that a field's text spells; undefined for an empty one, which is not sent. Throws `SyntaxError` for bad JSON. */
export function valueOf(field: SettingField, text: string): unknown {
  if (text.trim() === "") return undefined;
  switch (field.kind) {
    case "number":
    case "integer":
      // What is no number goes as it is: the manager says what is wrong with it.
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

/** `frame_timeout_s` → `Frame timeout (s)`: the words of a name. */
export function wordsOf(name: string): string {
  const unit = /_(s|ms)$/.exec(name)?.[1];
  const words = (unit ? name.slice(0, -unit.length - 1) : name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1) + (unit ? ` (${unit})` : "");
}
