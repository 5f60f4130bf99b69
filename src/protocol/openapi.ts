/**
 * `/openapi.json` (OpenAPI 3.1), made from the declared routes; zod writes the JSON Schemas. Pure.
 * OpenAPI 3.1 takes JSON Schema draft 2020-12 as it is; what zod puts under `$defs` becomes
 * `components.schemas`.
 */
import { z } from "zod";
import { Components, type Json } from "./openapi-components.ts";
import { problemSchema } from "./problem-schema.ts";
import { PROBLEM_MEDIA_TYPE, PROBLEMS, type ProblemCode } from "./problem.ts";
import type { Role } from "./token.ts";

/** A role that may call a route. */
export type Who = Role | "worker" | "share";
/** The methods that routes use. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** One answer of a route, for one status. */
export interface AnswerDescription {
  description: string;
  /** The JSON body; absent when there is none. */
  schema?: z.ZodType;
  /** Media type of a body that is not JSON, or the types that it may have. */
  media?: string | readonly string[];
}

/** A request header that a route reads. */
export interface HeaderDescription {
  name: string;
  description: string;
  required?: boolean;
  /** A regular expression that the value matches. */
  pattern?: string;
}

/** A route without its handler, which `http/server/route.ts` adds. */
export interface RouteDescription {
  method: Method;
  /** The path, with parameters in braces: `/tasks/{id}`. */
  path: string;
  /** Unique among all routes: generated clients name their functions by it. */
  operationId: string;
  tag: string;
  summary: string;
  description?: string;
  /** Roles that may call it; `anyone` needs no token. Handlers check who owns a task. */
  who: "anyone" | readonly Who[];
  /** Schemas of its path parameters by name; a parameter that is not listed is a plain text. */
  params?: Readonly<Record<string, { schema: z.ZodType }>>;
  query?: z.ZodType;
  headers?: readonly HeaderDescription[];
  /** The schema of a JSON or form body. */
  body?: z.ZodType;
  /** The body is bytes. */
  upload?: boolean;
  /** An example of the body. */
  example?: unknown;
  answers: Readonly<Record<number, AnswerDescription>>;
  /** Refusals beyond those that every route with a token, a body or a query can give. */
  problems?: readonly ProblemCode[];
}

/**
 * The document; `version` is the manager's. Throws when two schemas of one direction share an id
 * but not their content.
 */
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
    ...pathParameters(route, components),
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

function pathParameters({ path, params = {} }: RouteDescription, components: Components): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: components.schema(params[name]?.schema ?? z.string(), "input"),
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
  return headers.map(({ name, description, required, pattern }) => ({
    name,
    in: "header",
    description,
    ...(required ? { required: true } : {}),
    schema: { type: "string", ...(pattern === undefined ? {} : { pattern }) },
  }));
}

function requestBody(route: RouteDescription, components: Components): Json | undefined {
  if (route.upload) return { required: true, content: { "application/octet-stream": { schema: {} } } };
  if (!route.body) return undefined;
  const media = {
    schema: components.schema(route.body, "input"),
    ...(route.example === undefined ? {} : { example: route.example }),
  };
  const form = { schema: media.schema, ...formEncoding(route.body) };
  return { required: true, content: { "application/json": media, "application/x-www-form-urlencoded": form } };
}

/**
 * Says that a form's field whose value is a list or an object carries it as JSON. By default,
 * OpenAPI repeats such a field, or spreads it over several fields.
 */
function formEncoding(body: z.ZodType): Json {
  if (!(body instanceof z.ZodObject)) return {};
  const structured = Object.entries(body.shape as Record<string, z.ZodType>).filter(([, field]) => isStructured(field));
  if (structured.length === 0) return {};
  return { encoding: Object.fromEntries(structured.map(([name]) => [name, { contentType: "application/json" }])) };
}

/** Whether a field's value may be a list or an object. */
function isStructured(field: z.ZodType): boolean {
  const options = { target: "draft-2020-12", io: "input", unrepresentable: "any" } as const;
  const { $defs = {}, ...root } = z.toJSONSchema(field, options) as Json & { $defs?: Record<string, Json> };
  const types = ({ $ref, anyOf, type }: Json): unknown[] => {
    if (typeof $ref === "string") return types($defs[$ref.slice("#/$defs/".length)] ?? {});
    return Array.isArray(anyOf) ? (anyOf as Json[]).flatMap(types) : [type];
  };
  return types(root).some((type) => type === "array" || type === "object");
}

/**
 * The refusals that a route can answer: those that it declares, and those of every route with a
 * token, parameters or a body.
 */
function problemsOf(route: RouteDescription): ProblemCode[] {
  const codes = new Set<ProblemCode>([
    "internal",
    "overloaded",
    "quota_exceeded",
    "manager_outdated",
    ...(route.problems ?? []),
  ]);
  if (route.path !== "/healthz") for (const code of ["not_configured", "misconfigured"] as const) codes.add(code);
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
        : Object.fromEntries([answer.media].flat().map((media) => [media, { schema: {} }]));
    all[status] = { description: answer.description, ...(content ? { content } : {}) };
  }
  const byStatus = Map.groupBy(problemsOf(route), (code) => PROBLEMS[code].status);
  for (const [status, codes] of [...byStatus].toSorted(([a], [b]) => a - b)) {
    all[status] = {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join("; "),
      content: { [PROBLEM_MEDIA_TYPE]: { schema: components.schema(problemSchema, "output") } },
    };
  }
  return all;
}
