/**
 * The registry: one object for the whole farm. It knows every worker and every task's latest report, gives a free worker its
 * task, and is asked once per task switch, never per frame.
 *
 * A thin shell: rules are in `dispatch.ts`, `presence.ts`, `epoch.ts`, `wake.ts`, `tokens.ts` and `setting-rules.ts`, rows in the
 * stores. Everything in memory is rebuilt from rows and sockets, so it may be evicted between any two calls.
 */
import { problemResponse } from "../platform/problem-response.ts";
import { closeQuietly } from "../live/close.ts";
import { VIEWER_HEADER } from "../live/viewer.ts";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import { newSecret, sha256Hex } from "../platform/signing.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import type { TaskWhy, WorkerWhy } from "../protocol/why.ts";
import type { Worker, WorkerInfo, WorkerPatch, WorkerPatched, WorkerRegister } from "../protocol/worker.ts";
import type { Needs } from "../protocol/needs.ts";
import { endRestore } from "./backup.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { needsSignature } from "./dispatch.ts";
import { Dispatcher } from "./dispatcher.ts";
import { FarmLive } from "./farm-live.ts";
import { Fleet } from "./fleet.ts";
import { LiveLeases } from "./live-leases.ts";
import { lookAtTask, lookAtWorker, measure, type LookParts } from "./looks.ts";
import { Outranker } from "./outranker.ts";
import { RegistryDesk } from "./registry-desk.ts";
import type { FarmMetrics, RegistryRpc, ReportReply, Reservation, TaskQuery, TaskReport } from "../rpc/registry.ts";
import { CLOSE_REMOVED, Sockets } from "./sockets.ts";
import { WORKER_ID_HEADER } from "../rpc/registry.ts";
import { ReservationStore, type Submission } from "./reservation-store.ts";
import { TaskStore } from "./task-store.ts";
import { Totals } from "./totals.ts";
import { nextWake } from "./wake.ts";
import { applyPatch, noteConnection } from "./worker-patch.ts";
import { WorkerStore } from "./worker-store.ts";

/** What is kept in memory. */
type Farm = LookParts & { live: LiveLeases };

