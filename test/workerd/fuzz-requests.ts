/**
 * Requests generated from the manager's own OpenAPI document: valid ones, and similar ones with an
 * error.
 */
import fc from "fast-check";

type Json = Record<string, unknown>;

export interface Operation {
  method: string;
  path: string;
  parameters: { name: string; in: string; schema: Json }[];
  body: Json | null;
  /** Whether the body is bytes. */
  upload: boolean;
  example: unknown;
  /** The roles that the document names. */
  who: string[];
}

/** One request. Its caller is a number that picks one of the available callers. */
export interface FuzzRequest {
  operation: Operation;
  caller: number;
  /** For each path parameter: a number that picks a valid value, or a text. */
  params: Record<string, number | string>;
  query: [string, string][];
  headers: Record<string, string>;
  body: { kind: "json" | "form" | "raw"; value: unknown } | null;
}

/** The document's operations, with references left in place. */
export function operationsOf(document: Json): Operation[] {
  return Object.entries(document["paths"] as Record<string, Record<string, Json>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): Operation => {
      const content = ((operation["requestBody"] as Json | undefined)?.["content"] ?? {}) as Record<string, Json>;
      const json = content["application/json"];
      return {
        method: method.toUpperCase(),
        path,
        parameters: (operation["parameters"] ?? []) as Operation["parameters"],
        body: (json?.["schema"] as Json | undefined) ?? null,
        upload: "application/octet-stream" in content,
        example: json?.["example"],
        who: /For: ([a-z, ]+)\./.exec((operation["description"] as string | undefined) ?? "")?.[1]?.split(", ") ?? [],
      };
    }),
  );
}

const NASTY = [
  "",
  " ",
  "__proto__",
  "constructor",
  "toString",
  "1e999",
  "-0",
  "null",
  "true",
  "NaN",
  "[]",
  "{}",
  "../../etc/passwd",
  "..\\..\\x",
  "1-10:0",
  "1-1000000000",
  "9".repeat(40),
  "\u0000",
  "\ud800",
  "\u202e",
  "\u009b2J",
  "💃",
  "'; DROP TABLE tasks; --",
  "%00",
  "%2e%2e%2f",
  "\r\nSet-Cookie: a=b",
  "a".repeat(5_000),
  "<script>alert(1)</script>",
  "{{7*7}}",
  "$(id)",
];

/** Text that is likely to cause an error somewhere. */
const nasty: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NASTY) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
);

const anything: fc.Arbitrary<unknown> = fc.oneof(
  nasty,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, 2 ** 53, -1, 1e308, -1e308, 5e-324, [], {}, [[[[[]]]]], { a: { b: { c: {} } } }),
  fc.array(nasty, { maxLength: 3 }),
  fc.dictionary(nasty, fc.oneof(nasty, fc.integer()), { maxKeys: 3 }),
);

/**
 * Values that a schema mostly accepts: patterns and formats match only by luck or by the values
 * known here.
 */
export class Schemas {
  readonly #components: Record<string, Json>;
  readonly #made = new Map<string, fc.Arbitrary<unknown>>();

  constructor(document: Json) {
    this.#components = ((document["components"] as Json)["schemas"] ?? {}) as Record<string, Json>;
  }

  of(schema: Json, depth = 0): fc.Arbitrary<unknown> {
    const right = this.#right(schema, depth);
    return fc.oneof({ weight: 24, arbitrary: right }, { weight: 1, arbitrary: anything });
  }

