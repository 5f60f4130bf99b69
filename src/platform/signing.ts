/**
 * Signed claims: `<base64url(JSON)>.<base64url(HMAC-SHA-256)>`. The purpose is part of what is signed, so that a token of one
 * kind never passes as another. Verifying needs no look-up, which is what keeps the registry off the per-frame path.
 */
/** The secrets that the signing key comes from. */
export interface SigningEnv {
  /** The first admin token. Unset: the manager serves nothing but /healthz. */
  TABLAO_ADMIN_TOKEN?: string;
  /** Key of access tokens, grants and receipts (HMAC-SHA-256). Unset: derived from the admin token. */
  TABLAO_SIGNING_KEY?: string;
}

/** What a signature is for; each has claims of its own. */
export type Purpose = "access" | "grant" | "receipt" | "session" | "share" | "webhook";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Key for `sign` and `verify`. The label keeps this use of the secret apart from its use as a bearer token. */
export async function importKey(secret: string): Promise<CryptoKey> {
  return await crypto.subtle.importKey(
    "raw",
    encoder.encode(`tablao signing key v1\n${secret}`),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign", "verify"],
  );
}

let cached: { secret: string; key: Promise<CryptoKey> } | undefined;

/**
 * The deployment's signing key: `TABLAO_SIGNING_KEY`, else derived from `TABLAO_ADMIN_TOKEN`. Imported once per isolate.
 * Throws when neither is set; the router answers `not_configured` before anything gets here.
 */
export function signingKey(env: SigningEnv): Promise<CryptoKey> {
  const secret = env.TABLAO_SIGNING_KEY ?? env.TABLAO_ADMIN_TOKEN;
  if (!secret) throw new Error("neither TABLAO_SIGNING_KEY nor TABLAO_ADMIN_TOKEN is set");
  if (cached?.secret !== secret) cached = { secret, key: importKey(secret) };
  return cached.key;
}

/** Sign claims (a JSON value) for one purpose. */
export async function sign(key: CryptoKey, purpose: Purpose, claims: object): Promise<string> {
  const body = toBase64Url(encoder.encode(JSON.stringify(claims)));
  const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(`${purpose}.${body}`));
  return `${body}.${toBase64Url(new Uint8Array(mac))}`;
}

/**
 * The claims of a text that `sign` made for this purpose with this key, else null. The comparison is constant-time (done by
 * the runtime). Expiry is the caller's business: claims that expire carry `exp_ms`.
 */
export async function verify<T extends object>(key: CryptoKey, purpose: Purpose, text: string): Promise<T | null> {
  const dot = text.indexOf(".");
  if (dot < 1 || text.length > 8_192) return null;
  const body = text.slice(0, dot);
  const mac = fromBase64Url(text.slice(dot + 1));
  if (!mac) return null;
  if (!(await crypto.subtle.verify("HMAC", key, mac, encoder.encode(`${purpose}.${body}`)))) return null;
  const bytes = fromBase64Url(body);
  return bytes && (JSON.parse(decoder.decode(bytes)) as T);
}

/** Base64 for URLs, without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  const { toBase64 } = bytes as Partial<ToBase64>;
  // Ten times as fast where it exists, which is in workerd; Node 24 has not got it.
  if (toBase64) return toBase64.call(bytes, { alphabet: "base64url", omitPadding: true });
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  // Both decoders would take blanks and padding, too.
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return null;
  const { fromBase64 } = Uint8Array as Partial<FromBase64>;
  try {
    if (fromBase64) return fromBase64(text, { alphabet: "base64url" });
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Types of the platform do not know these yet. */
interface ToBase64 {
  toBase64(options: { alphabet: "base64url"; omitPadding: true }): string;
}
interface FromBase64 {
  fromBase64(text: string, options: { alphabet: "base64url" }): Uint8Array<ArrayBuffer>;
}

/** Lower-case hexadecimal SHA-256 of a text. Secrets are stored as this and nothing else (P9). */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A random 256-bit secret with a readable prefix, e.g. `tablao_join_…`. */
export function newSecret(kind: string): string {
  return `tablao_${kind}_${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
}
