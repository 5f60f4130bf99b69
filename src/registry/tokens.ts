/** The rules of tokens. Pure. */
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";

/**
 * A join token expires after a day unless its maker says otherwise: a forgotten one must not let
 * machines in for ever.
 */
const JOIN_TOKEN_S = 86_400;
/** Last use is written at most this often: otherwise a busy token costs a row per request. */
const LAST_USED_EVERY_MS = 60_000;

/** When a new token expires, in epoch milliseconds; null for never. */
export function expiryOf(create: Pick<TokenCreate, "role" | "expires_s">, nowMs: number): number | null {
  const seconds = create.expires_s ?? (create.role === "join" ? JOIN_TOKEN_S : null);
  return seconds === null ? null : nowMs + seconds * 1_000;
}

/** Why a token gives no access; null while it does. */
export function whyDead(token: Pick<Token, "revoked" | "expires_ms" | "uses_left">, nowMs: number): string | null {
  if (token.revoked) return "the token has been revoked";
  if (token.expires_ms !== null && token.expires_ms <= nowMs) return "the token has expired";
  if (token.uses_left !== null && token.uses_left <= 0) return "the token has been used up";
  return null;
}

/** The principal that calls with this token. */
export function principalOf(token: Token): Principal {
  const principal: Principal = { role: token.role, id: token.id, name: token.name };
  return token.role === "join" ? { ...principal, tags: token.tags } : principal;
}

/** Whether this use of a token is written to its row. */
export function shouldNoteUse(lastUsedMs: number | null, nowMs: number): boolean {
  return lastUsedMs === null || nowMs - lastUsedMs >= LAST_USED_EVERY_MS;
}
