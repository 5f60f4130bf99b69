/** Workers: registration, reports, sockets, removal. */
import { ok, type Result } from "../lib/result.ts";
import { newSecret, sha256Hex } from "../platform/secrets.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { isFetching, type BuildPlatform } from "../protocol/blender-build.ts";
import { isAtLeast } from "../protocol/version.ts";
import type { StoppedWorker, UnseenRemoved } from "../rpc/registry.ts";
import type { Principal } from "../protocol/token.ts";
import type { Worker, WorkerInfo, WorkerPatch, WorkerPatched, WorkerRegister } from "../protocol/worker.ts";
import type { RegistryContext } from "./context.ts";
import type { AgentCall } from "./agent-instances.ts";
import { CLOSE_REMOVED } from "./sockets.ts";
import { applyPatch, noteConnection } from "./worker-patch.ts";

const NO_WORKER = refuse("not_found", "there is no such worker");

/** Agents give their leases back when they are told `stop_now`, from this release on. */
const STOPS_SINCE = "0.2.0";

/** How many unseen workers are removed in a run: each costs two rows. */
const REMOVED_AT_ONCE = 1_000;

/** A worker as registration answers it. */
export interface RegisteredWorker {
  key: string;
  worker: Worker;
  /** Its new secret; null when it was known before. */
  secret: string | null;
  created: boolean;
}

