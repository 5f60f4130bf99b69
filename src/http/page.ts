/**
 * The page: built files from the assets binding. One HTML document answers `/` and every address under `/app/`, which the page
 * routes by itself; no other path ever answers HTML. Scripts and styles come from our own files only.
 */
import type { PublicHandler } from "./context.ts";
import { landing } from "./landing.ts";
import { problemResponse } from "../platform/problem-response.ts";

/** Of the built document. No inline script or style, nothing from elsewhere, in nobody's frame. `blob:` is for made pictures. */
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

/** Of a file that is looked at by itself, and of the page's worker scripts. */
const FILE_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** Names in here carry a hash of what is in them. */
const STATIC = "/app/static/";

/** Whether an address is the page's: these may end in a slash. */
export function isOfPage(pathname: string): boolean {
  return pathname === "/" || pathname === "/app" || pathname.startsWith("/app/");
}

/** GET /, /app and /app/… */
export const showPage: PublicHandler = async (request, { env, url }) => {
  const isFile = url.pathname.startsWith(STATIC);
  const file = new URL(isFile ? url.pathname : "/index.html", url.origin);
  const found = await env.ASSETS?.fetch(new Request(file, { headers: conditions(request) }));
  if (!found || (found.status !== 200 && found.status !== 304)) {
    await found?.body?.cancel();
    return isFile ? problemResponse({ code: "not_found", detail: "The page has no such file." }) : landing();
  }
  const answer = new Response(found.body, found);
  answer.headers.set("Cache-Control", isFile ? "public, max-age=31536000, immutable" : "no-cache");
  answer.headers.set("Content-Security-Policy", isFile ? FILE_POLICY : POLICY);
  answer.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  answer.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return answer;
};

function conditions(request: Request): Headers {
  const headers = new Headers();
  const match = request.headers.get("If-None-Match");
  if (match !== null) headers.set("If-None-Match", match);
  return headers;
}
