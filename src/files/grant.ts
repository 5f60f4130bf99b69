/**
 * Grants and receipts, by which an upload needs no Durable Object:
 *
 * 1. The TaskDO gives out a lease, and the Worker signs a grant for it.
 * 2. With an upload comes the grant. The Worker verifies it, stores the bytes, and signs a receipt.
 * 3. When the lease commits, the Worker verifies the receipts and tells the TaskDO what they say.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { sign, verify } from "../platform/signed-claims.ts";
import { GRANT_HEADER, type Grant, type ReceiptClaims } from "../protocol/file.ts";
import type { Refusal } from "../protocol/problem.ts";

/** The grant as a lease carries it. */
export function signGrant(key: CryptoKey, grant: Grant): Promise<string> {
  return sign(key, "grant", grant);
}

/**
 * The claims of a grant. Refusals: `forbidden` (this manager did not sign it), `lease_lost` (it has
 * expired).
 */
export async function verifyGrant(key: CryptoKey, text: string, nowMs: number): Promise<Result<Grant, Refusal>> {
  const grant = await verify<Grant>(key, "grant", text);
  if (!grant) return err({ code: "forbidden", detail: `${GRANT_HEADER} is not a grant of this manager` });
  if (grant.exp_ms <= nowMs)
    return err({
      code: "lease_lost",
      detail: `${GRANT_HEADER} has expired: its lease is over, or was renewed with a newer grant`,
    });
  return ok(grant);
}

/** A receipt, which answers an upload. It never expires: the attempt in it is the fencing token. */
export function signReceipt(key: CryptoKey, claims: ReceiptClaims): Promise<string> {
  return sign(key, "receipt", claims);
}

/** The claims of a receipt; null when this manager did not sign it. */
export function verifyReceipt(key: CryptoKey, text: string): Promise<ReceiptClaims | null> {
  return verify<ReceiptClaims>(key, "receipt", text);
}
