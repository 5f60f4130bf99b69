/** The key that signs where the secrets of the environment can be guessed. */
import { toBase64Url } from "../lib/bytes.ts";

const SPARE_KEY = "spare_signing_key";

/** The key; it is made at the first call. Backups hold tables only, so they do not have it. */
export function spareSigningKey({ kv }: DurableObjectStorage): string {
  const kept = kv.get<string>(SPARE_KEY);
  if (kept !== undefined) return kept;
  const made = toBase64Url(crypto.getRandomValues(new Uint8Array(32)));
  kv.put(SPARE_KEY, made);
  return made;
}
