/**
 * The lease calls of one task's object: what is checked before a transition, and compiled after it. All of a call is synchronous.
 */
import { planFor } from "../compilers/index.ts";
import { ok, type Result } from "../lib/result.ts";
import { parseFrameList } from "../protocol/frame-list.ts";
import type { Claim, Complete, Fail, Release, Renew } from "../protocol/lease.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { claim as claimFrames, type ClaimOutcome } from "./rules/claim.ts";
import { format, frames } from "./rules/frame-set.ts";
import * as leasing from "./rules/settle.ts";
import type { LiveLease } from "./rules/lease-index.ts";
import type { Transition } from "./rules/ledger.ts";
import { checkReceipts, leaseFrames } from "./rules/receipts.ts";
import type { Extended, Given, GivenLease, GivenNext, Proven, WorkerRef } from "../rpc/task.ts";
import type { Loaded, Transit } from "./transactor.ts";
import type { TaskLog } from "./storage/log-store.ts";

type Outcome<T> = Result<T, Refusal>;
type Verb = (t: Transition, ref: leasing.LeaseRef, done: leasing.DoneFrame[]) => Outcome<{ committed: number }>;

/** The object, as its lease calls see it; they are made only while it holds a task. */
export interface LeaseHost {
  log: TaskLog;
  /** The task with what other lease calls have changed: see `HeldTask`. */
  ahead(): Loaded | null;
  gather: Transit;
  /** Somebody follows the log. */
  logWatched(): boolean;
}

export class LeaseDesk {
  readonly #host: LeaseHost;
  /** Fractions workers reported, by lease id; worth nothing after an eviction. */
  readonly progress = new Map<string, number>();

  constructor(host: LeaseHost) {
    this.#host = host;
  }

  claim(worker: WorkerRef, claim: Claim): Outcome<Given> {
    const outcome = this.#host.gather((t) => {
      const claimed = claimIn(t, worker, claim);
      t.effects.idle = claimed.lease === null || !claimed.fresh;
      return ok(claimed);
    });
    return outcome.ok ? ok(this.#given(outcome.value, claim)) : outcome;
  }

  renew(worker: WorkerRef, leaseId: string, renew: Proven<Renew>): Outcome<Extended> {
    const ref = { worker: worker.id, leaseId, attempt: renew.attempt };
    const done = this.#checked(renew);
    if (!done.ok) return done;
    const lease = this.#host.gather(
      (t) => this.#logged(leasing.renew(t, ref, done.value), t, ref, renew.log),
      Boolean(renew.log),
    );
    if (!lease.ok) return lease;
    if (renew.progress !== null) this.progress.set(leaseId, renew.progress);
    const { until_ms } = lease.value;
    const { input_task } = this.#host.ahead()!.definition;
    return ok({ lease_ms: until_ms - Date.now(), until_ms, input_task, log_watched: this.#host.logWatched() });
  }

  complete(worker: WorkerRef, leaseId: string, body: Proven<Complete>): Outcome<GivenNext> {
    return this.#settle(worker, leaseId, body, body.next, (t, ref, done) => leasing.complete(t, ref, done));
  }

  fail(worker: WorkerRef, leaseId: string, body: Proven<Fail>): Outcome<GivenNext> {
    const named = parseFrameList(body.frames);
    if (!named.ok) return refuse("invalid", named.error, "frames");
    const blamed = leaseFrames(named.value);
    if (!blamed.ok) return blamed;
    const verb: Verb = (t, ref, done) => leasing.fail(t, ref, done, blamed.value, body.error);
    return this.#settle(worker, leaseId, body, body.next, verb);
  }

  release(worker: WorkerRef, leaseId: string, body: Proven<Release>): Outcome<GivenNext> {
    return this.#settle(worker, leaseId, body, null, (t, ref, done) => leasing.release(t, ref, done, body.reason));
  }

  #settle(
    worker: WorkerRef,
    leaseId: string,
    body: Pick<Proven<Complete>, "attempt" | "done" | "log">,
    next: Claim | null,
    verb: Verb,
  ): Outcome<GivenNext> {
    const ref = { worker: worker.id, leaseId, attempt: body.attempt };
    const done = this.#checked(body);
    if (!done.ok) return done;
    const settled = this.#host.gather((t) => {
      // A repeated call whose first answer was lost: its next lease is there already.
      const repeated = next !== null && t.ledger.leases.claimedWith(worker.id, next.key) !== undefined;
      const result = repeated
        ? ok({ committed: done.value.length })
        : this.#logged(verb(t, ref, done.value), t, ref, body.log);
      if (!result.ok) return result;
      return ok({ committed: result.value.committed, claimed: next && claimIn(t, worker, next) });
    }, Boolean(body.log));
    if (!settled.ok) return settled;
    this.progress.delete(leaseId);
    const { committed, claimed } = settled.value;
    return ok({ committed, next: claimed && this.#given(claimed, next!) });
  }

  #checked(body: Pick<Proven<Complete>, "attempt" | "done">): Outcome<leasing.DoneFrame[]> {
    const definition = this.#host.ahead()?.definition;
    // The task may have been removed while its object waited for somebody else's answer.
    if (!definition) return refuse("not_found", "there is no such task");
    return checkReceipts(definition, body.attempt, body.done);
  }

  /** The log that came with a lease call is kept when the call was accepted. */
  #logged<T>(result: Outcome<T>, t: Transition, ref: leasing.LeaseRef, text: string | undefined): Outcome<T> {
    if (result.ok && text) this.#host.log.append(t.nowMs, ref.worker, ref.attempt, text);
    return result;
  }

  #given(outcome: ClaimOutcome, claim: Claim): Given {
    if (outcome.lease === null) return { lease: null, reason: outcome.reason, retry_after_ms: outcome.retryAfterMs };
    return { lease: this.#leaseOf(outcome.lease, claim), reason: null, retry_after_ms: null };
  }

  #leaseOf(lease: LiveLease, claim: Claim): GivenLease {
    const { id, type, parser, settings } = this.#host.ahead()!.definition;
    return {
      task_id: id,
      lease_id: lease.lease_id,
      attempt: lease.attempt,
      frames: format(lease.frames),
      lease_ms: lease.until_ms - Date.now(),
      until_ms: lease.until_ms,
      plan: planFor(type, parser, settings, [...frames(lease.frames)], claim.platform),
    };
  }
}

function claimIn(t: Transition, worker: WorkerRef, claim: Claim): ClaimOutcome {
  return claimFrames(t, { worker: worker.id, key: claim.key, epoch: claim.epoch, leaseId: crypto.randomUUID() });
}
