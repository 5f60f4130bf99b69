/**
 * What the parts of the registry share, built once in the object's constructor: the stores (SQL),
 * the sockets, and the farm in memory. Everything in memory is rebuilt from rows and sockets, so
 * the object may be evicted between any two calls.
 */
import { newerSchemaRefusal, unusable } from "../platform/newer-schema.ts";
import { migrate } from "../platform/sql.ts";
import type { Env } from "../rpc/env.ts";
import { AgentInstances } from "./agent-instances.ts";
import { BlenderBuildStore } from "./blender-build-store.ts";
import { Dispatcher } from "./dispatcher.ts";
import { FarmLive } from "./farm-live.ts";
import { Fleet, type FleetSigns } from "./fleet.ts";
import { LiveLeases } from "./live-leases.ts";
import { OpenMarker } from "./open-marker.ts";
import { Preemptor } from "./preemptor.ts";
import { ProgramStore } from "./program-store.ts";
import { ReservationStore } from "./reservation-store.ts";
import { REGISTRY_SCHEMA } from "./schema.ts";
import { SettingStore } from "./setting-store.ts";
import { Sockets } from "./sockets.ts";
import { TaskIndex } from "./task-index.ts";
import { TaskList } from "./task-list.ts";
import { TokenStore } from "./token-store.ts";
import { DailyTotals } from "./daily-totals.ts";
import { Webhooks } from "./webhooks.ts";
import { removedFromMs as removedFrom } from "./unseen-workers.ts";
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
  readonly programs: ProgramStore;
  readonly builds: BlenderBuildStore;
  readonly tasks: TaskIndex;
  readonly taskList: TaskList;
  readonly reservations: ReservationStore;
  readonly totals: DailyTotals;
  readonly sockets: Sockets;
  readonly instances: AgentInstances;
  readonly preemptor: Preemptor;
  readonly farmLive: FarmLive;
  readonly marker: OpenMarker;
  #farm: Farm | undefined;

  /** `arm` sets the alarm for the earliest due time. */
  constructor(ctx: DurableObjectState, env: Env, arm: () => void) {
    const { sql } = ctx.storage;
    this.storage = ctx.storage;
    this.tokens = new TokenStore(sql);
    this.settings = new SettingStore(sql);
    this.webhooks = new Webhooks(sql, env, () => this.settings.webhookHosts());
    this.workers = new WorkerStore(sql);
    this.programs = new ProgramStore(sql);
    this.builds = new BlenderBuildStore(sql);
    this.tasks = new TaskIndex(sql, () => this.settings.retention());
    this.taskList = new TaskList(sql, () => this.settings.retention());
    this.reservations = new ReservationStore(sql);
    this.totals = new DailyTotals(sql);
    this.sockets = new Sockets(ctx);
    this.instances = new AgentInstances(this.sockets);
    const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
    this.preemptor = new Preemptor(env, waitUntil, arm);
    this.marker = new OpenMarker({ bucket: env.FILES, waitUntil, onFailure: arm });
    this.farmLive = new FarmLive(ctx, {
      fleet: () => this.fleet,
      tasks: this.tasks,
      taskList: this.taskList,
      totals: this.totals,
      living: (ids) => this.tokens.living(ids, Date.now()),
    });
  }

  /**
   * Loads the farm when it is first needed: looking up a token must not cost a walk over the fleet.
   */
  #loaded(): Farm {
    if (!this.#farm) {
      const { tasks, sockets, instances, programs } = this;
      const liveLeases = new LiveLeases(tasks);
      const removedFromMs = (seenMs: number) => removedFrom(this.settings.unseenWorkers(), seenMs);
      const fetchable: FleetSigns["fetchable"] = (platform) => this.builds.fetchable(platform);
      const fleet = new Fleet(
        this.workers,
        { sockets, instances, programs, liveLeases, removedFromMs, fetchable },
        (task) => tasks.hasEnded(task),
      );
      const { sql } = this.storage;
      const preempt = (ids: number[], epoch: number): void => this.preemptor.preempt(ids, epoch);
      const dispatcher = new Dispatcher({ sql, tasks, liveLeases, fleet, sockets, preempt });
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

  /**
   * When dispatch has something to do without a call; null when it has nothing, or when the farm is
   * not loaded.
   */
  get rescanMs(): number | null {
    return this.#farm?.dispatcher.rescanMs ?? null;
  }

  /**
   * Whether the watchdog must look after the farm: a task has claimable frames or something due, or
   * a delivery waits.
   */
  isOpen(): boolean {
    return this.tasks.anyClaimable() || this.tasks.anyOwes() || this.webhooks.store.dueByHook().size > 0;
  }

  /** Discard what was read from rows; it is read again when it is needed. */
  forget(): void {
    this.#farm = undefined;
    this.tasks.forget();
    this.settings.forget();
    this.programs.forget();
    this.builds.forget();
    this.reservations.forget();
    this.webhooks.forget();
  }

  /**
   * One transaction. When `work` throws, no row has changed, and what is in memory is discarded:
   * half of it may have.
   */
  inTransaction<T>(work: () => T): T {
    try {
      return this.storage.transactionSync(work);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}

/**
 * The parts, on rows of this version. On rows of a newer version every access to a part throws, and
 * so the alarm is only set again, until that version is deployed. Throws when the rows cannot be
 * read or brought up to date.
 */
export function openContext(ctx: DurableObjectState, env: Env, arm: () => void): RegistryContext {
  try {
    migrate(ctx.storage, REGISTRY_SCHEMA);
    return new RegistryContext(ctx, env, arm);
  } catch (error) {
    if (newerSchemaRefusal(error) === null) throw error;
    return unusable(error) as RegistryContext;
  }
}
