/** `/auth/session`: how the page signs in and out. The token is in one request and in no answer. */
import { sessionCreateSchema, type Session } from "../protocol/session.ts";
import { json, noContent } from "./answers.ts";
import { authenticateToken } from "./auth.ts";
import type { Handler, PublicHandler } from "./context.ts";
import { isOurPage, setCookie } from "./cookie.ts";
import { readBody } from "./input.ts";
import { ownerOf } from "./ownership.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { issueSession } from "./session-claims.ts";
import type { Principal } from "../protocol/token.ts";

function sessionOf(principal: Principal, untilMs: number | null): Session {
  const role = principal.role === "join" || principal.role === "worker" ? "viewer" : principal.role;
  const owns = role === "admin" || role === "artist";
  return {
    role,
    name: principal.name,
    owner: owns ? ownerOf(principal) : "",
    task_id: principal.task ?? null,
    expires_ms: untilMs,
  };
}

/**
 * POST /auth/session. From a page it must be our own, or another site could sign a visitor in as somebody else and
 * watch what is submitted. The token is looked up past the cache.
 */
export const signIn: PublicHandler = async (request, { env, url }) => {
  if (request.headers.has("Origin") && !isOurPage(request)) return notOurPage();
  const body = await readBody(request, sessionCreateSchema);
  if (!body.ok) return problemResponse(body.error);
  const nowMs = Date.now();
  const caller = await authenticateToken(request, body.value.token.trim(), env, nowMs, true);
  if (!caller.ok) return problemResponse(caller.error);
  const { principal, credential, share } = caller.value;
  if (credential === "access" || principal.role === "worker" || principal.role === "join") {
    const detail = `The page is for tokens of admins, artists and viewers; this is ${credential === "access" ? "an access" : `a ${principal.role}`} token.`;
    return problemResponse({ code: "forbidden", detail, errors: [{ field: "token", message: detail }] });
  }
  const { text, untilMs } = await issueSession(env, principal, share ?? null, nowMs);
  const cookie = setCookie(url, text, Math.ceil((untilMs - nowMs) / 1_000));
  return json(sessionOf(principal, untilMs), 201, { "Set-Cookie": cookie });
};

/** GET /auth/session */
export const showSession: Handler = async (_request, { principal, untilMs }) => json(sessionOf(principal, untilMs));

/** DELETE /auth/session: forgets the cookie; what it says would hold until it ends, so only the browser knew it. */
export const signOut: PublicHandler = async (request, { url }) => {
  if (request.headers.has("Origin") && !isOurPage(request)) return notOurPage();
  return noContent({ "Set-Cookie": setCookie(url, "", 0) });
};

function notOurPage(): Response {
  return problemResponse({ code: "forbidden", detail: "Signing in and out is for the manager's own page." });
}
