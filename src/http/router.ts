/** The router, made from the route table: configuration, token, role, handler, and one way out for every answer. */
import { Router, type IRequest } from "itty-router";
import type { Env } from "../rpc/env.ts";
import { ok } from "../lib/result.ts";
import { authenticate } from "./auth.ts";
import type { PublicContext } from "./context.ts";
import { drain } from "./drain.ts";
import { withHeaders } from "./headers.ts";
import { readQuery } from "./input.ts";
import { failureOf, problemResponse, type Failure } from "../platform/problem-response.ts";
import { noQuery } from "./queries.ts";
import { idFrom } from "./request.ts";
import { isOfPage } from "./page.ts";
import type { Route } from "./route.ts";

/** itty-router is given the method and the address only; the rest passes by it. */
type Args = [Request, URL, Env, ExecutionContext];

/** What answers a request. */
export type Fetch = (request: Request, env: Env, ctx: ExecutionContext) => Promise<Response>;

/** Build the router once per isolate. */
export function buildRouter(routes: readonly Route[]): Fetch {
  const router = Router<IRequest, Args, Response>();
  for (const [path, onPath] of Map.groupBy(routes, (route) => route.path)) {
    const pattern = path.replaceAll(/\{(\w+)\}/g, ":$1") + (onPath.some((route) => "deep" in route) ? "+" : "");
    const allowed = allowedMethods(onPath);
    router.all(pattern, async ({ params }, request, url, env, ctx) => {
      // HEAD is GET without the body; the runtime would drop it, too, but some handlers spare themselves the work.
      const method = request.method === "HEAD" ? "GET" : request.method;
      const route = onPath.find((candidate) => candidate.method === method);
      if (!route) {
        const detail = `${request.method.slice(0, 20)} is not supported here; ${allowed.join(", ")} ${allowed.length === 1 ? "is" : "are"}.`;
        return problemResponse({ code: "method_not_allowed", detail }, { headers: { Allow: allowed.join(", ") } });
      }
      return await answer(route, params, request, url, env, ctx);
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
      response = refuseEarly(url, env) ?? (await router.fetch(asked, request, url, env, ctx));
    } catch (error) {
      failure = failureOf(error);
      response = failure.response;
    }
    // A manager that nobody has configured yet would only fill its log.
    if (response.status >= 500 && env.TABLAO_ADMIN_TOKEN) logFailure(request, response.status, failure);
    if (response.status >= 400) await drain(request);
    return withHeaders(request, response);
  };
}

/** The only thing this layer logs: one line per 5xx. The path, never the query or a header: those may hold secrets. */
function logFailure(request: Request, status: number, failure: Failure | null): void {
  const { pathname } = new URL(request.url);
  const { incident = null, message = null } = failure ?? {};
  console.error(JSON.stringify({ level: "error", method: request.method, path: pathname, status, incident, message }));
}

function allowedMethods(onPath: readonly Route[]): string[] {
  const methods = onPath.map((route) => route.method);
  return methods.some((method) => method === "GET")
    ? ["GET", "HEAD", ...methods.filter((method) => method !== "GET")]
    : methods;
}

/** What needs no route: a manager without its admin token serves nothing but health, and no path has a slash at its end. */
function refuseEarly({ pathname }: URL, env: Env): Response | undefined {
  if (!env.TABLAO_ADMIN_TOKEN && pathname !== "/healthz") {
    return problemResponse({
      code: "not_configured",
      detail: "Set the secret TABLAO_ADMIN_TOKEN: `npx wrangler secret put TABLAO_ADMIN_TOKEN`.",
    });
  }
  // itty-router would let any number of slashes pass at the end.
  if (pathname !== "/" && pathname.endsWith("/") && !isOfPage(pathname))
    return problemResponse({ code: "not_found", detail: "Addresses here have no slash at the end." });
  return undefined;
}

async function answer(
  route: Route,
  raw: Record<string, string | undefined>,
  request: Request,
  url: URL,
  env: Env,
  ctx: ExecutionContext,
): Promise<Response> {
  const params = decodeParams(raw);
  if (!params)
    return problemResponse({
      code: "invalid_request",
      detail: "The address has a percent sign that does not encode anything.",
    });
  const context: PublicContext = { env, ctx, params, url };
  if (route.who === "anyone") return await route.handler(request, context);
  const caller = await authenticate(request, env, Date.now(), route.fresh);
  if (!caller.ok) return problemResponse(caller.error);
  const { principal, credential, untilMs } = caller.value;
  if (!route.who.includes(principal.role)) {
    return problemResponse({
      code: "forbidden",
      detail: `This is for ${route.who.join(", ")}; your token is ${principal.role}.`,
    });
  }
  if (principal.task !== undefined && params["id"] !== undefined && idFrom(params["id"]) !== principal.task)
    return problemResponse({ code: "forbidden", detail: "This link shows another task, and nothing else." });
  const query = route.query || url.search === "" ? ok(null) : readQuery(url, noQuery);
  if (!query.ok) return problemResponse(query.error);
  return await route.handler(request, { ...context, principal, credential, untilMs });
}

/** itty-router hands parameters over as they stand in the address; they are decoded here, once. Null: badly encoded. */
function decodeParams(raw: Record<string, string | undefined>): Record<string, string> | null {
  const params: Record<string, string> = {};
  try {
    for (const [name, value] of Object.entries(raw)) params[name] = decodeURIComponent(value ?? "");
  } catch {
    return null;
  }
  return params;
}
