/**
 * What the parts of the registry share, built once in the object's constructor: the stores (SQL), the sockets, and the farm
 * in memory. Everything in memory is rebuilt from rows and sockets, so the object may be evicted between any two calls.
 */
import type { Env } from "../rpc/env.ts";
import { Dispatcher } from "./dispatcher.ts";
import { FarmLive } from "./farm-live.ts";
import { Fleet } from "./fleet.ts";
import { LiveLeases } from "./live-leases.ts";
import { Outranker } from "./outranker.ts";
import { ReservationStore } from "./reservation-store.ts";
import { SettingStore } from "./setting-store.ts";
import { Sockets } from "./sockets.ts";
import { TaskStore } from "./task-store.ts";
import { TokenStore } from "./token-store.ts";
import { Totals } from "./totals.ts";
import { Webhooks } from "./webhooks.ts";
import { WorkerStore } from "./worker-store.ts";

/** The farm in memory. */
interface Farm {
  liveLeases: LiveLeases;
  fleet: Fleet;
  dispatcher: Dispatcher;
}

export class RegistryContext {
  readonly storage: DurableObjectStorage;
  readonly tokens: TokenStore;
  readonly settings: SettingStore;
  readonly webhooks: Webhooks;
  readonly workers: WorkerStore;
  readonly tasks: TaskStore;
  readonly reservations: ReservationStore;
  readonly totals: Totals;
  readonly sockets: Sockets;
  readonly outranker: Outranker;
  readonly farmLive: FarmLive;
  #farm: Farm | undefined;

  /** `arm` sets the alarm for the earliest due time. */
  constructor(ctx: DurableObjectState, env: Env, arm: () => void) {
    const { sql } = ctx.storage;
    this.storage = ctx.storage;
    this.tokens = new TokenStore(sql);
    this.settings = new SettingStore(sql);
    this.webhooks = new Webhooks(sql, env);
    this.workers = new WorkerStore(sql);
    this.tasks = new TaskStore(sql);
    this.reservations = new ReservationStore(sql);
    this.totals = new Totals(sql);
    this.sockets = new Sockets(ctx);
    this.outranker = new Outranker(env, (work) => ctx.waitUntil(work), arm);
    this.farmLive = new FarmLive(ctx, {
      fleet: () => this.fleet,
      tasks: this.tasks,
      totals: this.totals,
      living: (ids) => this.tokens.living(ids, Date.now()),
    });
  }

  /** Loads the farm when it is first needed: looking up a token must not cost a walk over the fleet. */
  #loaded(): Farm {
    if (!this.#farm) {
      const { tasks, sockets } = this;
      const liveLeases = new LiveLeases(tasks);
      const fleet = new Fleet(this.workers, sockets, liveLeases, (task) => tasks.isOver(task));
      const parts = { tasks, live: liveLeases, fleet, sockets };
      const dispatcher = new Dispatcher(this.storage.sql, parts, (outranked, epoch) =>
        this.outranker.tell(outranked, epoch),
      );
      this.#farm = { liveLeases, fleet, dispatcher };
    }
    return this.#farm;
  }

  get liveLeases(): LiveLeases {
    return this.#loaded().liveLeases;
  }

  get fleet(): Fleet {
    return this.#loaded().fleet;
  }

  get dispatcher(): Dispatcher {
    return this.#loaded().dispatcher;
  }

  /** When dispatch has something to do without a call; null when it has nothing, or when the farm is not loaded. */
  get lookAgainMs(): number | null {
    return this.#farm?.dispatcher.lookAgainMs ?? null;
  }

  /** Discard what was read from rows; it is read again when it is needed. */
  forget(): void {
    this.#farm = undefined;
    this.tasks.forget();
    this.reservations.noteRemoval();
  }

  /** One transaction. When `work` throws, no row has changed, and what is in memory is discarded: half of it may have. */
  inTransaction<T>(work: () => T): T {
    try {
      return this.storage.transactionSync(work);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}
