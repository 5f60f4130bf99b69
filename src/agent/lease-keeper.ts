/**
 * Keeps a lease: renews it every third of its time, on a monotonic clock, and knows when it is lost. Lost is final: the
 * signal fires, the process is killed, and nothing of the attempt reaches the manager any more (P2).
 */
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../lib/retry.ts";
import { renewedSchema, type DoneFrame } from "../protocol/lease.ts";
import { looseSettledSchema, type LooseLease, type LooseSettled } from "./lease-calls.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { messageOf } from "../lib/errors.ts";

/** What rides on a call. */
export interface Batch {
  done: DoneFrame[];
  log: string;
  /** Of the frame in progress, 0 to 1. */
  progress: number | null;
}

export interface KeeperOptions {
  client: ManagerClient;
  lease: LooseLease;
  /** When the claim went out (`performance.now()`): the lease counts from there. */
  claimedMs: number;
  /** Gather what rides on the next call. */
  take: () => Batch;
  /** The call did not bring it home. */
  putBack: (batch: Batch) => void;
  /** When a renewal should be made for the log's sake, while somebody follows it or nobody does; undefined for never. */
  logDueMs: (watched: boolean) => number | undefined;
  /** Told once when the manager stops answering, and once when it answers again. */
  onReach?: (reached: boolean) => void;
}

/** The lease is not ours any more. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}

const RETRY = { baseMs: 500, capMs: 10_000, random: Math.random };
/** The wall clock may move by this much (NTP) without anybody having slept. */
const CLOCK_SLACK_MS = 2_000;
/** A call that has not been answered by then is made again. */
const CALL_MS = 10_000;
/** After a lease has run out, its end is still worth telling for this long: it may have been committed and its reply lost. */
const SETTLE_FOR_MS = 30 * 60_000;

export class LeaseKeeper {
  readonly #options: KeeperOptions;
  readonly #lost = new AbortController();
  #stopped = false;
  #loop: Promise<void> | undefined;
  #grant: string;
  #logWatched = false;
  #leaseMs: number;
  /** Both clocks at the moment from which the lease counts: they part when the machine sleeps. */
  #from: { monoMs: number; wallMs: number };
  #nudged = Promise.withResolvers<void>();
  #renewed = Promise.withResolvers<void>();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#grant = options.lease.grant;
    this.#leaseMs = options.lease.lease_ms;
    this.#from = { monoMs: options.claimedMs, wallMs: Date.now() - (performance.now() - options.claimedMs) };
  }

  /** Fires with a `LeaseLost` when the lease is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The present right to upload. */
  get grant(): string {
    return this.#grant;
  }

  start(): void {
    this.#loop = this.#keep();
  }

  /** Somebody else says it is lost: a push `cancel`, a 409 on an upload. */
  lose(why: string): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(new LeaseLost(why));
    this.nudge();
  }

  /** Renew now: the machine woke up, the log is long, an upload was refused. */
  nudge(): void {
    this.#nudged.resolve();
  }

  /** Wait until the lease is known to be ours. After a sleep or a long silence only a renewal can tell. Rejects when it is lost. */
  async assured(): Promise<void> {
    while (!this.#isSure()) {
      this.#lost.signal.throwIfAborted();
      const renewed = this.#renewed.promise;
      this.nudge();
      await Promise.race([renewed, whenAborted(this.#lost.signal)]);
    }
    this.#lost.signal.throwIfAborted();
  }

  /** A renewal that begins now has succeeded. Rejects when the lease is lost. */
  async renewNow(): Promise<void> {
    const renewed = this.#renewed.promise;
    this.nudge();
    await Promise.race([renewed, whenAborted(this.#lost.signal)]);
    this.#lost.signal.throwIfAborted();
  }

  /**
   * End the lease with `complete`, `fail` or `release`: the same body until it is answered, since a lost reply may have been
   * a success (P3). Throws `LeaseLost` when the manager says so, `ManagerError` for any other refusal.
   */
  async settle(
    verb: "complete" | "fail" | "release",
    /** Made once, when no renewal is under way any more. */
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

  /** Renew no more. A renewal under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.nudge();
    await this.#loop;
  }

  async #keep(): Promise<void> {
    for (let failures = 0; !this.#over;) {
      const againMs = performance.now() + Math.min(backoffMs(failures, RETRY), Math.max(this.#leftMs(), 250));
      await this.#pause(failures === 0 ? () => this.#dueMs() : () => againMs);
      if (this.#over) return;
      failures = (await this.#renew()) ? 0 : failures + 1;
      if (failures === 1) this.#options.onReach?.(false);
      if (failures > 0 && this.#leftMs() <= 0) this.lose("it ran out before a renewal got through");
    }
  }

  async #renew(): Promise<boolean> {
    const { client, lease, take, putBack, onReach } = this.#options;
    const batch = take();
    const json = {
      attempt: lease.attempt,
      done: batch.done,
      progress: batch.progress,
      ...(batch.log !== "" && { log: batch.log }),
    };
    // A lease that is about to run out leaves no time to wait for an answer that does not come.
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
      this.#grant = answer.grant;
      this.#logWatched = answer.log_watched;
      this.#renewed.resolve();
      this.#renewed = Promise.withResolvers();
      onReach?.(true);
      return true;
    } catch (error) {
      putBack(batch);
      // 401: the worker was removed; 422: this version and the manager do not understand each other. Neither will pass.
      if (!(error instanceof ManagerError) || !error.transient) this.lose(messageOf(error));
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

  /** What is left of the lease by the clock that says less. Monotonic clocks stand still while a laptop sleeps. */
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

  /** Until the time that `dueMs` names, or a nudge. It moves as log lines come in: looked at every second. */
  async #pause(dueMs: () => number): Promise<void> {
    const nudged = this.#nudged.promise.then(() => true);
    for (;;) {
      const leftMs = dueMs() - performance.now();
      if (leftMs <= 0 || (await Promise.race([nudged, delay(Math.min(leftMs, 1_000), false)]))) break;
    }
    this.#nudged = Promise.withResolvers();
  }
}

/** 409: superseded. 404: the task is gone. 403: the lease is somebody else's. */
function isLost(error: unknown): boolean {
  return error instanceof ManagerError && (error.status === 409 || error.status === 404 || error.status === 403);
}

/** Rejects with the signal's reason when it fires. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
