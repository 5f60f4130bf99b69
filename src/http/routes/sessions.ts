/**
 * `/auth/session`: how the page signs in and out. The token is in the body of one request and in no
 * answer.
 */
import { ok, type Result } from "../../lib/result.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { sessionCreateSchema, sessionSchema, type Session } from "../../protocol/session.ts";
import type { Principal } from "../../protocol/token.ts";
import { ownerOf } from "../ownership.ts";
import { authenticateToken } from "../server/auth.ts";
import { isOurPage, setCookie } from "../server/cookie.ts";
import { reply } from "../server/responses.ts";
import { defineRoute, VIEWERS, type Route } from "../server/route.ts";
import { issueSession } from "../server/session-claims.ts";

const common = { path: "/auth/session", tag: "sessions" } as const;

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
 * Ok when no page, or our own page, sends this request. Otherwise another site could sign a visitor
 * in as somebody else and watch what the visitor submits.
 */
function fromOurPage({ request }: { request: Request }): Result<null, Refusal> {
  if (!request.headers.has("Origin") || isOurPage(request)) return ok(null);
  return refuse("forbidden", "Signing in and out is for the manager's own page.");
}

/** The token is looked up past the cache: a revoked one must not buy a session of 12 h. */
const signIn = defineRoute({
  ...common,
  method: "POST",
  operationId: "signIn",
  summary: "Trade a token for the page's cookie",
  description:
    "For tokens of admins, artists and viewers, and for share links. The cookie is HttpOnly and SameSite=Strict and lasts 12 h at most; " +
    "revoking the token ends it within 60 s.",
  who: "anyone",
  body: sessionCreateSchema,
  answers: { 201: { description: "Who is signed in; the cookie is in Set-Cookie", schema: sessionSchema } },
  problems: ["unauthorized", "forbidden", "rate_limited"],
  admit: fromOurPage,
  handle: async ({ request, env, url, body }) => {
    const nowMs = Date.now();
    const caller = await authenticateToken(request, body.token.trim(), env, nowMs, true);
    if (!caller.ok) return caller;
    const { principal, credential, share } = caller.value;
    if (credential === "access" || principal.role === "worker" || principal.role === "join") {
      const kind = credential === "access" ? "an access" : `a ${principal.role}`;
      return refuse(
        "forbidden",
        `The page is for tokens of admins, artists and viewers; this is ${kind} token.`,
        "token",
      );
    }
    const { text, untilMs } = await issueSession(env, principal, share ?? null, nowMs);
    const cookie = setCookie(url, text, Math.ceil((untilMs - nowMs) / 1_000));
    return reply(201, sessionOf(principal, untilMs), { "Set-Cookie": cookie });
  },
});

const showSession = defineRoute({
  ...common,
  method: "GET",
  operationId: "showSession",
  summary: "Who am I?",
  who: VIEWERS,
  answers: { 200: { description: "Who is signed in", schema: sessionSchema } },
  handle: async ({ principal, untilMs }) => ok(sessionOf(principal, untilMs)),
});

/**
 * Deletes the cookie in the browser. The session itself is valid until it expires; the browser held
 * its only copy.
 */
const signOut = defineRoute({
  ...common,
  method: "DELETE",
  operationId: "signOut",
  summary: "Sign out",
  who: "anyone",
  answers: { 204: { description: "The cookie is gone" } },
  problems: ["forbidden"],
  admit: fromOurPage,
  handle: async ({ url }) => reply(204, null, { "Set-Cookie": setCookie(url, "", 0) }),
});

export const sessionRoutes: readonly Route[] = [signIn, showSession, signOut];
