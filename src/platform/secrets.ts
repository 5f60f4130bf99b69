/** Secrets of tokens and workers. */
import { toBase64Url, toHex } from "../lib/bytes.ts";

/** Lower-case hexadecimal SHA-256 of a text. Of a secret, only this is stored (P9). */
export async function sha256Hex(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

/** A random 256-bit secret with a readable prefix, for example `tablao_join_…`. */
export function newSecret(kind: string): string {
  return `tablao_${kind}_${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
}
