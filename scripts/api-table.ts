/**
 * The tables of routes in docs/http-api.md, made from the declared routes. `npm run docs:api`
 * writes them; `src/http/routes/api-table.test.ts` fails while they are out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { AnswerDescription, RouteDescription } from "../src/protocol/openapi.ts";

const DOCUMENT = new URL("../docs/http-api.md", import.meta.url);
const BEGIN = "<!-- routes: written by `npm run docs:api` -->";
const END = "<!-- end of routes -->";

/** The text of docs/http-api.md. */
export function readDocument(): string {
  return readFileSync(DOCUMENT, "utf8");
}

/**
 * The declared routes. The module is imported by a computed address, so that the compiler does not
 * load its types: they need the declarations of the Workers runtime, which contradict those of
 * Node.
 */
export async function loadRoutes(): Promise<readonly RouteDescription[]> {
  const module = new URL("../src/http/routes/index.ts", import.meta.url).href;
  return ((await import(module)) as { ROUTES: readonly RouteDescription[] }).ROUTES;
}

/** The document with new tables between its markers. Throws when a marker is missing. */
export function withTables(document: string, routes: readonly RouteDescription[]): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/http-api.md needs the lines "${BEGIN}" and "${END}"`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${tablesOf(routes)}\n\n${document.slice(end)}`;
}

/** One table for each tag, in the order of the routes. */
function tablesOf(routes: readonly RouteDescription[]): string {
  return [...Map.groupBy(routes, (route) => route.tag)]
    .map(([tag, ofTag]) => `### ${tag}\n\n${tableOf(ofTag)}`)
    .join("\n\n");
}

function tableOf(routes: readonly RouteDescription[]): string {
  const rows = routes.map((route) => [
    `\`${route.method} ${route.path}${queryOf(route)}\``,
    route.summary,
    route.who === "anyone" ? "anyone" : route.who.join(", "),
    takenBy(route),
    Object.entries(route.answers)
      .map(([status, answer]) => `${status}${contentOf(answer)}`)
      .join(", "),
  ]);
  const lines = [["method and path", "what it does", "who", "takes", "answers"], Array(5).fill("---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

function queryOf({ query }: RouteDescription): string {
  const names = query instanceof z.ZodObject ? Object.keys(query.shape) : [];
  return names.length === 0 ? "" : `?${names.map((name) => `${name}=`).join("&")}`;
}

/** The body of a request, and the headers that it must have. */
function takenBy({ body, upload, headers = [] }: RouteDescription): string {
  const required = headers.filter((header) => header.required).map(({ name }) => `\`${name}\``);
  return [...(body ? [nameOf(body)] : []), ...(upload ? ["bytes"] : []), ...required].join(", ");
}

function contentOf({ schema, media }: AnswerDescription): string {
  if (schema) return ` ${nameOf(schema)}`;
  return media === undefined ? "" : ` ${media === "application/octet-stream" ? "bytes" : [media].flat().join(" or ")}`;
}

/** A schema's name in `/openapi.json`. */
function nameOf(schema: z.ZodType): string {
  const id = schema.meta()?.id;
  if (id !== undefined) return `\`${id}\``;
  return schema instanceof z.ZodUnion ? (schema.options as z.ZodType[]).map(nameOf).join(" or ") : "JSON";
}

if (import.meta.main) writeFileSync(DOCUMENT, withTables(readDocument(), await loadRoutes()));
