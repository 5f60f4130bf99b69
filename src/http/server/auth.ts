/**
 * Who is calling (P9). A bearer token is, in this order: an access token that the Worker verifies
 * by itself, the admin token of the environment, the text of a share link, or a secret that the
 * registry knows. Without a bearer token, the page's cookie counts.
 */
import type { Env } from "../../rpc/env.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { sha256Hex } from "../../platform/secrets.ts";
import { sign, verify } from "../../platform/signed-claims.ts";
import { signingKey } from "../../platform/signing-key.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { ShareClaims } from "../../protocol/share.ts";
import { ACCESS_TOKEN_MS, type Access, type Principal } from "../../protocol/token.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { cookieOf, isOurPage } from "./cookie.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { clientAddress } from "./request.ts";
import type { CallerContext } from "./route.ts";
import { sessionHolder, shareHolder } from "./session-claims.ts";

export interface Caller extends CallerContext {
  /** The claims of a share link whose own text was sent. */
  share?: ShareClaims;
}

/** Claims of an access token: the principal, and when the token expires. */
interface AccessClaims {
  p: Principal;
  exp_ms: number;
}

const ADMIN: Principal = { role: "admin", id: 0, name: "admin" };

/**
 * The registry is asked about a known secret again after this long. With ACCESS_TOKEN_MS (60 s) or
 * more, a revocation would not take effect within the 60 s that P9 promises.
 */
const HIT_MS = 30_000;
/**
 * The registry is asked about an unknown secret again after this long. With the time of known ones,
 * a token that was created a moment ago would be refused for half a minute where it was tried too
 * early.
 */
const MISS_MS = 3_000;
/**
 * About 200 bytes an entry, so 1 MB. Without a bound, made-up tokens would fill the isolate's
 * memory.
 */
const CACHE_SIZE = 5_000;
/**
 * Access tokens take a few hundred characters, so a longer text is none of ours. Without a bound, a
 * header of any length would be hashed and remembered.
 */
const MAX_TOKEN_CHARS = 4_096;

/**
 * What `newSecret` makes. The registry knows no other secrets, so it is not asked about a text that
 * is not like this.
 */
const SECRET = /^tablao_[a-z]+_[A-Za-z0-9_-]{43}$/;

/**
 * Bad tokens from one address within a window, per isolate, before the answer becomes 429. Without
 * a bound, secrets could be guessed as fast as requests can be sent.
 */
export const MAX_FAILURES = 20;
const FAILURE_WINDOW_MS = 60_000;

const known = new BoundedCache<Principal | null>(CACHE_SIZE);
const failures = new BoundedCache<number>(CACHE_SIZE);
/** Verified access tokens by the text of their claims. */
const verified = new BoundedCache<{ key: CryptoKey; bytes: Uint8Array; claims: AccessClaims }>(CACHE_SIZE);
const encoder = new TextEncoder();

/**
 * The text after `Bearer`, or null. A token in the address does not count: addresses get logged.
 */
function bearerOf(request: Request): string | null {
  const header = request.headers.get("Authorization");
  const match = header === null ? null : /^Bearer +(\S+) *$/i.exec(header);
  return match?.[1] ?? null;
}

/**
 * The caller. Refusals: `unauthorized`, `rate_limited`, and `forbidden` for a cookie that another
 * site's page made the browser send. `fresh` looks the token up past the cache: for the trade of a
 * secret for an access token.
 */
export async function authenticate(
  request: Request,
  env: Env,
  nowMs: number,
  fresh = false,
): Promise<Result<Caller, Refusal>> {
  const token = bearerOf(request);
  if (token === null) {
    const cookie = request.headers.has("Authorization") ? null : cookieOf(request);
    if (cookie !== null) return await authenticateCookie(request, cookie, env, nowMs);
    const detail = request.headers.has("Authorization")
      ? "The Authorization header must be `Bearer <token>`."
      : "Send a token: `Authorization: Bearer <token>`.";
    return err({ code: "unauthorized", detail });
  }
  return await authenticateToken(request, token, env, nowMs, fresh);
}

/**
 * The holder of a token, wherever in the request its text stood. Bad tokens are counted by the
 * caller's address.
 */
export async function authenticateToken(
  request: Request,
  token: string,
  env: Env,
  nowMs: number,
  fresh: boolean,
): Promise<Result<Caller, Refusal>> {
  const caller = token.length > MAX_TOKEN_CHARS ? null : await callerOf(token, env, nowMs, fresh);
  if (caller === "expired")
    return err({ code: "unauthorized", detail: "This access token has expired; trade your secret for a new one." });
  if (caller !== null) return ok(caller);
  return err(countFailure(clientAddress(request), nowMs));
}