  #right(schema: Json, depth: number): fc.Arbitrary<unknown> {
    const ref = schema["$ref"] as string | undefined;
    if (ref !== undefined) return this.#component(ref.slice(ref.lastIndexOf("/") + 1), depth);
    if ("const" in schema) return fc.constant(schema["const"]);
    if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
    const choices = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
    if (choices) return fc.oneof(...choices.map((choice) => this.of(choice, depth + 1)));
    switch (schema["type"]) {
      case "integer":
      case "number":
        return this.#number(schema);
      case "boolean":
        return fc.boolean();
      case "string":
        return this.#text(schema);
      case "array":
        return this.#list(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return anything;
    }
  }

  #component(name: string, depth: number): fc.Arbitrary<unknown> {
    const schema = this.#components[name];
    if (!schema || depth > 6) return anything;
    let made = this.#made.get(name);
    if (!made) {
      made = this.of(schema, depth + 1);
      this.#made.set(name, made);
    }
    return made;
  }

  #number(schema: Json): fc.Arbitrary<unknown> {
    const low = Math.max(Number(schema["minimum"] ?? schema["exclusiveMinimum"] ?? -1_000), Number.MIN_SAFE_INTEGER);
    const high = Math.min(Number(schema["maximum"] ?? 1_000_000), Number.MAX_SAFE_INTEGER);
    return fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: Math.ceil(low), max: Math.max(Math.ceil(low), Math.floor(high)) }) },
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 }) },
      { weight: 1, arbitrary: fc.constantFrom(low, high, low - 1, high + 1, 0.5) },
    );
  }

  #text(schema: Json): fc.Arbitrary<unknown> {
    const examples = Array.isArray(schema["examples"]) ? (schema["examples"] as string[]) : [];
    return fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(...examples, "linux", "render", "1-10", "key-0123456789", "0".repeat(64)),
      },
      { weight: 2, arbitrary: fc.string({ maxLength: Math.min(80, Number(schema["maxLength"] ?? 80)) }) },
      { weight: 1, arbitrary: nasty },
    );
  }

  #list(schema: Json, depth: number): fc.Arbitrary<unknown> {
    const items = this.of((schema["items"] ?? {}) as Json, depth + 1);
    return fc.array(items, { minLength: Math.min(3, Number(schema["minItems"] ?? 0)), maxLength: 4 });
  }

  #object(schema: Json, depth: number): fc.Arbitrary<unknown> {
    const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Json>);
    const required = new Set((schema["required"] ?? []) as string[]);
    const fields = Object.fromEntries(properties.map(([name, value]) => [name, this.of(value, depth + 1)]));
    const known = fc.record(fields, {
      requiredKeys: properties.map(([name]) => name).filter((name) => required.has(name)),
    });
    const extra = schema["additionalProperties"];
    const more = typeof extra === "object" && extra !== null ? this.of(extra as Json, depth + 1) : anything;
    const most = extra === false || extra === undefined ? 0 : 3;
    const keys = fc.oneof(fc.constantFrom("lease_s", "frames", "text", "file", "render.final"), nasty);
    return fc
      .tuple(known, fc.dictionary(keys, more, { maxKeys: most }))
      .map(([base, others]) => ({ ...others, ...base }));
  }
}

/** A value as a form or a query carries it. */
function textOf(value: unknown): string {
  return (typeof value === "string" ? value : (JSON.stringify(value) ?? "")).toWellFormed();
}

/** A body that is often sent, and its hash. */
const BYTES = "bytes";
const BYTES_HASH = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";

const HEADERS: Record<string, fc.Arbitrary<string>> = {
  "Content-Encoding": fc.constantFrom("gzip", "identity", "br"),
  "Content-Length": fc.constantFrom("0", "-1", "99999999999", "1e3"),
  "If-None-Match": fc.constantFrom("*", '"x"', "W/"),
  Range: fc.constantFrom("bytes=0-", "bytes=-1", "bytes=5-1", "bytes=0-0,2-3", "lines=1"),
  "Idempotency-Key": fc.constantFrom("a", "b", "x".repeat(256)),
  Prefer: fc.constantFrom("return=minimal", ";;;"),
  Origin: fc.constantFrom("https://evil.example", "null"),
  Upgrade: fc.constantFrom("websocket", "h2c"),
  "Tablao-Grant-Token": fc.constantFrom("x", "a.b", "."),
  "Tablao-SHA256": fc.constantFrom(BYTES_HASH, "0".repeat(64), "x"),
  "Tablao-Assets": fc.constantFrom(
    `${BYTES_HASH}:5`,
    `${"0".repeat(64)}:5`,
    `${"0".repeat(64)}:0,${BYTES_HASH}:5`,
    `${BYTES_HASH}:5,${BYTES_HASH}:0`,
    `${BYTES_HASH}:4194304`,
    `${BYTES_HASH}:-5`,
    ",",
    "x",
  ),
  "Tablao-Backup": fc.constantFrom("0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f", "x"),
  "Tablao-Worker-Id": fc.constantFrom("1", "x"),
  "Tablao-Viewer": fc.constantFrom("{}", "x"),
  "X-HTTP-Method-Override": fc.constantFrom("DELETE"),
};

