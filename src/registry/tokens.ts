/** Rules of tokens. Pure. */
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";

/** A join token that its maker forgets stops working after a day. */
export const JOIN_TOKEN_S = 86_400;
/** Last use is written at most this often: a busy token must not cost a row per request. */
export const LAST_USED_EVERY_MS = 60_000;

/** When a new token stops working; null for never. */
export function expiryOf(create: Pick<TokenCreate, "role" | "expires_s">, nowMs: number): number | null {
  const seconds = create.expires_s ?? (create.role === "join" ? JOIN_TOKEN_S : null);
  return seconds === null ? null : nowMs + seconds * 1_000;
}

/** Why a token gives no access any more, or null while it does. */
export function whyDead(token: Pick<Token, "revoked" | "expires_ms" | "uses_left">, nowMs: number): string | null {
  if (token.revoked) return "the token has been revoked";
  if (token.expires_ms !== null && token.expires_ms <= nowMs) return "the token has expired";
  if (token.uses_left !== null && token.uses_left <= 0) return "the token has been used up";
  return null;
}

/** Who calls with this token. */
export function principalOf(token: Token): Principal {
  const principal: Principal = { role: token.role, id: token.id, name: token.name };
  return token.role === "join" ? { ...principal, tags: token.tags } : principal;
}

/** Whether this use of a token is worth a written row. */
export function shouldNoteUse(lastUsedMs: number | null, nowMs: number): boolean {
  return lastUsedMs === null || nowMs - lastUsedMs >= LAST_USED_EVERY_MS;
}
