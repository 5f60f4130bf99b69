/**
 * `/openapi.json` (OpenAPI 3.1) from the route table: routes describe themselves, zod writes the schemas. Pure.
 * OpenAPI 3.1 takes JSON Schema draft 2020-12 as it is; what zod puts under `$defs` becomes `components.schemas`.
 */
import { z } from "zod";
import { PROBLEMS, problemSchema, type ProblemCode } from "./problem.ts";
import type { Role } from "./token.ts";

export type Who = Role | "worker";
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
  components.ref(problemSchema, "output");
  return {
    openapi: "3.1.1",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "Tablao",
      version,
      license: { name: "MIT", identifier: "MIT" },
      description: "A render-farm manager. Every error is a problem document (RFC 9457) with a stable `code`.",
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A token, a worker's secret, or an access token from POST /auth/access." },
      },
    },
  };
}

function operation(route: RouteDescription, components: Components): Json {
  const parameters = [...pathParameters(route.path, components), ...queryParameters(route.query, components), ...headerParameters(route.headers)];
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
    schema: components.inline(PATH_PARAMETERS[name] ?? z.string(), "input"),
  }));
}

function queryParameters(query: z.ZodType | undefined, components: Components): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = components.inline(query, "input") as { properties?: Record<string, Json>; required?: string[] };
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
  const media = { schema: components.ref(route.body, "input"), ...(route.example === undefined ? {} : { example: route.example }) };
  return { required: true, content: { "application/json": media, "application/x-www-form-urlencoded": { schema: media.schema } } };
}

/** Refusals that follow from what a route is. */
export function problemsOf(route: RouteDescription): ProblemCode[] {
  const codes = new Set<ProblemCode>(["internal", "overloaded", ...(route.problems ?? [])]);
  if (route.path !== "/healthz") codes.add("not_configured");
  if (route.who !== "anyone") for (const code of ["unauthorized", "forbidden", "rate_limited"] as const) codes.add(code);
  if (route.path.includes("{")) for (const code of ["invalid_request", "not_found"] as const) codes.add(code);
  if (route.query) codes.add("invalid");
  if (route.body) for (const code of ["invalid_request", "too_large", "unsupported_media_type", "invalid"] as const) codes.add(code);
  return [...codes];
}

function responses(route: RouteDescription, components: Components): Json {
  const all: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(route.answers)) {
    const content = answer.schema
      ? { "application/json": { schema: components.ref(answer.schema, "output") } }
      : answer.media === undefined
        ? undefined
        : { [answer.media]: { schema: {} } };
    all[status] = { description: answer.description, ...(content ? { content } : {}) };
  }
  const byStatus = Map.groupBy(problemsOf(route), (code) => PROBLEMS[code].status);
  for (const [status, codes] of [...byStatus].toSorted(([a], [b]) => a - b)) {
    all[status] = {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join("; "),
      content: { "application/problem+json": { schema: components.ref(problemSchema, "output") } },
    };
  }
  return all;
}

type Direction = "input" | "output";

/** The document's schemas. What a client sends and what it gets can differ under one id (defaults): then it is `XInput`. */
class Components {
  readonly schemas: Record<string, Json> = {};

  /** A reference to a schema with an id, else the schema itself. */
  ref(schema: z.ZodType, direction: Direction): Json {
    return this.#convert(schema, direction);
  }

  /** The schema with its outermost reference resolved. */
  inline(schema: z.ZodType, direction: Direction): Json {
    const converted = this.#convert(schema, direction);
    const name = typeof converted.$ref === "string" ? converted.$ref.slice("#/components/schemas/".length) : undefined;
    return name === undefined ? converted : this.schemas[name]!;
  }

  #convert(schema: z.ZodType, direction: Direction): Json {
    const { $schema: _, $defs = {}, ...root } = z.toJSONSchema(schema, { target: "draft-2020-12", io: direction, unrepresentable: "any" }) as Json & {
      $defs?: Record<string, Json>;
    };
    const names = new Map<string, string>();
    // Two passes: a definition may refer to one that comes after it.
    for (const id of Object.keys($defs)) names.set(id, this.#nameOf(id, $defs, direction));
    for (const [id, definition] of Object.entries($defs)) this.schemas[names.get(id)!] ??= tidy(definition, names, direction) as Json;
    return tidy(root, names, direction) as Json;
  }

  #nameOf(id: string, defs: Record<string, Json>, direction: Direction): string {
    // zod's own name for a recursive schema: any JSON value is the only one there is.
    const plain = id.startsWith("__schema") ? "JsonValue" : id;
    const same = (name: string): boolean => {
      const known = this.schemas[name];
      const names = new Map(Object.keys(defs).map((key) => [key, key === id ? name : key.startsWith("__schema") ? "JsonValue" : key]));
      return known === undefined || JSON.stringify(known) === JSON.stringify(tidy(defs[id], names, direction));
    };
    if (same(plain)) return plain;
    const other = direction === "input" ? `${plain}Input` : `${plain}Output`;
    if (same(other)) return other;
    throw new Error(`two schemas have the id ${plain}`);
  }
}

/** Point references at components; answers may gain fields (no `additionalProperties: false`), requests may not. */
function tidy(value: unknown, names: ReadonlyMap<string, string>, direction: Direction): unknown {
  if (Array.isArray(value)) return value.map((item) => tidy(item, names, direction));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
    if (key === "id" && typeof item === "string") return [];
    if (key === "additionalProperties" && item === false && direction === "output") return [];
    if (key === "$ref" && typeof item === "string") {
      const id = item.slice("#/$defs/".length);
      return [[key, `#/components/schemas/${names.get(id) ?? id}`]];
    }
    return [[key, tidy(item, names, direction)]];
  });
  return Object.fromEntries(entries);
}
