/** The deployment's signing key, and the secrets that it comes from. */

export interface SigningEnv {
  /**
   * The first admin token. Unset: the manager serves only /healthz. One that can be guessed
   * (`secret-strength.ts`) opens nothing.
   */
  TABLAO_ADMIN_TOKEN?: string;
  /**
   * Key of access tokens, grants and receipts (HMAC-SHA-256). Unset: derived from the admin token.
   */
  TABLAO_SIGNING_KEY?: string;
  /** Signs in the place of both, where they can be guessed: set by the router, by no deployment. */
  spareSigningKey?: string;
}

/**
 * A key for `sign` and `verify`. The label keeps this use of the secret apart from its use as a
 * bearer token.
 */
export async function importKey(secret: string): Promise<CryptoKey> {
  return await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(`tablao signing key v1\n${secret}`),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign", "verify"],
  );
}

let cached: { secret: string; key: Promise<CryptoKey> } | undefined;

/**
 * The key of this deployment: from `TABLAO_SIGNING_KEY`, else from `TABLAO_ADMIN_TOKEN`. Imported
 * once per isolate. Throws when neither is set; the router answers `not_configured` before any
 * handler gets here.
 */
export function signingKey(env: SigningEnv): Promise<CryptoKey> {
  const secret = env.spareSigningKey ?? env.TABLAO_SIGNING_KEY ?? env.TABLAO_ADMIN_TOKEN;
  if (!secret) throw new Error("neither TABLAO_SIGNING_KEY nor TABLAO_ADMIN_TOKEN is set");
  if (cached?.secret !== secret) cached = { secret, key: importKey(secret) };
  return cached.key;
}
