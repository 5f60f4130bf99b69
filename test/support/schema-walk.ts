/** Walks zod schemas: what parts they have, and what values a hostile sender would try on them. */
import { z } from "zod";
import { maxEntriesOf } from "../../src/protocol/bounded.ts";

type Schema = z.core.$ZodType;

interface Part {
  /** How it is reached in a value: a field's name, `[]` for an item, `{}` for an entry. */
  at: string;
  schema: Schema;
}

/** The schemas right inside of one. */
export function partsOf(schema: Schema): Part[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the other kinds are the default
  switch (def.type) {
    case "object":
      return [
        ...Object.entries(def.shape).map(([name, part]) => ({ at: `.${name}`, schema: part })),
        ...(def.catchall ? [{ at: ".*", schema: def.catchall }] : []),
      ];
    case "array":
      return [{ at: "[]", schema: def.element }];
    case "tuple":
      return def.items.map((item, index) => ({ at: `[${index}]`, schema: item }));
    case "record":
      return [
        { at: "{key}", schema: def.keyType },
        { at: "{}", schema: def.valueType },
      ];
    case "union":
      return def.options.map((option) => ({ at: "", schema: option }));
    case "intersection":
      return [def.left, def.right].map((part) => ({ at: "", schema: part }));
    case "pipe":
      return [{ at: "", schema: def.in }, ...(hasChecks(def.out) ? [{ at: "", schema: def.out }] : [])];
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
    case "nonoptional":
    case "catch":
    case "readonly":
      return [{ at: "", schema: def.innerType }];
    case "lazy":
      return [{ at: "", schema: def.getter() }];
    default:
      return [];
  }
}

/** The second half of a pipe is a transform, or a schema of its own. */
function hasChecks(schema: Schema): boolean {
  return (schema as z.core.$ZodTypes)._zod.def.type !== "transform";
}

/** All schemas of a root, each once, with the path to it. */
export function walk(root: Schema, name: string, seen = new Set<Schema>()): { path: string; schema: Schema }[] {
  if (seen.has(root)) return [];
  seen.add(root);
  return [
    { path: name, schema: root },
    ...partsOf(root).flatMap(({ at, schema }) => walk(schema, `${name}${at}`, seen)),
  ];
}

/** Why a schema has no bound of its own; undefined when it has one, or needs none. */
export function whyUnbounded(schema: Schema): string | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const maximum = maximumOf(schema);
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the other kinds are the default
  switch (def.type) {
    case "string":
      return maximum !== undefined || isShortFormat(schema) ? undefined : "a text without a bound";
    case "array":
      return maximum === undefined ? "a list without a bound" : undefined;
    case "record":
      return maxEntriesOf(schema) === undefined ? "a record without a bound" : undefined;
    case "any":
    case "lazy":
    case "map":
    case "set":
    case "file":
      return `a ${def.type}, of which no bound is known`;
    default:
      return undefined;
  }
}

/** The most characters or items that a check of the schema allows. */
function maximumOf(schema: Schema): number | undefined {
  const maxima = (schema._zod.def.checks ?? []).map((check) => (check._zod.def as { maximum?: number }).maximum);
  return maxima.find((maximum) => maximum !== undefined);
}

/** Whether each pattern-checked text has one length at most: anchored, and with no open repetition. */
function isShortFormat(schema: Schema): boolean {
  const patterns = [schema, ...(schema._zod.def.checks ?? [])].flatMap(({ _zod }) => {
    const { pattern } = _zod.def as { pattern?: RegExp };
    return pattern ? [pattern] : [];
  });
  return patterns.some(({ source }) => /^\^.*\$$/s.test(source) && !/[*+]|\{\d+,\}/.test(withoutClasses(source)));
}

function withoutClasses(source: string): string {
  return source.replaceAll(/\\./g, "x").replaceAll(/\[[^\]]*\]/g, "x");
}

/**
 * Values of about `chars` characters of JSON that break a rule somewhere in the schema, with their
 * places. Each stands in as much of a body as leads to it.
 */
export function hostileValues(schema: Schema, chars: number, depth = 0): { what: string; value: unknown }[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (depth > 8) return [];
  const inside = (at: string, of: Schema, wrap: (value: unknown) => unknown) =>
    hostileValues(of, chars, depth + 1).map(({ what, value }) => ({ what: `${at}${what}`, value: wrap(value) }));
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the other kinds are the default
  switch (def.type) {
    case "string":
      return [
        { what: ": a long text", value: "a".repeat(chars) },
        { what: ": a text of slashes", value: "a/".repeat(chars / 2) },
        { what: ": a text of escapes", value: "\n\\".repeat(chars / 4) },
        { what: ": a text of commas", value: "1,".repeat(chars / 2) },
      ];
    case "array": {
      const maximum = maximumOf(schema) ?? chars;
      const items = [0, null, "", {}, [], "\\", { a: 1 }];
      return [
        ...items.map((item) => ({
          what: `: many of ${JSON.stringify(item)}`,
          value: filled(chars / (JSON.stringify(item).length + 1), item),
        })),
        ...items.map((item) => ({
          what: `: as many as may be of ${JSON.stringify(item)}`,
          value: filled(Math.min(maximum, chars / (JSON.stringify(item).length + 1)), item),
        })),
        ...inside("[]", def.element, (value) => [value]),
        ...inside("[]: small and many", def.element, (value) => value).flatMap(({ what, value }) => {
          const small = shrunk(value);
          const size = JSON.stringify(small).length + 1;
          return size > 2_000 ? [] : [{ what, value: filled(Math.min(maximum, chars / size), small) }];
        }),
      ];
    }
    case "record":
      return [...manyKeys(chars), ...inside("{}", def.valueType, (value) => ({ key: value }))];
    case "object":
      return [
        ...manyKeys(chars),
        ...Object.entries(def.shape).flatMap(([name, of]) => inside(`.${name}`, of, (value) => ({ [name]: value }))),
      ];
    case "unknown":
      return [
        ...manyKeys(chars),
        { what: ": deep lists", value: nested(chars / 2) },
        { what: ": many deep lists", value: filled(chars / 200, nested(99)) },
      ];
    default:
      return partsOf(schema).flatMap(({ at, schema: of }) => inside(at, of, (value) => value));
  }
}

function filled(count: number, item: unknown): unknown[] {
  return Array.from({ length: Math.max(1, Math.floor(count)) }, () => item);
}

function nested(levels: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < Math.min(levels, 2_000); i++) value = [value];
  return value;
}

/** A hostile value of a few hundred characters, of the same kind. */
function shrunk(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, 300);
  if (Array.isArray(value)) return value.slice(0, 3).map(shrunk);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 3)
      .map(([key, part]) => [key.slice(0, 50), shrunk(part)]),
  );
}

function manyKeys(chars: number): { what: string; value: unknown }[] {
  const keys = (length: number): unknown =>
    Object.fromEntries(Array.from({ length: chars / (length + 5) }, (_, i) => [String(i).padStart(length, "k"), 1]));
  return [
    { what: ": many short keys", value: keys(6) },
    { what: ": many long keys", value: keys(64) },
    { what: ": a very long key", value: { ["k".repeat(chars)]: 1 } },
  ];
}
