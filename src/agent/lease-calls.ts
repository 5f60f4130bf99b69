/** Answers of the lease protocol as the agent reads them: the plan is checked apart, so that a bad one can be given back. */
import { z } from "zod";
import { claimedSchema, leaseSchema, NO_LEASE_REASONS, type Claim } from "../protocol/lease.ts";

const looseLease = leaseSchema.extend({ plan: z.unknown() });
export type LooseLease = z.infer<typeof looseLease>;

export const looseClaimedSchema = claimedSchema.extend({
  lease: looseLease.nullable(),
  /** One that a newer manager has: whatever it is, there is nothing for us now. */
  reason: z.enum(NO_LEASE_REASONS).nullable().catch("nothing_pending"),
});
export type LooseClaimed = z.infer<typeof looseClaimedSchema>;

export const looseSettledSchema = z.object({ committed: z.int(), next: looseClaimedSchema.nullable() });
export type LooseSettled = z.infer<typeof looseSettledSchema>;

/** A claim's key: random, so that no two claims ever meet. */
export function claimKey(): string {
  return crypto.randomUUID();
}

/** Makes the claim of the next lease; null when the worker wants none. */
export type NextClaim = () => Claim | null;
