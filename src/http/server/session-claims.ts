/**
 * Signed sessions and share links: their claims, and whether they are still valid. Neither contains
 * a secret. A session names the token that bought it, so that revoking the token ends the session.
 * A share link names the generation of its task's links, so that a new generation voids all earlier
 * links.
 */
import type { Env } from "../../rpc/env.ts";
import { sign, verify } from "../../platform/signed-claims.ts";
import { signingKey } from "../../platform/signing-key.ts";
import { SESSION_MS } from "../../protocol/session.ts";
import type { ShareClaims } from "../../protocol/share.ts";
import type { Principal } from "../../protocol/token.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { callRegistry, callTask } from "../../rpc/stubs.ts";

/**
 * How long the answer of an object is remembered. With a minute or more, a revocation would not
 * take effect within the 60 s that P9 promises.
 */
const HIT_MS = 30_000;
/** Shorter: what is unknown here may have been created a moment ago. */
const MISS_MS = 3_000;
/** Without a bound, the claims of many sessions would fill the isolate's memory. */
const CACHE_SIZE = 5_000;

interface SessionClaims {
  exp_ms: number;
  /** The token's id; 0 for the admin token of the environment. */
  token?: number;
  /**
   * Of the admin token of the environment. That token has no row to revoke; changing it changes the
   * mark.
   */
  mark?: string;
  share?: ShareClaims;
}

/** Who holds a session or a link, and when it expires. */
interface Holder {
  principal: Principal;
  untilMs: number;
}

const tokens = new BoundedCache<Principal | null>(CACHE_SIZE);
const generations = new BoundedCache<number | null>(CACHE_SIZE);

/** A session for the holder of a token, or of a share link with its own end. */
export async function issueSession(
  env: Env,
  principal: Principal,
  share: ShareClaims | null,
  nowMs: number,
): Promise<{ text: string; untilMs: number }> {
  const untilMs = Math.min(nowMs + SESSION_MS, share?.exp_ms ?? Infinity);
  const claims: SessionClaims = { exp_ms: untilMs };
  if (share) claims.share = share;
  else if (principal.id === 0) Object.assign(claims, { token: 0, mark: await adminMark(env) });
  else claims.token = principal.id;
  return { text: await sign(await signingKey(env), "session", claims), untilMs };
}

/**
 * The holder of a session; null when the text is not ours, has expired, or the token that bought it
 * is revoked.
 */
export async function sessionHolder(env: Env, text: string, nowMs: number): Promise<Holder | null> {
  const claims = await verify<SessionClaims>(await signingKey(env), "session", text);
  if (!claims || claims.exp_ms <= nowMs) return null;
  const principal = claims.share
    ? await sharePrincipal(env, claims.share, nowMs, false)
    : claims.token === 0
      ? claims.mark === (await adminMark(env)) && { role: "admin" as const, id: 0, name: "admin" }
      : await tokenPrincipal(env, claims.token ?? -1, nowMs);
  return principal ? { principal, untilMs: claims.exp_ms } : null;
}

/**
 * The claims of a share link and its holder; null when the text is not ours, has expired, or was
 * revoked. `fresh` asks the task past the cache whether its links were voided: for the trade of a
 * link for a session.
 */
export async function shareHolder(
  env: Env,
  text: string,
  nowMs: number,
  fresh: boolean,
): Promise<(Holder & { share: ShareClaims }) | null> {
  const share = await verify<ShareClaims>(await signingKey(env), "share", text);
  if (!share) return null;
  const principal = await sharePrincipal(env, share, nowMs, fresh);
  return principal && { principal, untilMs: share.exp_ms, share };
}

async function sharePrincipal(env: Env, share: ShareClaims, nowMs: number, fresh: boolean): Promise<Principal | null> {
  if (share.exp_ms <= nowMs) return null;
  const key = String(share.task);
  let generation = fresh ? undefined : generations.get(key, nowMs);
  if (generation === undefined) {
    generation = await callTask(env, share.task, (task) => task.shareGeneration());
    generations.set(key, generation, nowMs + (generation === share.generation ? HIT_MS : MISS_MS));
  }
  return generation === share.generation
    ? { role: "share", id: generation, name: "", task: share.task, link: share.exp_ms }
    : null;
}

async function tokenPrincipal(env: Env, id: number, nowMs: number): Promise<Principal | null> {
  const known = tokens.get(String(id), nowMs);
  if (known !== undefined) return known;
  const principal = await callRegistry(env, (registry) => registry.principalOfToken(id));
  tokens.set(String(id), principal, nowMs + (principal ? HIT_MS : MISS_MS));
  return principal;
}

/**
 * Tells one admin token from another: a MAC of its text. A plain hash would let the holder of a
 * session test guesses of the admin token without asking the manager.
 */
async function adminMark(env: Env): Promise<string> {
  const signed = await sign(await signingKey(env), "session", { admin: env.TABLAO_ADMIN_TOKEN });
  return signed.slice(signed.indexOf(".") + 1);
}
