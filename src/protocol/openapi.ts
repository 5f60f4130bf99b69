/**
 * `/openapi.json` (OpenAPI 3.1) from the route table: routes describe themselves, zod writes the schemas. Pure.
 * OpenAPI 3.1 takes JSON Schema draft 2020-12 as it is; what zod puts under `$defs` becomes `components.schemas`.
 */
import { z } from "zod";
import { PROBLEMS, problemSchema, type ProblemCode } from "./problem.ts";
import type { Role } from "./token.ts";

export type Who = Role | "worker" | "share";
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface AnswerDescription {
  description: string;
  /** JSON body; absent for none. */
  schema?: z.ZodType;
  /** Media type of a body that is not JSON. */
  media?: string;
}

export interface HeaderDescription {
  name: string;
  description: string;
  required?: boolean;
}

/** What a route says of itself. */
export interface RouteDescription {
  method: Method;
  /** With parameters in braces: `/tasks/{id}`. */
  path: string;
  /** Unique; clients name their functions by it. */
  operationId: string;
  tag: string;
  summary: string;
  description?: string;
  /** Roles that may call it; `anyone` needs no token. Who owns what is for the handler to say. */
  who: "anyone" | readonly Who[];
  query?: z.ZodType;
  headers?: readonly HeaderDescription[];
  /** JSON or form body. */
  body?: z.ZodType;
  /** The body is bytes. */
  upload?: boolean;
  /** Example of the body. */
  example?: unknown;
  answers: Readonly<Record<number, AnswerDescription>>;
  /** Refusals beyond those that every route with a token, a body or a query can give. */
  problems?: readonly ProblemCode[];
}

type Json = Record<string, unknown>;

/** Path parameters that are not plain text. */
const PATH_PARAMETERS: Record<string, z.ZodType> = {
  id: z.int().min(1),
  frame: z.int(),
  attempt: z.int().min(1),
  n: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
};

/** The document. `version` is the manager's. Throws when two schemas of one direction share an id but not their content. */
export function openApiDocument(routes: readonly RouteDescription[], version: string): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operation(route, components);
  }
  components.schema(problemSchema, "output");
  return components.resolve({
    openapi: "3.1.1",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "Tablao",
      version,
      license: { name: "MIT", identifier: "MIT" },
      description: "A render-farm manager. Every error is a problem document (RFC 9457) with a stable `code`.",
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }, { session: [] }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description:
            "A token, a worker's secret, an access token from POST /auth/access, or the text of a share link.",
        },
        session: {
          type: "apiKey",
          in: "cookie",
          name: "__Host-tablao",
          description:
            "The page's session, from POST /auth/session; on plain http it is called `tablao`. Writes need our own Origin.",
        },
      },
    },
  });
}

function operation(route: RouteDescription, components: Components): Json {
  const parameters = [
    ...pathParameters(route.path, components),
    ...queryParameters(route.query, components),
    ...headerParameters(route.headers),
  ];
  const roles = route.who === "anyone" ? "Anyone, without a token." : `For: ${route.who.join(", ")}.`;
  const body = requestBody(route, components);
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    description: route.description === undefined ? roles : `${route.description}\n\n${roles}`,
    ...(route.who === "anyone" ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: body } : {}),
    responses: responses(route, components),
  };
}

function pathParameters(path: string, components: Components): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: components.schema(PATH_PARAMETERS[name] ?? z.string(), "input"),
  }));
}

function queryParameters(query: z.ZodType | undefined, components: Components): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = components.schema(query, "input") as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    ...(description === undefined ? {} : { description }),
    ...(required.includes(name) ? { required: true } : {}),
    schema,
  }));
}

function headerParameters(headers: readonly HeaderDescription[] = []): Json[] {
  return headers.map(({ name, description, required }) => ({
    name,
    in: "header",
    description,
    ...(required ? { required: true } : {}),
    schema: { type: "string" },
  }));
}

function requestBody(route: RouteDescription, components: Components): Json | undefined {
  if (route.upload) return { required: true, content: { "application/octet-stream": { schema: {} } } };
  if (!route.body) return undefined;
  const media = {
    schema: components.schema(route.body, "input"),
    ...(route.example === undefined ? {} : { example: route.example }),
  };
  return {
    required: true,
    content: { "application/json": media, "application/x-www-form-urlencoded": { schema: media.schema } },
  };
}

/** Refusals that follow from what a route is. */
export function problemsOf(route: RouteDescription): ProblemCode[] {
  const codes = new Set<ProblemCode>(["internal", "overloaded", ...(route.problems ?? [])]);
  if (route.path !== "/healthz") codes.add("not_configured");
  if (route.who !== "anyone")
    for (const code of ["unauthorized", "forbidden", "rate_limited"] as const) codes.add(code);
  if (route.path.includes("{")) for (const code of ["invalid_request", "not_found"] as const) codes.add(code);
  if (route.query) codes.add("invalid");
  if (route.body)
    for (const code of ["invalid_request", "too_large", "unsupported_media_type", "invalid"] as const) codes.add(code);
  return [...codes];
}

function responses(route: RouteDescription, components: Components): Json {
  const all: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(route.answers)) {
    const content = answer.schema
      ? { "application/json": { schema: components.schema(answer.schema, "output") } }
      : answer.media === undefined
        ? undefined
        : { [answer.media]: { schema: {} } };
    all[status] = { description: answer.description, ...(content ? { content } : {}) };
  }
  const byStatus = Map.groupBy(problemsOf(route), (code) => PROBLEMS[code].status);
  for (const [status, codes] of [...byStatus].toSorted(([a], [b]) => a - b)) {
    all[status] = {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join("; "),
      content: { "application/problem+json": { schema: components.schema(problemSchema, "output") } },
    };
  }
  return all;
}

type Direction = "input" | "output";

/**
 * The document's schemas, collected by direction: what a client sends and what it gets differ under one id where there are
 * defaults. References stay marked with their direction (`input:Task`) until all is known; then `resolve` names them.
 */
class Components {
  readonly #definitions: Record<Direction, Map<string, Json>> = { input: new Map(), output: new Map() };

  /** A schema as JSON Schema: a reference where it has an id. */
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

  /** The finished document: `components.schemas` filled in, every reference pointing there. */
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

  /** Ids that differ by direction, in themselves or in what they refer to. */
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

/** zod names a recursive schema itself; any JSON value is the only one there is. */
function nameOf(id: string): string {
  return id.startsWith("__schema") ? "JsonValue" : id;
}

/** Mark references with their direction. Answers may gain fields, so they do not say `additionalProperties: false`. */
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

/** Rebuild an object entry by entry (null drops one), an array item by item; anything else stays. */
function mapEntries(value: unknown, map: (key: string, item: unknown) => [string, unknown] | null): unknown {
  if (Array.isArray(value)) return value.map((item) => map("", item)?.[1]);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => [map(key, item)].filter((entry) => entry !== null)),
  );
}
