/** One request to one route: parsed, checked, handled, answered. */
import { z } from "zod";
import type { Result } from "../../lib/result.ts";
import { problemResponse } from "../../platform/problem-response.ts";
import { MAX_BODY_BYTES, MAX_OPEN_BODY_BYTES } from "../../protocol/constants.ts";
import type { Refusal } from "../../protocol/problem.ts";
import { readBody, readQuery } from "./input.ts";
import { json, noContent, Reply } from "./responses.ts";
import type { CallerContext, RequestContext, Route, RouteInput } from "./route.ts";
import { refuseUpgrade } from "./upgrade.ts";

/** For a route that declares no query: every parameter is refused by name. */
const NO_QUERY = z.strictObject({});

/**
 * Parse, check and handle a request whose caller may use the route. `params` are the URL-decoded
 * texts of the path; `caller` is null on routes that need no token, which ignore a query that they
 * do not declare. The first check that fails is the answer, in this order:
 * - the query of a route that declares none (422);
 * - the path parameters, from left to right;
 * - `admit`, the route's own condition;
 * - the WebSocket upgrade (426, 403);
 * - the query (422);
 * - the body (415, 413, 400, 422).
 */
export async function runRoute(
  route: Route,
  { request, url, env, ctx }: RequestContext,
  params: Readonly<Record<string, string>>,
  caller: CallerContext | null,
): Promise<Response> {
  if (caller !== null && route.query === undefined && url.search !== "") {
    const query = readQuery(url, NO_QUERY);
    if (!query.ok) return problemResponse(query.error);
  }
  const input: RouteInput = {
    request,
    url,
    env,
    ctx,
    principal: caller?.principal,
    credential: caller?.credential,
    untilMs: caller?.untilMs,
  };
  for (const [name, parameter] of route.parameters) {
    const value = parameter.read(params[name] ?? "");
    if (!value.ok) return problemResponse(value.error);
    input[name] = value.value;
  }
  if (route.admit) {
    const admitted = await route.admit(input);
    if (!admitted.ok) return problemResponse(admitted.error);
    input.admitted = admitted.value;
  }
  const refusedUpgrade = route.socket ? refuseUpgrade(request, url) : null;
  if (refusedUpgrade) return refusedUpgrade;
  if (route.query) {
    const query = readQuery(url, route.query);
    if (!query.ok) return problemResponse(query.error);
    input.query = query.value;
  }
  if (route.body) {
    const coerce = route.coerce && ((field: string, text: string) => route.coerce?.(field, text, input));
    const body = await readBody(request, route.body, coerce, caller === null ? MAX_OPEN_BODY_BYTES : MAX_BODY_BYTES);
    if (!body.ok) return problemResponse(body.error);
    input.body = body.value;
  }
  return responseOf(route, await route.handle(input));
}

function responseOf(route: Route, outcome: Response | Result<unknown, Refusal>): Response {
  if (outcome instanceof Response) return outcome;
  if (!outcome.ok) return problemResponse(outcome.error);
  const { value } = outcome;
  if (value instanceof Reply)
    return value.status === 204 ? noContent(value.headers) : json(value.body, value.status, value.headers);
  return route.status === 204 ? noContent() : json(value, route.status);
}
