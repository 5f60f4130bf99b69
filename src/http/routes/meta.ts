/**
 * About the manager itself: its health, the description of its API, the meaning of problem codes.
 */
import { z } from "zod";
import { ok } from "../../lib/result.ts";
import { healthSchema } from "../../protocol/health.ts";
import { openApiDocument } from "../../protocol/openapi.ts";
import { PROBLEMS, problemType, type ProblemCode } from "../../protocol/problem.ts";
import { VERSION } from "../../protocol/version.ts";
import { noSuch, type PathParameter } from "../server/path-parameters.ts";
import { defineRoute, type Route } from "../server/route.ts";

const common = { method: "GET", tag: "manager", who: "anyone" } as const;

const problemKindSchema = z
  .object({ type: z.string(), code: z.string(), status: z.int(), title: z.string() })
  .meta({ id: "ProblemKind" });

const problemCode: PathParameter<ProblemCode> = {
  schema: z.string(),
  read: (text) => (Object.hasOwn(PROBLEMS, text) ? ok(text as ProblemCode) : noSuch("problem code")),
};

/** Calls no Durable Object, so that probes cost nothing. */
const health = defineRoute({
  ...common,
  path: "/healthz",
  operationId: "health",
  summary: "Is the manager there?",
  answers: { 200: { description: "Yes", schema: healthSchema } },
  handle: async () => ok({ status: "ok", version: VERSION } as const),
});

/** The document describes all routes, this one included, so they are handed in as a function. */
function openApi(routes: () => readonly Route[]): Route {
  let document: string | undefined;
  return defineRoute({
    ...common,
    path: "/openapi.json",
    operationId: "openapi",
    summary: "This document",
    answers: { 200: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) } },
    handle: async () => {
      // Made at the first request to an isolate, not at its start: it takes tens of milliseconds.
      document ??= JSON.stringify(openApiDocument(routes(), VERSION));
      return new Response(document, { headers: { "Content-Type": "application/json" } });
    },
  });
}

/** What the `type` of a problem document points at. */
const describeProblem = defineRoute({
  ...common,
  path: "/problems/{code}",
  operationId: "describeProblem",
  summary: "What a problem document's `type` points at",
  params: { code: problemCode },
  answers: { 200: { description: "The kind of problem", schema: problemKindSchema } },
  handle: async ({ code }) => {
    const { status, title } = PROBLEMS[code];
    return ok({ type: problemType(code), code, status, title });
  },
});

export function metaRoutes(routes: () => readonly Route[]): readonly Route[] {
  return [health, openApi(routes), describeProblem];
}
