/**
 * Renews a lease every third of its time, on a monotonic clock, and tells when it is lost. A lost
 * lease stays lost: the signal fires, the process is killed, and nothing of the attempt reaches the
 * manager any more (P2).
 */
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../lib/retry.ts";
import { renewedSchema, type DoneFrame } from "../protocol/lease.ts";
import { looseSettledSchema, type LooseLease, type LooseSettled } from "./lease-calls.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { deferred } from "../lib/deferred.ts";
import { messageOf } from "../lib/errors.ts";

/** The fields of a call about its frames, as `settleFields` of the protocol has them. */
export interface FrameReports {
  warnings?: { text: string; frames: string }[];
  one_colour?: string;
  several_colours?: string;
}

/** What a call of the lease carries. */
export interface Batch {
  done: DoneFrame[];
  /** What people should know of frames of `done`; empty for a manager that would refuse it. */
  reports: FrameReports;
  log: string;
  /** Progress within the frame that is being rendered, 0 to 1. */
  progress: number | null;
}

export interface LeaseRenewerOptions {
  client: ManagerClient;
  lease: LooseLease;
  /**
   * When the claim went out (`performance.now()`). The lease counts from there: the manager counts
   * from later, so the lease does not end before this side thinks that it does.
   */
  claimedMs: number;
  /** Take what the next call is to carry. */
  take: () => Batch;
  /** The call failed: its batch goes with the next one. */
  putBack: (batch: Batch) => void;
  /**
   * When a renewal is due for the log's sake; sooner while the log is `watched`. Undefined when
   * none is.
   */
  logDueMs: (watched: boolean) => number | undefined;
}

/** The lease is lost: it was superseded, it ran out, or the manager does not know it. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}

/** At most 10 s: a lease of a minute leaves time for several tries. */
const RETRY = { baseMs: 500, capMs: 10_000, random: Math.random };
/** The wall clock may be moved by this much (NTP); beyond it, the machine has slept. */
const CLOCK_SLACK_MS = 2_000;
/** A call that has no answer by then is made again: a dead connection must not use up the lease. */
const CALL_MS = 10_000;
/**
 * How long after a lease has run out its settlement is still tried: it may have been committed, and
 * only the reply lost.
 */
const SETTLE_FOR_MS = 30 * 60_000;

export class LeaseRenewer {
  readonly #options: LeaseRenewerOptions;
  readonly #lost = new AbortController();
  #stopped = false;
  #loop: Promise<void> | undefined;
  #grant: Record<string, string>;
  #logWatched = false;
  #leaseMs: number;
  /**
   * Both clocks at the moment from which the lease counts. They differ by more later when the
   * machine has slept.
   */
  #from: { monoMs: number; wallMs: number };
  #renewRequest = deferred<void>();
  #renewed = deferred<void>();

  constructor(options: LeaseRenewerOptions) {
    this.#options = options;
    this.#grant = grantOf(options.lease);
    this.#leaseMs = options.lease.lease_ms;
    this.#from = { monoMs: options.claimedMs, wallMs: Date.now() - (performance.now() - options.claimedMs) };
  }

  /** Fires with a `LeaseLost` when the lease is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The newest grant for uploads, in the header that the manager reads it from. */
  get grant(): Record<string, string> {
    return this.#grant;
  }

  /** When the last renewal that succeeded went out (monotonic); before the first, the claim. */
  get renewedMs(): number {
    return this.#from.monoMs;
  }

  start(): void {
    this.#loop = this.#keep();
  }