/** Any request to one of these operations. */
export function requestsTo(operations: readonly Operation[], schemas: Schemas): fc.Arbitrary<FuzzRequest> {
  return fc.oneof(...operations.map((operation) => requestTo(operation, schemas)));
}

function requestTo(operation: Operation, schemas: Schemas): fc.Arbitrary<FuzzRequest> {
  const inPath = operation.parameters.filter((parameter) => parameter.in === "path");
  const inQuery = operation.parameters.filter((parameter) => parameter.in === "query");
  const good = fc.nat({ max: 7 });
  const param = fc.oneof({ weight: 8, arbitrary: good }, { weight: 1, arbitrary: nasty });
  const queries = fc.record(
    Object.fromEntries(inQuery.map(({ name, schema }) => [name, schemas.of(schema).map(textOf)])),
    { requiredKeys: [] },
  );
  const stray = fc.array(fc.tuple(nasty, nasty), { maxLength: 1 });
  // The headers that say which bytes the body has: without them no code behind that check is
  // reached.
  const about = operation.parameters.filter(({ name }) => ["Tablao-SHA256", "Tablao-Assets"].includes(name));
  const described = fc.record(Object.fromEntries(about.map(({ name }) => [name, HEADERS[name]!])), {
    requiredKeys: [],
  });
  const header = fc.constantFrom(...Object.keys(HEADERS)).chain((name) => fc.tuple(fc.constant(name), HEADERS[name]!));
  return fc.record({
    operation: fc.constant(operation),
    caller: fc.nat({ max: 100 }),
    params: fc.record(Object.fromEntries(inPath.map(({ name }) => [name, param]))),
    query: fc
      .tuple(queries, fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: stray }))
      .map(([known, others]): [string, string][] => [
        ...(Object.entries(known).filter(([, value]) => value !== undefined) as [string, string][]),
        ...others.map(([name, value]): [string, string] => [name.toWellFormed(), value.toWellFormed()]),
      ]),
    headers: fc
      .tuple(
        described,
        fc.oneof(
          { weight: 3, arbitrary: fc.constant([]) },
          { weight: 1, arbitrary: fc.array(header, { maxLength: 2 }) },
        ),
      )
      .map(([known, pairs]) => ({ ...known, ...Object.fromEntries(pairs) }) as Record<string, string>),
    body: operation.body || operation.upload ? bodyOf(operation, schemas) : fc.constant(null),
  });
}

function bodyOf(operation: Operation, schemas: Schemas): fc.Arbitrary<FuzzRequest["body"]> {
  const right = operation.body
    ? schemas.of(operation.body)
    : fc.constantFrom(BYTES, "", "x".repeat(1_000), '["history",{}]\n');
  const known = operation.example === undefined ? [] : [fc.constant(operation.example)];
  const value = fc.oneof({ weight: 6, arbitrary: right }, { weight: 1, arbitrary: anything }, ...known);
  const kind = operation.upload ? fc.constant("raw" as const) : fc.constantFrom("json", "json", "json", "form", "raw");
  return fc.record({ kind: kind as fc.Arbitrary<"json" | "form" | "raw">, value });
}

/** The body as it is sent, and its type. */
export function encoded({ kind, value }: NonNullable<FuzzRequest["body"]>): { body: string; type: string } {
  if (kind === "json") return { body: JSON.stringify(value) ?? "", type: "application/json" };
  if (kind === "raw") return { body: textOf(value), type: "application/octet-stream" };
  const fields = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const form = new URLSearchParams(fields.map(([name, field]) => [name.toWellFormed(), textOf(field)]));
  return { body: form.toString(), type: "application/x-www-form-urlencoded" };
}
