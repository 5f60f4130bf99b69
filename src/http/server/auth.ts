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
import { SECRET_MARK_CHARS } from "../../rpc/registry.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { clientAddress } from "./request.ts";
import type { CallerContext } from "./route.ts";
import { sessionHolder, shareHolder } from "./session-claims.ts";
import { weaknessOf } from "./weak-secrets.ts";

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
/**
 * For an address with so many bad tokens, the marks of all secrets are asked for again after this
 * long. Shorter, guessing would cost the registry more reads; longer, a token that was created a
 * moment ago would be refused there for longer.
 */
const MARKS_MS = 10_000;
/**
 * Another request that asks for them is waited for in such steps, and so often: 5 s. It may have
 * been canceled, so without an end nobody from such an address would be let in any more.
 */
const [WAIT_MS, MAX_WAITS] = [20, 250];

const known = new BoundedCache<Principal>(CACHE_SIZE);
/** Secrets that the registry does not know. A cache of their own: made-up ones must not evict known ones. */
const unknown = new BoundedCache<true>(CACHE_SIZE);
/** Bad tokens within the window, by address. */
const failures = new BoundedCache<number>(CACHE_SIZE);
/**
 * Tokens that are being looked up, by address. A request that was canceled never ends its own, so they
 * are forgotten after the longest wait for them.
 */
const lookUps = new BoundedCache<number>(CACHE_SIZE);
/** The marks of all secrets, which are only asked for while somebody guesses. */
let marks: { texts: ReadonlySet<string>; untilMs: number } | null = null;
/** A request is asking for them. */
let marksAsked = false;
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
  const guess = new Guess(clientAddress(request), nowMs);
  const caller = token.length > MAX_TOKEN_CHARS ? null : await callerOf(token, env, nowMs, fresh, guess);
  if (caller === "expired")
    return err({ code: "unauthorized", detail: "This access token has expired; trade your secret for a new one." });
  if (caller !== null) return admit(env, caller);
  return err(guess.refusal());
}

/** Nobody calls as the admin of the environment while its secrets can be guessed. */
function admit(env: Env, caller: Caller): Result<Caller, Refusal> {
  const isAdmin = caller.principal.role === "admin" && caller.principal.id === ADMIN.id;
  const weakness = isAdmin ? weaknessOf(env) : null;
  return weakness === null ? ok(caller) : err({ code: "misconfigured", detail: weakness });
}

/**
 * A token that may be a bad one. One that is being looked up counts until the registry has answered:
 * otherwise a thousand that come at once would all be looked up before the first of them counted.
 */
class Guess {
  readonly #address: string;
  readonly #nowMs: number;
  #asked = false;

  constructor(address: string, nowMs: number) {
    this.#address = address;
    this.#nowMs = nowMs;
  }

  /** Whether this address has sent so many bad tokens that no more of them are looked up. */
  get tooMany(): boolean {
    return (failures.get(this.#address, this.#nowMs) ?? 0) >= MAX_FAILURES;
  }

  /**
   * True when the token may be looked up now; it then counts until `answered`. While many others of this
   * address are being looked up, it waits for their answers: they may all be good, as when the machines of
   * a farm start together.
   */
  async ask(): Promise<boolean> {
    for (let waits = 0; waits < MAX_WAITS && !this.tooMany; waits++) {
      const pending = lookUps.get(this.#address, Date.now()) ?? 0;
      if ((failures.get(this.#address, this.#nowMs) ?? 0) + pending < MAX_FAILURES) {
        this.#asked = true;
        this.#pending(1);
        return true;
      }
      await scheduler.wait(WAIT_MS);
    }
    return false;
  }

  /** The registry has answered, or could not. */
  answered(): void {
    if (this.#asked) this.#pending(-1);
    this.#asked = false;
  }

  /** The answer to a bad one, which counts. A good token from the same address still works. */
  refusal(): Refusal {
    // Above the limit there is nothing to count: it ends with the window.
    if (this.tooMany) return { code: "rate_limited", detail: "Too many bad tokens from this address; wait a minute." };
    const endsMs = failures.expiryOf(this.#address, this.#nowMs) ?? this.#nowMs + FAILURE_WINDOW_MS;
    failures.set(this.#address, (failures.get(this.#address, this.#nowMs) ?? 0) + 1, endsMs);
    return { code: "unauthorized", detail: "This token is not valid: unknown, expired or revoked." };
  }

  #pending(change: number): void {
    const nowMs = Date.now();
    const pending = (lookUps.get(this.#address, nowMs) ?? 0) + change;
    lookUps.set(this.#address, Math.max(0, pending), nowMs + WAIT_MS * MAX_WAITS);
  }
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
  if (holder) return admit(env, { ...holder, credential: "session" });
  return err({ code: "unauthorized", detail: "The session is over; sign in again." });
}

async function callerOf(
  token: string,
  env: Env,
  nowMs: number,
  fresh: boolean,
  guess: Guess,
): Promise<Caller | "expired" | null> {
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
  const principal = await lookUp(await sha256Hex(token), env, nowMs, fresh, guess);
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

/**
 * The holder of a secret. From an address that guesses, only what may be a secret by its mark is
 * looked up: then a good token works from there at any time, and guessing costs no look-up.
 */
async function lookUp(
  sha256: string,
  env: Env,
  nowMs: number,
  fresh: boolean,
  guess: Guess,
): Promise<Principal | null> {
  if (!fresh) {
    const cached = known.get(sha256, nowMs);
    if (cached !== undefined) return cached;
    if (unknown.get(sha256, nowMs)) return null;
  }
  if (!(await guess.ask()) && !(await marksOfSecrets(env, nowMs)).has(sha256.slice(0, SECRET_MARK_CHARS))) return null;
  try {
    const principal = await callRegistry(env, (registry) => registry.authenticate(sha256));
    if (principal) known.set(sha256, principal, nowMs + HIT_MS);
    else unknown.set(sha256, true, nowMs + MISS_MS);
    return principal;
  } finally {
    guess.answered();
  }
}

/**
 * The marks of all secrets. One request asks the registry, and the others wait for what it learns:
 * a request cannot await the calls of another one.
 */
async function marksOfSecrets(env: Env, nowMs: number): Promise<ReadonlySet<string>> {
  // oxlint-disable-next-line no-unmodified-loop-condition -- the request that asks changes it
  for (let waits = 0; marksAsked && waits < MAX_WAITS; waits++) await scheduler.wait(WAIT_MS);
  if (marks !== null && marks.untilMs > nowMs) return marks.texts;
  marksAsked = true;
  try {
    const text = await callRegistry(env, (registry) => registry.secretMarks());
    const texts = new Set<string>();
    for (let at = 0; at < text.length; at += SECRET_MARK_CHARS) texts.add(text.slice(at, at + SECRET_MARK_CHARS));
    marks = { texts, untilMs: nowMs + MARKS_MS };
    return texts;
  } finally {
    marksAsked = false;
  }
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
