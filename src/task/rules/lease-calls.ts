/**
 * The calls of the lease protocol and the other changes that come from outside, each as one
 * transition: what of the rules it runs, and whether it leaves something to write. Pure; the object
 * and the model check run the same code.
 */
import type { Fault } from "../../protocol/constants.ts";
import type { DependencyProgress } from "../../rpc/task.ts";
import { takeProgress } from "./input-task.ts";
import { claim, type ClaimOutcome, type ClaimRequest } from "./claim.ts";
import type { LiveLease } from "./lease-index.ts";
import type { Transition } from "./ledger.ts";
import { complete, expire, fail, release, renew, type GivenBack, type LeaseRef, type RenderedFrame } from "./settle.ts";
import { changed, unchanged, type Outcome } from "./transition.ts";

/** What a call of a task that reads another one's files comes with: how that one is now. */
interface WithSource {
  source?: DependencyProgress | undefined;
}

/** A claim, before the rules see it. */
export interface ClaimCall extends ClaimRequest, WithSource {}

/** A call that extends a lease. */
export interface Renewal extends WithSource {
  lease: LeaseRef;
  done: readonly RenderedFrame[];
}

/** How a lease ends. */
export type Ending =
  | { verb: "complete" }
  | { verb: "fail"; failed: readonly number[]; error: string; fault?: Fault | undefined }
  | ({ verb: "release" } & GivenBack);

/** A call that ends a lease, and may claim the next one. */
export interface Settlement extends WithSource {
  lease: LeaseRef;
  done: readonly RenderedFrame[];
  ending: Ending;
  /** The claim that comes with it; null for none. */
  next: ClaimRequest | null;
}

export interface Settled {
  committed: number;
  /** The call had been carried out before, and gave the lease in `claimed`. */
  repeated: boolean;
  /** What the claim came to; null without one. */
  claimed: ClaimOutcome | null;
}

/** A claim. Only a new lease must be written. */
export function claimLease(t: Transition, { source, ...request }: ClaimCall): Outcome<ClaimOutcome> {
  if (source) takeProgress(t, source);
  const claimed = claim(t, request);
  return claimed.lease !== null && claimed.fresh ? changed(claimed) : unchanged(claimed);
}

/**
 * Extend a lease. Must be written when frames were committed, or when less than half of the stored
 * lease is left.
 */
export function renewLease(t: Transition, { lease, done, source }: Renewal): Outcome<LiveLease> {
  if (source) takeProgress(t, source);
  return renew(t, lease, done);
}

/**
 * End a lease, and claim the next one in the same transition. The call may be repeated when its
 * answer was lost: then its next lease is live already, and the answer is the first one (P3).
 */
export function settleLease(t: Transition, { lease, done, ending, next, source }: Settlement): Outcome<Settled> {
  if (source) takeProgress(t, source);
  const repeated = next !== null && t.ledger.leases.claimedWith(next.worker, next.key) !== undefined;
  let committed = done.length;
  if (!repeated) {
    const ended =
      ending.verb === "complete"
        ? complete(t, lease, done)
        : ending.verb === "fail"
          ? fail(t, lease, done, ending.failed, ending.error, ending.fault)
          : release(t, lease, done, ending);
    if (!ended.ok) return ended;
    ({ committed } = ended.value);
  }
  return changed({ committed, repeated, claimed: next && claim(t, next) });
}

/** The alarm: end the leases whose time is over. */
export function expireLeases(t: Transition): Outcome<null> {
  expire(t);
  return unchanged(null);
}

/**
 * From the registry: work of higher priority waits. Claims of an earlier epoch are sent back to it
 * (P8).
 */
export function preempt(t: Transition, epoch: number): Outcome<null> {
  if (epoch <= t.ledger.outranked) return unchanged(null);
  t.ledger.outranked = epoch;
  return changed(null);
}