  /**
   * The lease is lost, as the manager says (a push `cancel`, a refused renewal), or is over.
   * Idempotent.
   */
  markLost(why: string): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(new LeaseLost(why));
    this.renewNow();
  }

  /**
   * Renew as soon as possible, without waiting for it: the machine woke up, or the socket is open
   * again.
   */
  renewNow(): void {
    this.#renewRequest.resolve();
  }

  /**
   * Wait until the lease is valid for certain: after a sleep or a long silence, until a renewal has
   * succeeded. Rejects when it is lost.
   */
  async ensureValid(): Promise<void> {
    while (!this.#isSure()) {
      this.#lost.signal.throwIfAborted();
      const renewed = this.#renewed.promise;
      this.renewNow();
      await Promise.race([renewed, whenAborted(this.#lost.signal)]);
    }
    this.#lost.signal.throwIfAborted();
  }

  /** Renew, and wait for a renewal that succeeds. Rejects when the lease is lost. */
  async renewAndWait(): Promise<void> {
    const renewed = this.#renewed.promise;
    this.renewNow();
    await Promise.race([renewed, whenAborted(this.#lost.signal)]);
    this.#lost.signal.throwIfAborted();
  }

  /**
   * End the lease with `complete`, `fail` or `release`. The same body is sent until there is an
   * answer: the try before may have succeeded with its reply lost (P3). Throws `LeaseLost` when the
   * manager says so, `ManagerError` otherwise.
   */
  async settle(
    verb: "complete" | "fail" | "release",
    /** Called once, when no renewal is under way any more. */
    body: () => object,
    signal?: AbortSignal,
  ): Promise<LooseSettled> {
    await this.stop();
    this.#lost.signal.throwIfAborted();
    const json = body();
    try {
      const options = { json, signal, timeoutMs: CALL_MS, retryForMs: Math.max(0, this.#leftMs()) + SETTLE_FOR_MS };
      return await this.#options.client.call(looseSettledSchema, "POST", this.#path(verb), options);
    } catch (error) {
      if (isLost(error)) throw new LeaseLost(messageOf(error));
      throw error;
    }
  }

  /** Stop renewing. A renewal under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.renewNow();
    await this.#loop;
  }

  async #keep(): Promise<void> {
    for (let failures = 0; !this.#over;) {
      const againMs = performance.now() + Math.min(backoffMs(failures, RETRY), Math.max(this.#leftMs(), 250));
      await this.#pause(failures === 0 ? () => this.#dueMs() : () => againMs);
      if (this.#over) break;
      failures = (await this.#renew()) ? 0 : failures + 1;
      if (failures > 0 && this.#leftMs() <= 0) this.markLost("it ran out before a renewal got through");
    }
    this.#options.client.outage?.ended(this, false);
  }

  async #renew(): Promise<boolean> {
    const { client, lease, take, putBack } = this.#options;
    const batch = take();
    const json = {
      attempt: lease.attempt,
      done: batch.done,
      progress: batch.progress,
      ...batch.reports,
      ...(batch.log !== "" && { log: batch.log }),
    };
    // Shorter than usual when the lease is about to run out: there must be time for another try.
    const timeoutMs = Math.min(CALL_MS, Math.max(this.#leftMs(), 2_000));
    const sent = { monoMs: performance.now(), wallMs: Date.now() };
    try {
      const answer = await client.call(renewedSchema, "POST", this.#path("renew"), {
        json,
        timeoutMs,
        retryForMs: 0,
        signal: this.#lost.signal,
      });
      this.#from = sent;
      this.#leaseMs = answer.lease_ms;
      this.#grant = grantOf(answer);
      this.#logWatched = answer.log_watched;
      this.#renewed.resolve();
      this.#renewed = deferred();
      client.outage?.ended(this, true);
      return true;
    } catch (error) {
      putBack(batch);
      // Such as 401 (the worker was removed) and 422 (the manager does not understand this
      // version): trying again cannot help.
      if (!(error instanceof ManagerError) || !error.transient) this.markLost(messageOf(error));
      else client.outage?.failed(this, error);
      return false;
    }
  }

  get #over(): boolean {
    return this.#stopped || this.#lost.signal.aborted;
  }

  #path(verb: string): string {
    const { lease } = this.#options;
    return `/tasks/${lease.task_id}/leases/${encodeURIComponent(lease.lease_id)}/${verb}`;
  }

  /**
   * What is left of the lease. Monotonic clocks stand still while a laptop sleeps; a wall clock far
   * ahead shows that.
   */
  #leftMs(): number {
    const mono = performance.now() - this.#from.monoMs;
    const wall = Date.now() - this.#from.wallMs;
    return this.#leaseMs - Math.max(mono, wall > mono + CLOCK_SLACK_MS ? wall : 0);
  }

  #isSure(): boolean {
    const apart = Date.now() - this.#from.wallMs - (performance.now() - this.#from.monoMs);
    return this.#leftMs() > 0 && apart < CLOCK_SLACK_MS;
  }

  #dueMs(): number {
    return Math.min(this.#from.monoMs + this.#leaseMs / 3, this.#options.logDueMs(this.#logWatched) ?? Infinity);
  }

  /**
   * Wait until `dueMs`, or until a renewal is requested. `dueMs` moves as log lines come in, so it
   * is read every second.
   */
  async #pause(dueMs: () => number): Promise<void> {
    const requested = this.#renewRequest.promise.then(() => true);
    for (;;) {
      const leftMs = dueMs() - performance.now();
      if (leftMs <= 0 || (await Promise.race([requested, delay(Math.min(leftMs, 1_000), false)]))) break;
    }
    this.#renewRequest = deferred();
  }
}

/**
 * 409: superseded. 404: the task is gone. 403: the lease belongs to another worker. Of an answer
 * that is not the manager's, the status is 0.
 */
function isLost(error: unknown): boolean {
  return error instanceof ManagerError && (error.status === 409 || error.status === 404 || error.status === 403);
}

/** Never resolves; rejects with the signal's reason when it fires. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

function grantOf({ grant, grant_header }: { grant: string; grant_header: string }): Record<string, string> {
  return { [grant_header]: grant };
}
