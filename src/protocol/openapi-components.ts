/** Collects `components.schemas` of the OpenAPI document: every schema with an id, once. Pure. */
import { z } from "zod";

/** A JSON object. */
export type Json = Record<string, unknown>;
type Direction = "input" | "output";

/**
 * The schemas of the document, collected by direction: a schema with defaults differs between what
 * a client sends and what it gets. References carry their direction (`input:Task`) until all
 * schemas are known; then `resolve` gives them their names.
 */
export class Components {
  readonly #definitions: Record<Direction, Map<string, Json>> = { input: new Map(), output: new Map() };

  /**
   * The schema as JSON Schema; a reference where it has an id. Throws when another schema of this
   * direction has the same id and other content.
   */
  schema(schema: z.ZodType, direction: Direction): Json {
    const {
      $schema: _,
      $defs = {},
      ...root
    } = z.toJSONSchema(schema, { target: "draft-2020-12", io: direction, unrepresentable: "any" }) as Json & {
      $defs?: Record<string, Json>;
    };
    const known = this.#definitions[direction];
    for (const [id, raw] of Object.entries($defs)) {
      const definition = marked(raw, direction) as Json;
      const before = known.get(nameOf(id));
      if (before && JSON.stringify(before) !== JSON.stringify(definition))
        throw new Error(`two schemas have the id ${nameOf(id)}`);
      known.set(nameOf(id), definition);
    }
    return marked(root, direction) as Json;
  }

  /** The finished document: `components.schemas` filled in, with every reference pointing there. */
  resolve(document: Json & { components: Json }): Json {
    const split = this.#split();
    const rename = (value: unknown): unknown =>
      mapRefs(value, (ref) => {
        const [direction = "", id = ""] = ref.split(":");
        return `#/components/schemas/${direction === "input" && split.has(id) ? `${id}Input` : id}`;
      });
    const schemas: Json = {};
    for (const [id, definition] of this.#definitions.output) schemas[id] = rename(definition);
    for (const [id, definition] of this.#definitions.input)
      schemas[split.has(id) ? `${id}Input` : id] = rename(definition);
    const sorted = Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    return { ...(rename(document) as Json), components: { ...(rename(document.components) as Json), schemas: sorted } };
  }

  /** Ids whose schemas differ by direction, in themselves or in a schema that they refer to. */
  #split(): Set<string> {
    const { input, output } = this.#definitions;
    const split = new Set<string>();
    for (let size = -1; size !== split.size;) {
      size = split.size;
      for (const [id, definition] of input) {
        const other = output.get(id);
        if (other === undefined) continue;
        const refs: string[] = [];
        const bare = (value: unknown): string =>
          JSON.stringify(mapRefs(value, (ref) => (refs.push(ref.split(":")[1] ?? ""), ref.split(":")[1] ?? "")));
        if (bare(definition) !== bare(other) || refs.some((ref) => split.has(ref))) split.add(id);
      }
    }
    return split;
  }
}

/**
 * zod gives a recursive schema without an id a name such as `__schema…`. The only one here stands
 * for any JSON value.
 */
function nameOf(id: string): string {
  return id.startsWith("__schema") ? "JsonValue" : id;
}

/**
 * Mark references with their direction. An answer may gain fields, so `additionalProperties: false`
 * is removed from what clients get.
 */
function marked(value: unknown, direction: Direction): unknown {
  const refs = mapRefs(value, (ref) => `${direction}:${nameOf(ref.slice("#/$defs/".length))}`);
  return direction === "output" ? withoutClosing(refs) : refs;
}

function mapRefs(value: unknown, map: (ref: string) => string): unknown {
  return mapEntries(value, (key, item) => [
    key,
    key === "$ref" && typeof item === "string" ? map(item) : mapRefs(item, map),
  ]);
}

function withoutClosing(value: unknown): unknown {
  return mapEntries(value, (key, item) =>
    key === "additionalProperties" && item === false ? null : [key, withoutClosing(item)],
  );
}

/**
 * Rebuild an object entry by entry (null drops one) or an array item by item; any other value
 * stays.
 */
function mapEntries(value: unknown, map: (key: string, item: unknown) => [string, unknown] | null): unknown {
  if (Array.isArray(value)) return value.map((item) => map("", item)?.[1]);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => [map(key, item)].filter((entry) => entry !== null)),
  );
}
