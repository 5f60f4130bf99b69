/**
 * Grants and receipts: why an upload needs no Durable Object. The Worker signs a grant for each lease the TaskDO gives out, checks
 * it when an upload comes, stores the bytes, and signs a receipt; the TaskDO is told what the receipt says when the lease commits.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { sign, verify } from "../platform/signed-claims.ts";
import type { Grant, ReceiptClaims } from "../protocol/file.ts";
import type { Refusal } from "../protocol/problem.ts";

/** Header that carries a grant. */
export const GRANT_HEADER = "Tablao-Grant";

/** A grant as the lease carries it. */
export function signGrant(key: CryptoKey, grant: Grant): Promise<string> {
  return sign(key, "grant", grant);
}

/** The grant's claims; `forbidden` when we did not sign it, `lease_lost` when its time is over. */
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

/** A receipt as an upload answers it. It never expires: the fence is the attempt in it. */
export function signReceipt(key: CryptoKey, claims: ReceiptClaims): Promise<string> {
  return sign(key, "receipt", claims);
}

/** The receipt's claims, or null when this manager did not sign it. */
export function verifyReceipt(key: CryptoKey, text: string): Promise<ReceiptClaims | null> {
  return verify<ReceiptClaims>(key, "receipt", text);
}
