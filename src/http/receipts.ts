/**
 * The receipts of a lease call, verified before the task's object is called: there are many Workers
 * and one object, so what needs a key and no state is done here. The object gets the claims of the
 * receipts (P3).
 */
import { verifyReceipt } from "../files/grant.ts";
import { ok, type Result } from "../lib/result.ts";
import { signingKey, type SigningEnv } from "../platform/signing-key.ts";
import type { DoneFrame } from "../protocol/lease.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Verified, VerifiedFrame } from "../rpc/task.ts";

/**
 * The body with its receipts replaced by their claims; `invalid` when this manager did not sign one
 * of them.
 */
export async function verifiedReceipts<T extends { done: DoneFrame[] }>(
  env: SigningEnv,
  body: T,
): Promise<Result<Verified<T>, Refusal>> {
  const key = await signingKey(env);
  const done: VerifiedFrame[] = [];
  for (const [i, { receipts, ...frame }] of body.done.entries()) {
    const all = await Promise.all(receipts.map((text) => verifyReceipt(key, text)));
    const claims = all.filter((one) => one !== null);
    if (claims.length < all.length)
      return refuse("invalid", "is not a receipt of this manager", `done.${i}.receipts.${all.indexOf(null)}`);
    done.push({ ...frame, receipts: claims });
  }
  return ok({ ...body, done });
}
