/**
 * The page. One HTML document (the app shell), from the assets binding, answers `/` and every
 * address under `/app/`; the page's own router shows what belongs to the address. No other path
 * ever answers HTML. Scripts and styles come from our own files only: the platform serves those
 * below `/app/static/` without this Worker, with the headers in `src/dashboard/static/_headers`.
 */
import { z } from "zod";
import { ok, type Result } from "../../lib/result.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { fallbackPage } from "../fallback-page.ts";
import type { PathParameter } from "../server/path-parameters.ts";
import { defineRoute, type RequestContext, type Route } from "../server/route.ts";

/**
 * For the app shell: no inline script or style, nothing from another site, not in a frame. `blob:`
 * is for pictures that the page makes.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page's files. Only a request for one that is not there gets to the Worker. */
const STATIC = "/app/static/";

/** The app shell. */
async function showPage({ request, env, url }: RequestContext): Promise<Response | Result<never, Refusal>> {
  if (url.pathname.startsWith(STATIC)) return refuse("not_found", "The page has no such file.");
  const shell = new URL("/index.html", url.origin);
  const found = await env.ASSETS?.fetch(new Request(shell, { headers: conditions(request) }));
  if (!found || (found.status !== 200 && found.status !== 304)) {
    await found?.body?.cancel();
    return fallbackPage();
  }
  const answer = new Response(found.body, found);
  answer.headers.set("Cache-Control", "no-cache");
  answer.headers.set("Content-Security-Policy", POLICY);
  answer.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  answer.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return answer;
}

function conditions(request: Request): Headers {
  const headers = new Headers();
  const match = request.headers.get("If-None-Match");
  if (match !== null) headers.set("If-None-Match", match);
  return headers;
}

const common = { method: "GET", tag: "manager", who: "anyone", handle: showPage } as const;
const html = { 200: { description: "HTML", media: "text/html" } } as const;

/** The page's router reads the address; every text is one. */
const pagePath: PathParameter<string> = { schema: z.string(), read: ok };

export const pageRoutes: readonly Route[] = [
  defineRoute({ ...common, path: "/", operationId: "page", summary: "The page", answers: html }),
  defineRoute({ ...common, path: "/app", operationId: "pageOfApp", summary: "The page, too", answers: html }),
  defineRoute({
    ...common,
    path: "/app/{path}",
    deep: true,
    operationId: "pageAt",
    summary: "The page at one of its own addresses",
    params: { path: pagePath },
    answers: { 200: { description: "HTML", media: "text/html" }, 304: { description: "Unchanged" } },
  }),
];
