/**
 * A key of 128 random bits, as 32 hexadecimal digits. Made with `getRandomValues`, because
 * `crypto.randomUUID` exists in secure contexts only: not over plain http from another address than
 * localhost.
 */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
