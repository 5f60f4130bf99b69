/**
 * The registry: one object for the whole farm. It knows every worker and every task's latest report, gives a free worker its
 * task, and is asked once per task switch, never per frame.
 *
 * A thin shell: rules are in `dispatch.ts`, `presence.ts`, `epoch.ts`, `wake.ts`, `tokens.ts` and `setting-rules.ts`, rows in the
 * stores. Everything in memory is rebuilt from rows and sockets, so it may be evicted between any two calls.
 */
import { problemResponse } from "../http/problems.ts";
import { closeQuietly } from "../live/close.ts";
import { BackedUpObject } from "../platform/backed-up.ts";
import type { Env } from "../platform/env.ts";
import { ok, type Result } from "../platform/result.ts";
import { newSecret, sha256Hex } from "../platform/signing.ts";
import { migrate } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";
import type { Worker, WorkerInfo, WorkerPatch, WorkerPatched, WorkerRegister } from "../protocol/worker.ts";
import type { Needs } from "../task/rpc.ts";
import { beginRestore, DERIVED_TABLES, endRestore, isRestoring } from "./backup.ts";
import { needsSignature } from "./dispatch.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Fleet } from "./fleet.ts";
import { LiveLeases } from "./live-leases.ts";
import { Outranker } from "./outranker.ts";
import type { RegistryRpc, ReportReply, Reservation, TaskQuery, TaskReport } from "./rpc.ts";
import { REGISTRY_SCHEMA } from "./schema.ts";
import { SettingStore } from "./setting-store.ts";
import { CLOSE_REMOVED, Sockets } from "./sockets.ts";
import { ReservationStore, type Submission } from "./reservation-store.ts";
import { TaskStore } from "./task-store.ts";
import { TokenStore } from "./token-store.ts";
import { principalOf, whyDead } from "./tokens.ts";
import { nextWake } from "./wake.ts";
import { applyPatch } from "./worker-patch.ts";
import { WorkerStore } from "./worker-store.ts";

/** The Worker names the authenticated worker of a socket in this header. */
const WORKER_ID_HEADER = "Tablao-Worker-Id";
/** A handler that failed is tried again this much later: the alarm chain never ends with an error. */
const ALARM_RETRY_MS = 60_000;

/** What is kept in memory. */
interface Farm {
  live: LiveLeases;
  fleet: Fleet;
  dispatcher: Dispatcher;
}

