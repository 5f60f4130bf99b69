/** Routes without a token. */
import { z } from "zod";
import { describeProblem, health } from "../meta.ts";
import { showPage } from "../page.ts";
import type { PublicHandler } from "../context.ts";
import type { Route } from "../route.ts";

const common = { method: "GET", tag: "manager", who: "anyone" } as const;

const healthSchema = z.object({ status: z.literal("ok"), version: z.string() }).meta({ id: "Health" });
const problemKindSchema = z
  .object({ type: z.string(), code: z.string(), status: z.int(), title: z.string() })
  .meta({ id: "ProblemKind" });

/** `openapi` describes the whole table, this row included, so it is handed in. */
export function metaRoutes(openapi: PublicHandler): readonly Route[] {
  return [
    {
      ...common,
      path: "/healthz",
      operationId: "health",
      summary: "Is the manager there?",
      answers: { 200: { description: "Yes", schema: healthSchema } },
      handler: health,
    },
    {
      ...common,
      path: "/openapi.json",
      operationId: "openapi",
      summary: "This document",
      answers: { 200: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) } },
      handler: openapi,
    },
    {
      ...common,
      path: "/problems/{code}",
      operationId: "describeProblem",
      summary: "What a problem document's `type` points at",
      answers: { 200: { description: "The kind of problem", schema: problemKindSchema } },
      handler: describeProblem,
    },
    {
      ...common,
      path: "/",
      operationId: "page",
      summary: "The page",
      answers: { 200: { description: "HTML", media: "text/html" } },
      handler: showPage,
    },
    {
      ...common,
      path: "/app",
      operationId: "pageOfApp",
      summary: "The page, too",
      answers: { 200: { description: "HTML", media: "text/html" } },
      handler: showPage,
    },
    {
      ...common,
      path: "/app/{path}",
      deep: true,
      operationId: "pageAt",
      summary: "The page at one of its own addresses; its files under `/app/static/`",
      answers: { 200: { description: "HTML, or the file", media: "text/html" }, 304: { description: "Unchanged" } },
      handler: showPage,
    },
  ];
}
