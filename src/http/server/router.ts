/**
 * The router, made from the declared routes: configuration, method, token, role, route, and the
 * headers of every answer.
 */
import { Router, type IRequest } from "itty-router";
import { failureOf, problemResponse, type Failure } from "../../platform/problem-response.ts";
import { withStorageFailures } from "../../platform/storage-env.ts";
import type { Env } from "../../rpc/env.ts";
import { wrongLocation } from "../../rpc/location.ts";
import { authenticate } from "./auth.ts";
import { drain } from "./drain.ts";
import { withHeaders } from "./headers.ts";
import { idFrom } from "./request.ts";
import type { RequestContext, Route } from "./route.ts";
import { runRoute } from "./run-route.ts";
import { withStrongKey } from "./weak-secrets.ts";

const NO_ADMIN_TOKEN = "Set the secret TABLAO_ADMIN_TOKEN: `npx wrangler secret put TABLAO_ADMIN_TOKEN`.";

/**
 * itty-router itself is given the method and the address only; these are passed through to the
 * routes.
 */
type Args = [Request, URL, Env, ExecutionContext];

/** Answers a request. Never throws: a bug becomes a 500. */
export type Fetch = (request: Request, env: Env, ctx: ExecutionContext) => Promise<Response>;

/** Build the router, once per isolate. Routes are tried in the given order. */
export function buildRouter(routes: readonly Route[]): Fetch {
  const deepPrefixes = routes.filter((route) => route.deep).map(({ path }) => path.slice(0, path.indexOf("{")));
  const router = Router<IRequest, Args, Response>();
  for (const [path, onPath] of Map.groupBy(routes, (route) => route.path)) {
    const pattern = path.replaceAll(/\{(\w+)\}/g, ":$1") + (onPath.some((route) => route.deep) ? "+" : "");
    const allowed = allowedMethods(onPath);
    router.all(pattern, ({ params }, request, url, env, ctx) => {
      // HEAD is GET without the body. The runtime would drop the body, too, but some handlers then
      // do less work.
      const method = request.method === "HEAD" ? "GET" : request.method;
      const route = onPath.find((candidate) => candidate.method === method);
      if (!route) {
        const detail = `${request.method.slice(0, 20)} is not supported here; ${allowed.join(", ")} ${allowed.length === 1 ? "is" : "are"}.`;
        return problemResponse({ code: "method_not_allowed", detail }, { headers: { Allow: allowed.join(", ") } });
      }
      return authorise(route, params, { request, url, env, ctx });
    });
  }
  router.all("*", () =>
    problemResponse({
      code: "not_found",
      detail: "There is nothing at this address; /openapi.json lists what there is.",
    }),
  );
  return async (request, env, ctx) => {
    let response: Response;
    let failure: Failure | null = null;
    try {
      const url = new URL(request.url);
      const asked = { method: request.method, url: url.href };
      response =
        refuseEarly(url, env, deepPrefixes) ??
        (await router.fetch(asked, request, url, await bindingsFor(url, env), ctx));
    } catch (error) {
      failure = failureOf(error);
      response = failure.response;
    }
    // A manager without an admin token answers 503 to everything; those lines would only fill its
    // log.
    if (response.status >= 500 && env.TABLAO_ADMIN_TOKEN) logFailure(request, response.status, failure);
    if (response.status >= 400) await drain(request);
    return withHeaders(request, response);
  };
}

/**
 * One line for each 5xx, which is all that this layer logs. It has the path, never the query or a
 * header: those may hold secrets.
 */
function logFailure(request: Request, status: number, failure: Failure | null): void {
  const { pathname } = new URL(request.url);
  const { incident = null, message = null } = failure ?? {};
  console.error(JSON.stringify({ level: "error", method: request.method, path: pathname, status, incident, message }));
}

/** The bindings that routes get. /healthz asks no object. */
async function bindingsFor({ pathname }: URL, env: Env): Promise<Env> {
  return withStorageFailures(pathname === "/healthz" ? env : await withStrongKey(env));
}

function allowedMethods(onPath: readonly Route[]): string[] {
  const methods = onPath.map((route) => route.method);
  return methods.some((method) => method === "GET")
    ? ["GET", "HEAD", ...methods.filter((method) => method !== "GET")]
    : methods;
}

/**
 * Refusals that need no route: a manager without its admin token, or with a wrong location, serves
 * /healthz only; and no path ends in a slash, but for those below a deep route, which answers every
 * address there.
 */
function refuseEarly({ pathname }: URL, env: Env, deepPrefixes: readonly string[]): Response | undefined {
  if (pathname !== "/healthz") {
    if (!env.TABLAO_ADMIN_TOKEN) return problemResponse({ code: "not_configured", detail: NO_ADMIN_TOKEN });
    // Objects that were created in a wrong place would stay there. Agents wait for a 503 to pass,
    // but end for `not_configured`.
    const wrong = wrongLocation(env);
    if (wrong !== null) return problemResponse({ code: "misconfigured", detail: wrong });
  }
  // itty-router ignores any number of slashes at the end of a path.
  if (pathname !== "/" && pathname.endsWith("/") && !deepPrefixes.some((prefix) => pathname.startsWith(prefix)))
    return problemResponse({ code: "not_found", detail: "Addresses here have no slash at the end." });
  return undefined;
}

/**
 * Check the encoding of the path, the token, its role, and that a share link is used for its own
 * task; run the route.
 */
async function authorise(
  route: Route,
  raw: Record<string, string | undefined>,
  context: RequestContext,
): Promise<Response> {
  const params = decodeParams(raw);
  if (!params)
    return problemResponse({
      code: "invalid_request",
      detail: "The address has a percent sign that does not encode anything.",
    });
  if (route.who === "anyone") return await runRoute(route, context, params, null);
  const caller = await authenticate(context.request, context.env, Date.now(), route.fresh);
  if (!caller.ok) return problemResponse(caller.error);
  const { principal } = caller.value;
  if (!route.who.includes(principal.role)) {
    return problemResponse({
      code: "forbidden",
      detail: `This is for ${route.who.join(", ")}; your token is ${principal.role}.`,
    });
  }
  if (principal.task !== undefined && params["id"] !== undefined && idFrom(params["id"]) !== principal.task)
    return problemResponse({ code: "forbidden", detail: "This link shows another task, and nothing else." });
  return await runRoute(route, context, params, caller.value);
}

/**
 * Decode the path parameters, which itty-router gives as they stand in the address. Null: badly
 * encoded.
 */
function decodeParams(raw: Record<string, string | undefined>): Record<string, string> | null {
  const params: Record<string, string> = {};
  try {
    for (const [name, value] of Object.entries(raw)) params[name] = decodeURIComponent(value ?? "");
  } catch {
    return null;
  }
  return params;
}
