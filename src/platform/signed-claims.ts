/**
 * Signed claims: `<base64url(JSON)>.<base64url(HMAC-SHA-256)>`. The purpose is part of what is
 * signed, so a token of one kind never passes as another. Verifying needs no look-up: that keeps
 * the registry off the per-frame path.
 */
import { fromBase64Url, toBase64Url } from "../lib/bytes.ts";

/** What a signature is for; each purpose has claims of its own. */
export type Purpose = "access" | "grant" | "receipt" | "session" | "share" | "webhook";

/**
 * Longer texts are refused unread: no claims of ours are that long, and verifying costs time by
 * length.
 */
const MAX_CHARS = 8_192;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Sign claims (a JSON value) for one purpose. */
export async function sign(key: CryptoKey, purpose: Purpose, claims: object): Promise<string> {
  const body = toBase64Url(encoder.encode(JSON.stringify(claims)));
  const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(`${purpose}.${body}`));
  return `${body}.${toBase64Url(new Uint8Array(mac))}`;
}

/**
 * The claims of a text that `sign` made for this purpose with this key, else null. The runtime
 * compares in constant time. The caller checks expiry: claims that expire carry `exp_ms`.
 */
export async function verify<T extends object>(key: CryptoKey, purpose: Purpose, text: string): Promise<T | null> {
  const dot = text.indexOf(".");
  if (dot < 1 || text.length > MAX_CHARS) return null;
  const body = text.slice(0, dot);
  const mac = fromBase64Url(text.slice(dot + 1));
  if (!mac) return null;
  if (!(await crypto.subtle.verify("HMAC", key, mac, encoder.encode(`${purpose}.${body}`)))) return null;
  const bytes = fromBase64Url(body);
  return bytes && (JSON.parse(decoder.decode(bytes)) as T);
}