/**
 * The holder of the page's cookie. A browser sends the cookie with every request to this host, also
 * with one that another site's page caused, so a change must come from our own page.
 */
async function authenticateCookie(
  request: Request,
  cookie: string,
  env: Env,
  nowMs: number,
): Promise<Result<Caller, Refusal>> {
  if (!isOurPage(request))
    return err({ code: "forbidden", detail: "With the cookie, changes and sockets are for the manager's own page." });
  const holder = await sessionHolder(env, cookie, nowMs);
  if (holder) return ok({ ...holder, credential: "session" });
  return err({ code: "unauthorized", detail: "The session is over; sign in again." });
}

async function callerOf(token: string, env: Env, nowMs: number, fresh: boolean): Promise<Caller | "expired" | null> {
  // Access tokens are tried first, since workers send one with every frame. An admin token may have
  // a dot in it, too.
  const dot = token.indexOf(".");
  const claims = dot < 0 ? null : await accessClaims(token, dot, await signingKey(env), nowMs);
  if (claims) return claims.exp_ms > nowMs ? { principal: claims.p, credential: "access", untilMs: null } : "expired";
  if (env.TABLAO_ADMIN_TOKEN && (await sameText(token, env.TABLAO_ADMIN_TOKEN)))
    return { principal: ADMIN, credential: "secret", untilMs: null };
  if (dot >= 0) {
    const holder = await shareHolder(env, token, nowMs, fresh);
    return holder && { ...holder, credential: "share" };
  }
  if (!SECRET.test(token)) return null;
  const principal = await lookUp(await sha256Hex(token), env, nowMs, fresh);
  return principal && { principal, credential: "secret", untilMs: null };
}

/**
 * The claims of an access token; null when the text is none. A token that was verified before is
 * found by the text of its claims, which is no secret, and then compared in constant time, which
 * costs less than to verify its signature again. An access token cannot be revoked before it
 * expires, so remembering it delays no revocation.
 */
async function accessClaims(token: string, dot: number, key: CryptoKey, nowMs: number): Promise<AccessClaims | null> {
  const claimsText = token.slice(0, dot);
  const bytes = encoder.encode(token);
  const seen = verified.get(claimsText, nowMs);
  if (
    seen?.key === key &&
    seen.bytes.byteLength === bytes.byteLength &&
    crypto.subtle.timingSafeEqual(seen.bytes, bytes)
  )
    return seen.claims;
  const claims = await verify<AccessClaims>(key, "access", token);
  if (claims) verified.set(claimsText, { key, bytes, claims }, claims.exp_ms);
  return claims;
}

async function lookUp(sha256: string, env: Env, nowMs: number, fresh: boolean): Promise<Principal | null> {
  const cached = fresh ? undefined : known.get(sha256, nowMs);
  if (cached !== undefined) return cached;
  const principal = await callRegistry(env, (registry) => registry.authenticate(sha256));
  known.set(sha256, principal, nowMs + (principal ? HIT_MS : MISS_MS));
  return principal;
}

/** Count a bad token. A good token from the same address still works. */
function countFailure(address: string, nowMs: number): Refusal {
  const count = (failures.get(address, nowMs) ?? 0) + 1;
  if (count > MAX_FAILURES)
    return { code: "rate_limited", detail: "Too many bad tokens from this address; wait a minute." };
  const endsMs = failures.expiryOf(address, nowMs) ?? nowMs + FAILURE_WINDOW_MS;
  failures.set(address, count, endsMs);
  return { code: "unauthorized", detail: "This token is not valid: unknown, expired or revoked." };
}

/**
 * Compare in constant time. Both texts are hashed first: then their lengths are equal, and not even
 * those leak.
 */
async function sameText(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([
    crypto.subtle.digest("SHA-256", encoder.encode(a)),
    crypto.subtle.digest("SHA-256", encoder.encode(b)),
  ]);
  return crypto.subtle.timingSafeEqual(left, right);
}

/** Sign a short-lived token for this principal. */
export async function issueAccess(env: Env, principal: Principal, nowMs: number): Promise<Access> {
  const claims: AccessClaims = { p: principal, exp_ms: nowMs + ACCESS_TOKEN_MS };
  return {
    access_token: await sign(await signingKey(env), "access", claims),
    expires_ms: claims.exp_ms,
    expires_in_ms: ACCESS_TOKEN_MS,
  };
}
