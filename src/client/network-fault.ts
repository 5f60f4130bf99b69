/** What can be wrong on the way to the manager, and the words for it. */
import { systemCode } from "../lib/errors.ts";

/** A setting of the network cannot be used: a variable, or a file. The message names it, and shows no password. */
export class NetworkFault extends Error {
  override name = "NetworkFault";
}

/** The proxy opened no connection. The message names the proxy, without its user and password. */
export class ProxyRefusal extends Error {
  override name = "ProxyRefusal";
}

/**
 * Codes of OpenSSL for a chain of certificates that ends in no authority that is trusted
 * (https://nodejs.org/api/tls.html#x509-certificate-error-codes).
 */
const UNTRUSTED = new Set([
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** The codes for a certificate whose time is over, or has not begun. */
const OUT_OF_TIME: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
};

/** Whether a connection failed because nobody that is trusted here vouches for the certificate. */
export function isUntrusted(error: unknown): boolean {
  return UNTRUSTED.has(certificateCode(error) ?? "");
}

/** What is wrong with a certificate, and what to do about it; undefined when it is something else. */
export function certificateFault(error: unknown): string | undefined {
  const code = certificateCode(error);
  if (code === undefined) return undefined;
  if (UNTRUSTED.has(code))
    return `its certificate is of no authority that this machine trusts (${code}); if it is one of your own or of your company, name the file with its certificate: --ca FILE or TABLAO_CA`;
  return `its certificate ${OUT_OF_TIME[code]}, or this machine's clock is wrong (${code})`;
}

/** What `fetch` throws has the reason as its cause. */
function certificateCode(error: unknown): string | undefined {
  const code = systemCode(error);
  if (code !== undefined && (UNTRUSTED.has(code) || Object.hasOwn(OUT_OF_TIME, code))) return code;
  return error instanceof Error && error.cause !== undefined ? certificateCode(error.cause) : undefined;
}

/** The refusal of the proxy among the causes of an error; undefined when it was none. */
export function proxyRefusal(error: unknown): ProxyRefusal | undefined {
  if (error instanceof ProxyRefusal) return error;
  return error instanceof Error && error.cause !== undefined ? proxyRefusal(error.cause) : undefined;
}
