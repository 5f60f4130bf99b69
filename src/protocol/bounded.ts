/**
 * Schemas whose cost is bounded, whatever a stranger sends. zod validates every item of a list and
 * every entry of a record before it reports, so a body with 10,000 bad items would cost 10,000
 * reports; these stop at the first fifty mistakes. A test walks all schemas by which requests, socket
 * messages and files are read, and finds a string, list or record without a bound.
 */
import { z } from "zod";

/**
 * The most mistakes of one body that are looked for and named. Without it, a body with a million
 * mistakes would cost the time of a million reports, and get an answer of the same size.
 */
export const MAX_ERRORS = 50;

/**
 * The deepest nesting of a value that no schema describes. Such values are walked by recursion
 * later; without a limit, one with 100,000 brackets would exhaust the stack.
 */
const MAX_DEPTH = 64;

/** A schema's definition with the most entries that a record may have. */
interface BoundedRecordDef extends z.core.$ZodRecordDef {
  maxEntries: number;
}

/** A schema's definition with the most items that a list may have. */
interface BoundedListDef extends z.core.$ZodArrayDef {
  maxItems: number;
  plain?: (item: unknown) => unknown;
}

const BoundedListClass = z.core.$constructor<z.ZodArray, BoundedListDef>("BoundedList", (inst, def) => {
  z.ZodArray.init(inst, def);
  const parse = inst._zod.parse.bind(inst._zod);
  inst._zod.parse = (payload, context) => {
    const { value } = payload;
    // The original refuses both cases before it looks at any item.
    if (!Array.isArray(value) || value.length > def.maxItems) return parse(payload, context);
    const items: unknown[] = [];
    for (let index = 0; index < value.length && payload.issues.length < MAX_ERRORS; index++) {
      const plain = def.plain?.(value[index]);
      if (plain !== undefined) {
        items.push(plain);
        continue;
      }
      const result = synchronous(def.element._zod.run({ value: value[index], issues: [] }, context));
      items.push(result.value);
      if (result.issues.length > 0) addIssues(payload.issues, result.issues, index);
    }
    payload.value = items;
    return payload;
  };
});

/**
 * A list of at most `max` items. A longer list is refused before any item is looked at; otherwise
 * the items are validated until MAX_ERRORS mistakes were found. `rule` is the message about a longer
 * one. `plain` is for long lists: a faster way to read the usual item. It answers what `element`
 * would make of the item, or undefined, and then `element` is asked.
 */
export function arrayOf<T extends z.ZodType>(
  element: T,
  max: number,
  rule?: string,
  plain?: (item: unknown) => z.output<T> | undefined,
): z.ZodArray<T> {
  const def: BoundedListDef = { type: "array", element, maxItems: max, ...(plain && { plain }) };
  return (new BoundedListClass(def) as unknown as z.ZodArray<T>).max(max, rule);
}

const BoundedRecordClass = z.core.$constructor<z.ZodRecord, BoundedRecordDef>("BoundedRecord", (inst, def) => {
  z.ZodRecord.init(inst, def);
  const parse = inst._zod.parse.bind(inst._zod);
  inst._zod.parse = (payload, context) => {
    const { value } = payload;
    // The original refuses it, because it is no object.
    if (!z.core.util.isPlainObject(value)) return parse(payload, context);
    const keys = Object.keys(value);
    if (keys.length > def.maxEntries) {
      payload.issues.push({
        code: "custom",
        message: `must have at most ${def.maxEntries} entries`,
        input: value,
        inst,
        continue: false,
      });
      return payload;
    }
    const entries: Record<string, unknown> = {};
    for (const key of keys) {
      // An assignment to it would set the prototype. zod leaves it out as well.
      if (key === "__proto__") continue;
      const name = synchronous(def.keyType._zod.run({ value: key, issues: [] }, context));
      if (name.issues.length > 0) {
        const issues = name.issues.map((issue) => z.core.util.finalizeIssue(issue, context, z.core.config()));
        payload.issues.push({ code: "invalid_key", origin: "record", issues, input: key, path: [key], inst });
      } else {
        const result = synchronous(def.valueType._zod.run({ value: value[key], issues: [] }, context));
        entries[name.value as string] = result.value;
        if (result.issues.length > 0) addIssues(payload.issues, result.issues, key);
      }
      if (payload.issues.length >= MAX_ERRORS) break;
    }
    payload.value = entries;
    return payload;
  };
});

/** A record of at most `max` entries, which is validated until MAX_ERRORS mistakes were found. */
export function recordOf<K extends z.ZodString, V extends z.ZodType>(key: K, value: V, max: number): z.ZodRecord<K, V> {
  const def: BoundedRecordDef = { type: "record", keyType: key, valueType: value, maxEntries: max };
  return new BoundedRecordClass(def) as unknown as z.ZodRecord<K, V>;
}

/** The most entries of a record that `recordOf` made; undefined for any other schema. */
export function maxEntriesOf(schema: z.core.$ZodType): number | undefined {
  return (schema._zod.def as Partial<BoundedRecordDef>).maxEntries;
}

/**
 * A text of at most `max` characters. The checks that follow are not run on a longer one: otherwise
 * a megabyte would be searched for a character that is forbidden.
 */
export function textOf(max: number): z.ZodString {
  return z.string().max(max, { abort: true });
}

/**
 * Any JSON value, nested at most MAX_DEPTH deep. It is only for values that `JSON.parse` has made:
 * nothing else is checked. `z.json()` would build the whole value again, at many times the cost of
 * `JSON.parse`.
 */
export const jsonValueSchema = z
  .unknown()
  .refine((value) => value !== undefined, { abort: true, message: "is required" })
  .refine((value) => !isDeeper(value, MAX_DEPTH), {
    abort: true,
    message: `must not be nested deeper than ${MAX_DEPTH} levels`,
  });

/** Whether a JSON value has more than `levels` levels of lists and objects. Stops at that depth. */
export function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, levels - 1));
  for (const key in value) if (isDeeper((value as Record<string, unknown>)[key], levels - 1)) return true;
  return false;
}

/**
 * Whether the JSON of a value surely has more than `chars` characters. Stops there: to write the
 * JSON of a long value only to measure it costs as much as to read it. Nested MAX_DEPTH deep at most.
 */
export function isLarger(value: unknown, chars: number): boolean {
  return charsLeft(value, chars) < 0;
}

function charsLeft(value: unknown, chars: number): number {
  if (typeof value === "string") return chars - value.length - 2;
  if (typeof value !== "object" || value === null) return chars - 1;
  let left = chars - 2;
  for (const key in value) {
    if (!Array.isArray(value)) left -= key.length + 3;
    left = charsLeft((value as Record<string, unknown>)[key], left);
    if (left < 0) break;
  }
  return left;
}

type Payload = z.core.ParsePayload;

function synchronous(result: Payload | Promise<Payload>): Payload {
  if (result instanceof Promise) throw new z.core.$ZodAsyncError();
  return result;
}

/** Add the issues of a part, each with its place in the whole; MAX_ERRORS at most. */
function addIssues(issues: z.core.$ZodRawIssue[], of: readonly z.core.$ZodRawIssue[], at: PropertyKey): void {
  for (const issue of of.slice(0, MAX_ERRORS)) {
    issues.push({ ...issue, path: [at, ...(issue.path ?? [])] });
  }
}
