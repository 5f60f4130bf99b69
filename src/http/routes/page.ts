/**
 * The page: built files from the assets binding. One HTML document (the app shell) answers `/` and
 * every address under `/app/`; the page's own router shows what belongs to the address. No other
 * path ever answers HTML. Scripts and styles come from our own files only.
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

/** For a file that is opened by itself, and for the page's worker scripts. */
const FILE_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/**
 * File names in this folder contain a hash of the content, so their answers may be cached for ever.
 */
const STATIC = "/app/static/";

/** The app shell, or the file under `/app/static/`. */
async function showPage({ request, env, url }: RequestContext): Promise<Response | Result<never, Refusal>> {
  const isFile = url.pathname.startsWith(STATIC);
  const file = new URL(isFile ? url.pathname : "/index.html", url.origin);
  const found = await env.ASSETS?.fetch(new Request(file, { headers: conditions(request) }));
  if (!found || (found.status !== 200 && found.status !== 304)) {
    await found?.body?.cancel();
    return isFile ? refuse("not_found", "The page has no such file.") : fallbackPage();
  }
  const answer = new Response(found.body, found);
  answer.headers.set("Cache-Control", isFile ? "public, max-age=31536000, immutable" : "no-cache");
  answer.headers.set("Content-Security-Policy", isFile ? FILE_POLICY : POLICY);
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
    summary: "The page at one of its own addresses; its files under `/app/static/`",
    params: { path: pagePath },
    answers: { 200: { description: "HTML, or the file", media: "text/html" }, 304: { description: "Unchanged" } },
  }),
];