export class WorkerRegistry extends BackedUpObject implements RegistryRpc {
  protected readonly notBackedUp = DERIVED_TABLES;
  readonly #tokens: TokenStore;
  readonly #workers: WorkerStore;
  readonly #tasks: TaskStore;
  readonly #reservations: ReservationStore;
  readonly #settings: SettingStore;
  readonly #sockets: Sockets;
  readonly #outranker: Outranker;
  #loaded: Farm | undefined;
  /** When the alarm is set for, as far as this instance knows; it asks once. */
  #armedMs: number | null | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, REGISTRY_SCHEMA);
    const { sql } = ctx.storage;
    this.#tokens = new TokenStore(sql);
    this.#workers = new WorkerStore(sql);
    this.#tasks = new TaskStore(sql);
    this.#reservations = new ReservationStore(sql);
    this.#settings = new SettingStore(sql);
    this.#sockets = new Sockets(ctx);
    this.#outranker = new Outranker(
      env,
      (work) => ctx.waitUntil(work),
      () => this.#arm(Date.now()),
    );
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
      this.#loaded = { live, fleet, dispatcher };
    }
    return this.#loaded;
  }

  // Tokens

  async authenticate(secretSha256: string): Promise<Principal | null> {
    const nowMs = Date.now();
    const token = this.#tokens.bySecret(secretSha256);
    if (token) {
      if (whyDead(token, nowMs) !== null) return null;
      this.#tokens.noteUse(token, nowMs);
      return principalOf(token);
    }
    const worker = this.#workers.idOfSecret(secretSha256);
    return worker === undefined ? null : { role: "worker", id: worker, name: `worker:${worker}` };
  }

  async principalOfToken(id: number): Promise<Principal | null> {
    return this.#tokens.holderOf(id, Date.now());
  }

  async livingTokens(ids: number[]): Promise<number[]> {
    return ids.filter((id) => this.#tokens.holderOf(id, Date.now()) !== null);
  }

  async createToken(create: TokenCreate): Promise<{ token: Token; secret: string }> {
    const secret = newSecret(create.role);
    const sha256 = await sha256Hex(secret);
    return { token: this.#tokens.create(create, sha256, Date.now()), secret };
  }

  async listTokens(): Promise<Token[]> {
    return this.#tokens.list();
  }

  async revokeToken(id: number): Promise<Result<Token, Refusal>> {
    const token = this.#tokens.revoke(id);
    return token ? ok(token) : refuse("not_found", "there is no such token");
  }

  // Workers

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
    const added = this.ctx.storage.transactionSync((): Result<number, Refusal> => {
      const tags = role === "join" ? this.#tokens.takeUse(caller.id, nowMs) : ok([]);
      return tags.ok ? ok(this.#farm.fleet.add(register, ipAddress, tags.value, sha256, nowMs).id) : tags;
    });
    return added.ok ? ok({ ...this.#listed(added.value), secret, created: true }) : added;
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
    await this.#settle(nowMs);
    return ok(patched);
  }

  async removeWorker(id: number): Promise<Result<null, Refusal>> {
    const { fleet, dispatcher } = this.#farm;
    if (!fleet.get(id)) return NO_WORKER;
    fleet.remove(id);
    dispatcher.forget(id);
    this.#sockets.close(id, CLOSE_REMOVED, "this worker has been removed");
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
    const reserved = this.ctx.storage.transactionSync(() => this.#reservations.reserve(request, nowMs));
    await this.#settle(nowMs);
    return reserved;
  }

  async report(report: TaskReport): Promise<ReportReply> {
    const nowMs = Date.now();
    const { live, fleet, dispatcher } = this.#farm;
    const change = this.ctx.storage.transactionSync(() => this.#tasks.apply(report, nowMs));
    if (change) dispatcher.changed(change, live.apply(change), nowMs);
    if (change?.after === null) this.#reservations.noteRemoval();
    await this.#settle(nowMs);
    return { able_workers: fleet.countAble(report.needs, needsSignature(report.needs), nowMs) };
  }

  async listTasks(query: TaskQuery): Promise<Result<{ tasks: TaskSummary[]; cursor: string | null }, Refusal>> {
    return this.#tasks.page(query);
  }

  // Settings

  async listSettings(): Promise<Record<string, unknown>> {
    return this.#settings.list();
  }

  async listPresets(): Promise<string[]> {
    return this.#settings.presets();
  }

  async getSetting(name: string): Promise<Result<unknown, Refusal>> {
    const value = this.#settings.get(name);
    return value === undefined ? refuse("not_found", `there is no setting '${name}'`) : ok(value);
  }

  async setSettings(values: Record<string, unknown>): Promise<Result<null, Refusal>> {
    return this.ctx.storage.transactionSync(() => this.#settings.update(values));
  }

  // Backup and restore

  protected backupVersion = (): number => 0;
  protected takesRows = (): boolean => true;

  async beginRestore(backup: string): Promise<Result<null, Refusal>> {
    return beginRestore(this.ctx.storage, backup);
  }

  async isRestoring(backup: string): Promise<Result<null, Refusal>> {
    return isRestoring(this.ctx.storage, backup);
  }

  protected async restored(): Promise<Result<null, never>> {
    endRestore(this.ctx.storage);
    this.#loaded = undefined;
    this.#reservations.noteRemoval();
    return ok(null);
  }

  // Sockets and the alarm

  /** The upgrade of `/workers/<id>/socket`; the Worker has authenticated the worker that it names. */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket")
      return problemResponse({ code: "upgrade_required", detail: "This is a WebSocket." });
    const { fleet, dispatcher } = this.#farm;
    const id = Number(request.headers.get(WORKER_ID_HEADER));
    if (!fleet.get(id)) return problemResponse(NO_WORKER.error);
    const nowMs = Date.now();
    const { 0: client, 1: server } = new WebSocketPair();
    this.#sockets.open(id, server, nowMs);
    fleet.update(id, {}, null, { contactMs: nowMs, leftMs: null });
    fleet.flush(id, nowMs);
    if (fleet.takesWork(id)) dispatcher.greet(id, nowMs);
    else this.#sockets.push(id, { type: "drain" });
    await this.#settle(nowMs);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Pings never get here, and agents say everything else over HTTP: whatever this is, it is no reason to hang up. */
  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    this.#sockets.closed(socket);
    closeQuietly(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#sockets.closed(socket);
  }

  override async alarm(): Promise<void> {
    this.#armedMs = null;
    const nowMs = Date.now();
    try {
      this.#reservations.sweep(nowMs);
      this.#farm.dispatcher.look(nowMs);
      await this.#settle(nowMs);
    } catch (error) {
      console.error("the registry's alarm failed", error);
      this.#armedMs = nowMs + ALARM_RETRY_MS;
      await this.ctx.storage.setAlarm(this.#armedMs);
    }
  }

  /** What every event ends with: repeat calls that failed, and see to the alarm. */
  async #settle(nowMs: number): Promise<void> {
    this.#outranker.retry(nowMs);
    await this.#arm(nowMs);
  }

  /** Set the alarm if it is not set or set too late. One that is due already counts as not set: it may have been lost. */
  async #arm(nowMs: number): Promise<void> {
    const lookAgainMs = this.#loaded?.dispatcher.lookAgainMs ?? null;
    const wakeMs = nextWake(
      { lookAgainMs, owedMs: this.#outranker.retryMs, oldestKeptMs: this.#reservations.oldestKeptMs() },
      nowMs,
    );
    if (wakeMs === null) return;
    if (this.#armedMs === undefined) this.#armedMs = await this.ctx.storage.getAlarm();
    if (this.#armedMs !== null && this.#armedMs > nowMs && this.#armedMs <= wakeMs) return;
    this.#armedMs = wakeMs;
    await this.ctx.storage.setAlarm(wakeMs);
  }

  #listed(id: number): { key: string; worker: Worker } {
    const { fleet } = this.#farm;
    return { key: fleet.keys().get(id)!, worker: fleet.view(id, Date.now()) };
  }
}

const NO_WORKER = refuse("not_found", "there is no such worker");
