/** What a handler is given, and what it is. */
import type { Env } from "../rpc/env.ts";
import type { Principal } from "../protocol/token.ts";

/**
 * How the caller proved who it is: with a long-lived secret, with an access token bought with one, with the page's cookie, or
 * with the text of a share link. Only a secret buys an access token, or a revocation would never hold.
 */
export type Credential = "secret" | "access" | "session" | "share";

/** What every handler gets, also those that anyone may call. */
export interface PublicContext {
  env: Env;
  ctx: ExecutionContext;
  /** Path parameters by their name in the route table, URL-decoded once. */
  params: Record<string, string>;
  url: URL;
}

/** What handlers behind a token get: the router has checked the token and its role. */
export interface RequestContext extends PublicContext {
  principal: Principal;
  credential: Credential;
  /** When the credential ends by itself; null for what does not, or is looked up again anyway. */
  untilMs: number | null;
}

/** Answers one request. An expected refusal is a problem response, never a throw. */
export type Handler = (request: Request, context: RequestContext) => Promise<Response>;

/** A handler of a route without a token: `/healthz`, `/openapi.json`, `/`. */
export type PublicHandler = (request: Request, context: PublicContext) => Promise<Response>;
