/**
 * Which agent process a worker is (P9). The copy of a machine's image, or of a state folder, makes two
 * agents with one identity. The one that is there stays the worker; the other one is refused, gets no
 * work and changes nothing, until the first has ended or is silent. Leases that either has go on:
 * they are between a task and a lease's own id.
 *
 * An agent's process has a random id (INSTANCE_HEADER). What is known of it is in the worker's socket;
 * that of an agent without a socket is in memory only, so an eviction forgets it until its next call.
 */
import { OFFLINE_AFTER_MS, type OtherAgent } from "../protocol/worker.ts";
import type { Sockets } from "./sockets.ts";

/** The other agent tries again every 15 to 30 s. Shown for longer, it would be shown after it has ended. */
const SHOWN_MS = 120_000;

/** Who calls. `instance` is null for agents up to 0.1 and for other clients. */
export interface AgentCall {
  instance: string | null;
  /** Null when this call does not say it. */
  hostname: string | null;
  ipAddress: string;
}

interface Contact {
  instance: string;
  seenMs: number;
}

export class AgentInstances {
  readonly #sockets: Sockets;
  readonly #contacts = new Map<number, Contact>();
  readonly #others = new Map<number, OtherAgent>();

  constructor(sockets: Sockets) {
    this.#sockets = sockets;
  }

  /**
   * Take a call of this worker: null when the caller is the agent that the worker is. Otherwise when
   * that agent was last seen; the caller is then shown as the other one.
   */
  take(worker: number, { instance, hostname, ipAddress }: AgentCall, nowMs: number): number | null {
    if (instance === null) return null;
    const holder = this.#holder(worker, nowMs);
    if (holder !== null && holder.instance !== instance) {
      const known = this.other(worker, nowMs)?.hostname;
      this.#others.set(worker, { hostname: hostname ?? known ?? "", ip_address: ipAddress, seen_ms: nowMs });
      return holder.seenMs;
    }
    this.#contacts.set(worker, { instance, seenMs: nowMs });
    return null;
  }

  /** The agent has ended, or its worker is removed: the next one may be another. */
  ended(worker: number): void {
    this.#contacts.delete(worker);
    this.#sockets.forgetInstance(worker);
  }

  /** The other agent that tried to be this worker lately; null when there was none. */
  other(worker: number, nowMs: number): OtherAgent | null {
    const other = this.#others.get(worker);
    return other !== undefined && nowMs - other.seen_ms < SHOWN_MS ? other : null;
  }

  #holder(worker: number, nowMs: number): Contact | null {
    const bySocket = this.#sockets.instanceOf(worker);
    const byCall = this.#contacts.get(worker) ?? null;
    const signs = [bySocket, byCall].filter((sign) => sign !== null && nowMs - sign.seenMs < OFFLINE_AFTER_MS);
    return signs.reduce((newest, sign) => (newest !== null && newest.seenMs >= sign!.seenMs ? newest : sign), null);
  }
}
