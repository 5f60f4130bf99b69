/**
 * Answers of the lease protocol as the agent reads them. The plan is checked later
 * (`plan-check.ts`), so that a lease with a bad plan is known and can be released.
 */
import { z } from "zod";
import { claimedSchema, leaseSchema, NO_LEASE_REASONS, type Claim } from "../protocol/lease.ts";

const looseLease = leaseSchema.extend({ plan: z.unknown() });
export type LooseLease = z.infer<typeof looseLease>;

export const looseClaimedSchema = claimedSchema.extend({
  lease: looseLease.nullable(),
  /**
   * A reason of a newer manager reads as "nothing pending": whatever it is, there is no lease now.
   */
  reason: z.enum(NO_LEASE_REASONS).nullable().catch("nothing_pending"),
});
export type LooseClaimed = z.infer<typeof looseClaimedSchema>;

export const looseSettledSchema = z.object({ committed: z.int(), next: looseClaimedSchema.nullable() });
export type LooseSettled = z.infer<typeof looseSettledSchema>;

/**
 * A claim's key: a repeated call with the same key gets the same lease. Random, so that no two
 * claims share one.
 */
export function claimKey(): string {
  return crypto.randomUUID();
}

/** Makes the claim of the next lease; null when the worker wants none. */
export type NextClaim = () => Claim | null;
