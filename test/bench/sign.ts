/**
 * Signs as the manager does (`src/platform/signed-claims.ts`), but with Node's own crypto, because
 * a benchmark client must be fast.
 */
import { createHmac } from "node:crypto";
import { SIGNING_KEY } from "./runtime.ts";

export function signed(purpose: "access" | "receipt", claims: object): string {
  const body = Buffer.from(JSON.stringify(claims)).toString("base64url");
  const mac = createHmac("sha256", `tablao signing key v1\n${SIGNING_KEY}`).update(`${purpose}.${body}`);
  return `${body}.${mac.digest("base64url")}`;
}