export class WorkerService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /**
   * A known worker that registers again reports; a join token, of which one use is taken, or an
   * admin makes a new one.
   */
  async register(
    register: WorkerRegister,
    caller: Principal,
    ipAddress: string,
    instance: string | null,
    fetches?: BuildPlatform | null,
  ): Promise<Result<RegisteredWorker, Refusal>> {
    const { role, id } = caller;
    if (role === "worker") {
      const refused = this.#takeAgent(id, { instance, hostname: register.hostname, ipAddress });
      if (refused) return refused;
      // The agent of before may have ended while it fetched a build, and what was asked of it ended with it.
      const { fleet } = this.#registry;
      const stale = fleet.get(id) !== undefined && isFetching(fleet.activityOf(id)) ? { activity: null } : {};
      const report = { ...register, ...stale, local_state: register.local_state ?? null };
      const patched = this.patch(id, report, caller, ipAddress, instance, fetches);
      return patched.ok ? ok({ ...this.#listed(id), secret: null, created: false }) : patched;
    }
    if (role !== "join" && role !== "admin") return refuse("forbidden", "a worker registers with a join token");
    const secret = newSecret("worker");
    const sha256 = await sha256Hex(secret);
    const { tokens, farmLive } = this.#registry;
    const nowMs = Date.now();
    const added = this.#registry.inTransaction((): Result<number, Refusal> => {
      const tags = role === "join" ? tokens.takeUse(id, nowMs) : ok([]);
      return tags.ok ? ok(this.#registry.fleet.add(register, ipAddress, tags.value, sha256, nowMs, fetches).id) : tags;
    });
    if (!added.ok) return added;
    this.#registry.instances.take(added.value, { instance, hostname: register.hostname, ipAddress }, nowMs);
    farmLive.worker(added.value);
    return ok({ ...this.#listed(added.value), secret, created: true });
  }

  /** Tasks of which this worker may have a live lease, the likeliest first. Only their objects know. */
  tasksOf(id: number): number[] {
    const { fleet, dispatcher, liveLeases } = this.#registry;
    const last = fleet.get(id)?.assignedTask ?? null;
    const reported = liveLeases.tasksOf(id).map((task) => task.id);
    return [...new Set([...(last === null ? [] : [last]), ...reported, ...dispatcher.assignedTo(id).toReversed()])];
  }

  get(id: number): Result<WorkerInfo, Refusal> {
    const { fleet } = this.#registry;
    return fleet.get(id) ? ok(fleet.view(id, Date.now())) : NO_WORKER;
  }

  /**
   * `caller`, `ipAddress` and `instance`: where the patch comes from. Another agent with the identity
   * of this worker gets no work, and what it says is not taken.
   */
  patch(
    id: number,
    patch: WorkerPatch,
    caller: Principal,
    ipAddress: string,
    instance: string | null,
    fetches?: BuildPlatform | null,
  ): Result<WorkerPatched, Refusal> {
    const { fleet, dispatcher, farmLive, instances } = this.#registry;
    if (!fleet.get(id)) return NO_WORKER;
    const itself = caller.role === "worker" && caller.id === id;
    if (!itself && patch.local_state !== undefined)
      return refuse("invalid", "is what the agent says of its own machine: an admin drains the worker", "local_state");
    if (itself && this.#takeAgent(id, { instance, hostname: patch.hostname ?? null, ipAddress }))
      return ok({ task_id: null, epoch: dispatcher.epoch, status: fleet.status(id) });
    if (itself && patch.leaving) instances.ended(id);
    const patched = applyPatch(this.#registry, id, patch, { principal: caller, ipAddress, fetches }, Date.now());
    farmLive.worker(id);
    return ok(patched);
  }

  /**
   * Before its leases are taken away: tell its agent to give them back itself, which loses no frame that is
   * finished, and see to it that no claim under way gets a new one.
   */
  stopNow(id: number): Result<StoppedWorker, Refusal> {
    const { fleet, dispatcher, sockets } = this.#registry;
    const worker = fleet.get(id);
    if (!worker) return NO_WORKER;
    const told = sockets.push(id, { type: "stop_now" }) && isAtLeast(worker.version, STOPS_SINCE);
    return ok({ tasks: this.tasksOf(id), epoch: dispatcher.raiseEpoch(), told });
  }

  /**
   * Remove workers that were not seen for as long as the farm's rule says; at most REMOVED_AT_ONCE.
   * From the first call on, the rule holds.
   */
  removeUnseen(): UnseenRemoved {
    const { fleet, settings } = this.#registry;
    const nowMs = Date.now();
    this.#registry.inTransaction(() => settings.holdUnseen(nowMs));
    const ids = fleet.unseen(nowMs);
    const removed = ids.slice(0, REMOVED_AT_ONCE).map((id) => ({ id, name: fleet.nameOf(id) }));
    for (const { id } of removed) this.remove(id);
    return { removed, more: ids.length > removed.length };
  }

  /** The names of workers, also of those that were removed; unknown ones are left out. */
  names(ids: readonly number[]): Record<string, string> {
    const { fleet, workers } = this.#registry;
    const past = workers.pastNames(ids);
    const named = ids.map((id) => [String(id), fleet.get(id) ? fleet.nameOf(id) : past.get(id)] as const);
    return Object.fromEntries(named.filter((pair): pair is [string, string] => pair[1] !== undefined));
  }

  /** Its secret is void from here on, and its socket is closed. */
  remove(id: number): Result<null, Refusal> {
    const { fleet, dispatcher, sockets, farmLive } = this.#registry;
    if (!fleet.get(id)) return NO_WORKER;
    this.#registry.inTransaction(() => {
      fleet.remove(id, Date.now());
      this.#registry.programs.remove(id);
    });
    dispatcher.forget(id);
    this.#registry.instances.ended(id);
    sockets.close(id, CLOSE_REMOVED, "this worker has been removed");
    farmLive.worker(id);
    return ok(null);
  }

  /** Takes a new socket of this worker; the client's end of it. */
  connect(id: number, instance: string | null, ipAddress: string): Result<WebSocket, Refusal> {
    const { fleet, sockets, farmLive } = this.#registry;
    if (!fleet.get(id)) return NO_WORKER;
    const refused = this.#takeAgent(id, { instance, hostname: null, ipAddress });
    if (refused) return refused;
    const nowMs = Date.now();
    const { 0: client, 1: server } = new WebSocketPair();
    sockets.open(id, server, instance, nowMs);
    noteConnection(this.#registry, id, nowMs);
    farmLive.worker(id);
    return ok(client);
  }

  /** The socket of this worker has closed: its agent has ended, or connects again. */
  disconnected(id: number): void {
    this.#registry.instances.ended(id);
    this.#registry.farmLive.worker(id);
  }

  /** The refusal of an agent while another one is this worker; null for any other. */
  #takeAgent(id: number, call: AgentCall): Result<never, Refusal> | null {
    const { fleet, instances, farmLive } = this.#registry;
    const nowMs = Date.now();
    const seenMs = fleet.get(id) ? instances.take(id, call, nowMs) : null;
    if (seenMs === null) return null;
    farmLive.worker(id);
    const agoS = Math.round((nowMs - seenMs) / 1_000);
    return refuse(
      "conflict",
      `another agent is at work as worker ${id}: it runs on ${fleet.get(id)!.hostname}, and was seen ${agoS} s ago`,
    );
  }

  #listed(id: number): { key: string; worker: Worker } {
    const { fleet } = this.#registry;
    return { key: fleet.keys().get(id)!, worker: fleet.view(id, Date.now()) };
  }
}