export class WorkerRegistry extends RegistryDesk implements RegistryRpc {
  readonly #workers: WorkerStore;
  readonly #tasks: TaskStore;
  readonly #reservations: ReservationStore;
  readonly #sockets: Sockets;
  readonly #outranker: Outranker;
  #loaded: Farm | undefined;
  readonly #clock: AlarmClock;
  readonly #totals: Totals;
  readonly #live: FarmLive;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    this.#workers = new WorkerStore(sql);
    this.#tasks = new TaskStore(sql);
    this.#reservations = new ReservationStore(sql);
    this.#sockets = new Sockets(ctx);
    this.#outranker = new Outranker(
      env,
      (work) => ctx.waitUntil(work),
      () => this.#arm(Date.now()),
    );
    this.#clock = new AlarmClock(ctx.storage);
    this.#totals = new Totals(sql);
    this.#live = new FarmLive(ctx, {
      fleet: () => this.#farm.fleet,
      tasks: this.#tasks,
      totals: this.#totals,
      living: (ids) => this.tokens.living(ids, Date.now()),
    });
  }

  /** Loaded when first needed: looking up a token must not cost the fleet. */
  get #farm(): Farm {
    if (!this.#loaded) {
      const live = new LiveLeases(this.#tasks);
      const fleet = new Fleet(this.#workers, this.#sockets, live, (task) => this.#tasks.isOver(task));
      const parts = { tasks: this.#tasks, live, fleet, sockets: this.#sockets };
      const dispatcher = new Dispatcher(this.ctx.storage.sql, parts, (tasks, epoch) =>
        this.#outranker.tell(tasks, epoch),
      );
      this.#loaded = { tasks: this.#tasks, live, fleet, dispatcher };
    }
    return this.#loaded;
  }

  async authenticate(secretSha256: string): Promise<Principal | null> {
    const holder = this.tokens.holderOfSecret(secretSha256, Date.now());
    if (holder !== undefined) return holder;
    const worker = this.#workers.idOfSecret(secretSha256);
    return worker === undefined ? null : { role: "worker", id: worker, name: `worker:${worker}` };
  }

  // Workers

  protected forget(): void {
    this.#loaded = undefined;
    this.#tasks.forget();
    this.#reservations.noteRemoval();
  }

  async registerWorker(
    register: WorkerRegister,
    caller: Principal,
    ipAddress: string,
  ): Promise<Result<{ key: string; worker: Worker; secret: string | null; created: boolean }, Refusal>> {
    if (caller.role === "worker") {
      if (!this.#farm.fleet.get(caller.id)) return NO_WORKER;
      const patched = await this.patchWorker(caller.id, register, caller, ipAddress);
      return patched.ok ? ok({ ...this.#listed(caller.id), secret: null, created: false }) : patched;
    }
    const { role } = caller;
    if (role !== "join" && role !== "admin") return refuse("forbidden", "a worker registers with a join token");
    const secret = newSecret("worker");
    const sha256 = await sha256Hex(secret);
    const nowMs = Date.now();
    const added = this.whole((): Result<number, Refusal> => {
      const tags = role === "join" ? this.tokens.takeUse(caller.id, nowMs) : ok([]);
      return tags.ok ? ok(this.#farm.fleet.add(register, ipAddress, tags.value, sha256, nowMs).id) : tags;
    });
    if (!added.ok) return added;
    this.#live.worker(added.value);
    return ok({ ...this.#listed(added.value), secret, created: true });
  }

  async listWorkers(): Promise<Record<string, Worker>> {
    return this.#farm.fleet.list(Date.now());
  }

  async getWorker(id: number): Promise<Result<WorkerInfo, Refusal>> {
    if (!this.#farm.fleet.get(id)) return NO_WORKER;
    return ok(this.#farm.fleet.view(id, Date.now()));
  }

  async patchWorker(
    id: number,
    patch: WorkerPatch,
    caller: Principal,
    ipAddress: string,
  ): Promise<Result<WorkerPatched, Refusal>> {
    const { fleet, dispatcher } = this.#farm;
    if (!fleet.get(id)) return NO_WORKER;
    const nowMs = Date.now();
    const parts = { fleet, dispatcher, sockets: this.#sockets };
    const patched = applyPatch(parts, id, patch, { principal: caller, ipAddress }, nowMs);
    this.#live.worker(id);
    await this.#settle(nowMs);
    return ok(patched);
  }

  async removeWorker(id: number): Promise<Result<null, Refusal>> {
    const { fleet, dispatcher } = this.#farm;
    if (!fleet.get(id)) return NO_WORKER;
    fleet.remove(id);
    dispatcher.forget(id);
    this.#sockets.close(id, CLOSE_REMOVED, "this worker has been removed");
    this.#live.worker(id);
    return ok(null);
  }

  async ableWorkers(needs: Needs): Promise<number> {
    return this.#farm.fleet.countAble(needs, needsSignature(needs), Date.now());
  }

  async pushCancel(cancels: { worker_id: number; task_id: number; lease_ids: string[] }[]): Promise<void> {
    for (const { worker_id, task_id, lease_ids } of cancels)
      this.#sockets.push(worker_id, { type: "cancel", task_id, lease_ids });
  }

  // Tasks

  async reserveTask(request: Submission): Promise<Result<Reservation, Refusal>> {
    const nowMs = Date.now();
    const reserved = this.whole(() => this.#reservations.reserve(request, nowMs));
    await this.#settle(nowMs);
    return reserved;
  }

  async report(report: TaskReport): Promise<ReportReply> {
    const nowMs = Date.now();
    const { live, fleet, dispatcher } = this.#farm;
    const change = this.whole(() => {
      const change = this.#tasks.apply(report, nowMs);
      if (!change) return null;
      this.webhooks.changed(change, nowMs);
      return { ...change, counted: this.#totals.add(change.did, nowMs) };
    });
    if (change) {
      dispatcher.changed(change, live.apply(change), nowMs);
      this.#live.changed(change, change.counted);
    }
    if (change?.after === null) this.#reservations.noteRemoval();
    await this.#settle(nowMs);
    const able = fleet.countAble(report.needs, needsSignature(report.needs), nowMs);
    return { able_workers: able, watched: this.#live.feed.count > 0 };
  }

  async listTasks(query: TaskQuery): Promise<Result<{ tasks: TaskSummary[]; cursor: string | null }, Refusal>> {
    return this.#tasks.page(query);
  }

  async whyTask(id: number, waitsFor: number[]): Promise<Result<TaskWhy, Refusal>> {
    return lookAtTask(this.#farm, id, waitsFor, Date.now());
  }

  async whyWorker(id: number): Promise<Result<WorkerWhy, Refusal>> {
    return lookAtWorker(this.#farm, id, Date.now());
  }

  async metrics(): Promise<FarmMetrics> {
    return measure(this.#farm, this.#totals, this.#live.feed.count, Date.now());
  }

  /** What a restore ends with. */
  protected async comingToLife(): Promise<() => Result<null, never>> {
    return () => {
      endRestore(this.ctx.storage);
      this.forget();
      return ok(null);
    };
  }

  /** Upgrades that the Worker has let in: a worker's of `/workers/<id>/socket`, and those of pages that watch. */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket")
      return problemResponse({ code: "upgrade_required", detail: "This is a WebSocket." });
    if (request.headers.has(VIEWER_HEADER)) {
      const opened = this.#live.open(request);
      await this.#arm(Date.now());
      return opened;
    }
    const { fleet, dispatcher } = this.#farm;
    const id = Number(request.headers.get(WORKER_ID_HEADER));
    if (!fleet.get(id)) return problemResponse(NO_WORKER.error);
    const nowMs = Date.now();
    const { 0: client, 1: server } = new WebSocketPair();
    this.#sockets.open(id, server, nowMs);
    noteConnection({ fleet, dispatcher, sockets: this.#sockets }, id, nowMs);
    this.#live.worker(id);
    await this.#settle(nowMs);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Pings never get here, and agents say everything else over HTTP: whatever this is, it is no reason to hang up. */
  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    this.#closed(socket);
    closeQuietly(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#closed(socket);
  }

  #closed(socket: WebSocket): void {
    if (this.#live.feed.closed(socket)) return;
    const worker = this.#sockets.closed(socket);
    if (worker !== undefined) this.#live.worker(worker);
  }

  override async alarm(): Promise<void> {
    await this.#clock.rang(async (nowMs) => {
      this.#reservations.sweep(nowMs);
      this.#farm.dispatcher.look(nowMs);
      this.#live.lookRound(nowMs);
      this.ctx.waitUntil(this.webhooks.send(nowMs).then(() => this.#arm(Date.now())));
      await this.#settle(nowMs);
    });
  }

  /** What every event ends with: repeat calls that failed, and see to the alarm. */
  async #settle(nowMs: number): Promise<void> {
    this.#outranker.retry(nowMs);
    await this.#arm(nowMs);
  }

  async #arm(nowMs: number): Promise<void> {
    const wakeMs = nextWake(
      {
        lookAgainMs: this.#loaded?.dispatcher.lookAgainMs ?? null,
        owedMs: this.#outranker.retryMs,
        oldestKeptMs: this.#reservations.oldestKeptMs(),
        lookRoundMs: this.#live.lookMs,
        deliveryMs: this.webhooks.dueMs,
      },
      nowMs,
    );
    await this.#clock.arm(wakeMs, nowMs);
  }

  #listed(id: number): { key: string; worker: Worker } {
    const { fleet } = this.#farm;
    return { key: fleet.keys().get(id)!, worker: fleet.view(id, Date.now()) };
  }
}

const NO_WORKER = refuse("not_found", "there is no such worker");
