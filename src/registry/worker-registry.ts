/**
 * The registry: one object for the whole farm. It knows every worker and every task's latest
 * report, gives a free worker its task, and is asked once per task switch, never per frame.
 *
 * This class lists what the object is asked (`RegistryRpc`) and wires its parts. The services hold
 * what the calls do, the stores hold SQL, and the rules are pure: `dispatch.ts`, `presence.ts`,
 * `epoch.ts`, `idle-workers.ts`, `tokens.ts`.
 */
import { DurableObject } from "cloudflare:workers";
import { ok, type Result } from "../lib/result.ts";
import { closeQuietly } from "../live/close.ts";
import { VIEWER_HEADER } from "../live/viewer.ts";
import { AlarmScheduler } from "../platform/alarm.ts";
import { BackupService } from "../platform/backup-service.ts";
import { problemResponse } from "../platform/problem-response.ts";
import type { BlenderBuild, BlenderNeed, BuildPlatform } from "../protocol/blender-build.ts";
import type { BackupPage, BackupRefusal, BackupRow, RestoreAbandoned } from "../protocol/backup.ts";
import type { Needs } from "../protocol/needs.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { ProgramRecord, ProgramReport, ProgramReported } from "../protocol/program.ts";
import type { FarmRetention } from "../protocol/retention.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";
import type { Delivery, Webhook, WebhookCreate, WebhookCreated } from "../protocol/webhook.ts";
import type { TaskWhy, WorkerWhy } from "../protocol/why.ts";
import {
  INSTANCE_HEADER,
  type Worker,
  type WorkerInfo,
  type WorkerPatch,
  type WorkerPatched,
  type WorkerRegister,
} from "../protocol/worker.ts";
import type { Env } from "../rpc/env.ts";
import {
  WORKER_ADDRESS_HEADER,
  WORKER_ID_HEADER,
  type AboutTask,
  type BuildArchives,
  type ExpiredTasks,
  type FarmMetrics,
  type LargestQuery,
  type OverdueTask,
  type RegistryRpc,
  type ReportReply,
  type Reservation,
  type StoppedWorker,
  type StorageFigures,
  type TaskPage,
  type TaskQuery,
  type TaskReport,
  type UnseenRemoved,
  type WokenTask,
} from "../rpc/registry.ts";
import { AdminService } from "./admin-service.ts";
import { BlenderBuildService } from "./blender-build-service.ts";
import { abandonRestore, checkRestoring, DERIVED_TABLES, endRestore, startRestore } from "./restore.ts";
import { openContext, type RegistryContext } from "./context.ts";
import { needsSignature } from "./dispatch.ts";
import { blenderNeeds, explainTask, explainWorker, farmMetrics } from "./insight.ts";
import { ProgramService } from "./program-service.ts";
import type { SubmissionIdentity } from "./reservation-store.ts";
import { largestTasks, storageFigures, uncountedTasks } from "./storage-figures.ts";
import { spareSigningKey } from "./spare-key.ts";
import { TaskService } from "./task-service.ts";
import { WorkerService, type RegisteredWorker } from "./worker-service.ts";

export class WorkerRegistry extends DurableObject<Env> implements RegistryRpc {
  readonly #context: RegistryContext;
  readonly #admin: AdminService;
  readonly #workers: WorkerService;
  readonly #programs: ProgramService;
  readonly #tasks: TaskService;
  readonly #builds: BlenderBuildService;
  readonly #backup: BackupService;
  readonly #alarm: AlarmScheduler;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const context = openContext(ctx, env, () => this.#alarm.arm());
    this.#context = context;
    this.#alarm = new AlarmScheduler(
      ctx,
      { at: "registry" },
      {
        rescan: () => context.rescanMs,
        preempt: () => context.preemptor.retryMs,
        sweep: () => context.reservations.sweepMs,
        presence: () => context.farmLive.presenceSweepMs,
        delivery: () => context.webhooks.dueMs,
        marker: () => context.marker.retryMs,
      },
    );
    this.#admin = new AdminService(context);
    this.#workers = new WorkerService(context);
    this.#programs = new ProgramService(context);
    this.#tasks = new TaskService(context);
    this.#builds = new BlenderBuildService(context);
    this.#backup = new BackupService({
      get storage() {
        return context.storage;
      },
      notBackedUp: DERIVED_TABLES,
      version: () => 0,
      acceptsRestore: () => true,
      activate: async () => () => {
        endRestore(context.storage);
        context.forget();
        context.settings.restored(Date.now());
        return ok(null);
      },
      inTransaction: (work) => context.inTransaction(work),
    });
    // The marker may have been lost, or the work may be older than the marker.
    const mark = async (): Promise<void> => {
      if (context.isOpen()) await context.marker.set(true);
    };
    ctx.waitUntil(this.#alarm.attempt("open marker", mark));
  }

  // Who calls

  async authenticate(secretSha256: string): Promise<Principal | null> {
    const holder = this.#context.tokens.holderOfSecret(secretSha256, Date.now());
    if (holder !== undefined) return this.#settled(holder);
    const worker = this.#context.workers.idOfSecret(secretSha256);
    return this.#settled(worker === undefined ? null : { role: "worker", id: worker, name: `worker:${worker}` });
  }

  async secretMarks(): Promise<string> {
    return this.#settled(this.#context.tokens.secretMarks());
  }

  async spareSigningKey(): Promise<string> {
    return this.#settled(spareSigningKey(this.#context.storage));
  }

  async principalOfToken(id: number): Promise<Principal | null> {
    return this.#settled(this.#context.tokens.holderOf(id, Date.now()));
  }

  async livingTokens(ids: number[]): Promise<number[]> {
    return this.#settled(this.#context.tokens.living(ids, Date.now()));
  }

  // Workers

  async registerWorker(
    register: WorkerRegister,
    caller: Principal,
    ipAddress: string,
    instance: string | null = null,
    fetches?: BuildPlatform | null,
  ): Promise<Result<RegisteredWorker, Refusal>> {
    return this.#settled(await this.#workers.register(register, caller, ipAddress, instance, fetches));
  }

  async listWorkers(): Promise<Record<string, Worker>> {
    return this.#settled(this.#context.fleet.list(Date.now()));
  }

  async getWorker(id: number): Promise<Result<WorkerInfo, Refusal>> {
    return this.#settled(this.#workers.get(id));
  }

  async tasksOfWorker(id: number): Promise<number[]> {
    return this.#settled(this.#workers.tasksOf(id));
  }

  async patchWorker(
    id: number,
    patch: WorkerPatch,
    caller: Principal,
    ipAddress: string,
    instance: string | null = null,
    fetches?: BuildPlatform | null,
  ): Promise<Result<WorkerPatched, Refusal>> {
    return this.#settled(this.#workers.patch(id, patch, caller, ipAddress, instance, fetches));
  }

  async reportProgram(
    id: number,
    report: ProgramReport,
    served: ProgramRecord | null,
  ): Promise<Result<ProgramReported, Refusal>> {
    return this.#settled(this.#programs.report(id, report, served));
  }

  async stopWorker(id: number): Promise<Result<StoppedWorker, Refusal>> {
    return this.#settled(this.#workers.stopNow(id));
  }

  async removeWorker(id: number): Promise<Result<null, Refusal>> {
    return this.#settled(this.#workers.remove(id));
  }

  async removeUnseenWorkers(): Promise<UnseenRemoved> {
    return this.#settled(this.#workers.removeUnseen());
  }

  async workerNames(ids: number[]): Promise<Record<string, string>> {
    return this.#settled(this.#workers.names(ids));
  }

  async ableWorkers(needs: Needs): Promise<number> {
    return this.#settled(this.#context.fleet.countAble(needs, needsSignature(needs), Date.now()));
  }

  async pushCancel(cancels: { worker_id: number; task_id: number; lease_ids: string[] }[]): Promise<void> {
    for (const { worker_id, task_id, lease_ids } of cancels)
      this.#context.sockets.push(worker_id, { type: "cancel", task_id, lease_ids });
    this.#settle();
  }

  // Builds of Blender

  async listBuilds(): Promise<BlenderBuild[]> {
    return this.#settled([...this.#context.builds.list()]);
  }

  async blenderNeeds(): Promise<BlenderNeed[]> {
    return this.#settled(blenderNeeds(this.#context));
  }

  async putBuild(build: BlenderBuild): Promise<Result<BuildArchives, Refusal>> {
    return this.#settled(this.#builds.put(build));
  }

  async removeBuild(version: string, platform: BuildPlatform): Promise<Result<BuildArchives, Refusal>> {
    return this.#settled(this.#builds.remove(version, platform));
  }

  // Tasks

  async reserveTask(request: SubmissionIdentity): Promise<Result<Reservation, Refusal>> {
    return this.#settled(this.#tasks.reserve(request));
  }

  async report(report: TaskReport): Promise<ReportReply> {
    this.#tasks.report(report);
    this.#settle();
    return this.#tasks.replyTo(report);
  }

  async listTasks(query: TaskQuery): Promise<Result<TaskPage, Refusal>> {
    return this.#settled(this.#context.taskList.page(query));
  }

  async whyTask(id: number, waitsFor: number[], about: AboutTask = {}): Promise<Result<TaskWhy, Refusal>> {
    return this.#settled(explainTask(this.#context, id, waitsFor, about, Date.now()));
  }

  async whyWorker(id: number): Promise<Result<WorkerWhy, Refusal>> {
    return this.#settled(explainWorker(this.#context, id, Date.now()));
  }

  async metrics(): Promise<FarmMetrics> {
    return this.#settled(farmMetrics(this.#context, Date.now()));
  }

  async overdueTasks(): Promise<OverdueTask[]> {
    const context = this.#context;
    // When an alarm was lost, nothing else wakes idle workers for what waits.
    if (context.tasks.anyClaimable()) await this.#alarm.job("rescan", () => context.dispatcher.rescan(Date.now()));
    if (!context.isOpen()) await context.marker.set(false);
    return this.#settled(this.#tasks.overdue());
  }

  async storage(owner: string | null): Promise<StorageFigures> {
    return this.#settled(storageFigures(this.#context.storage.sql, owner));
  }

  async largestTasks(query: LargestQuery): Promise<Result<{ tasks: TaskSummary[]; cursor: string | null }, Refusal>> {
    return this.#settled(largestTasks(this.#context.storage.sql, query, this.#context.settings.retention()));
  }

  async uncountedTasks(): Promise<number[]> {
    return this.#settled(uncountedTasks(this.#context.storage.sql));
  }

  async tasksWoken(tasks: WokenTask[]): Promise<void> {
    this.#tasks.woken(tasks);
    this.#settle();
  }

  async taskIds(after: number, limit: number): Promise<Result<number[], Refusal>> {
    return this.#settled(this.#tasks.ids(after, limit));
  }

  async tasksNotThere(ids: number[]): Promise<void> {
    this.#tasks.notThere(ids);
    this.#settle();
  }

  // Administration

  async createToken(create: TokenCreate): Promise<{ token: Token; secret: string }> {
    return this.#settled(await this.#admin.createToken(create));
  }

  async listTokens(): Promise<Token[]> {
    return this.#settled(this.#context.tokens.list());
  }

  async revokeToken(id: number): Promise<Result<Token, Refusal>> {
    return this.#settled(this.#admin.revokeToken(id));
  }

  async listSettings(): Promise<Record<string, unknown>> {
    return this.#settled(this.#context.settings.list());
  }

  async listPresets(): Promise<string[]> {
    return this.#settled(this.#context.settings.presets());
  }

  async getSetting(name: string): Promise<Result<unknown, Refusal>> {
    return this.#settled(this.#admin.getSetting(name));
  }

  async setSettings(values: Record<string, unknown>): Promise<Result<null, Refusal>> {
    return this.#settled(this.#admin.setSettings(values));
  }

  async retention(): Promise<FarmRetention> {
    return this.#settled(this.#context.settings.retention());
  }

  async expiredTasks(after: number): Promise<ExpiredTasks> {
    return this.#settled(this.#tasks.expired(after));
  }

  async createWebhook(create: WebhookCreate): Promise<WebhookCreated> {
    return this.#settled(await this.#admin.createWebhook(create));
  }

  async listWebhooks(): Promise<Webhook[]> {
    return this.#settled(this.#context.webhooks.store.list());
  }

  async removeWebhook(id: number): Promise<Result<null, Refusal>> {
    return this.#settled(this.#admin.removeWebhook(id));
  }

  async listDeliveries(id: number): Promise<Result<Delivery[], Refusal>> {
    return this.#settled(this.#admin.listDeliveries(id));
  }

  // Backup and restore

  async beginRestore(backup: string): Promise<Result<null, Refusal>> {
    return this.#settled(startRestore(this.#context.storage, backup));
  }

  async abandonRestore(): Promise<Result<RestoreAbandoned, Refusal>> {
    return this.#settled(this.#context.inTransaction(() => abandonRestore(this.#context.storage)));
  }

  async isRestoring(backup: string, task = 0): Promise<Result<null, Refusal>> {
    const restoring = checkRestoring(this.#context.storage, backup);
    if (restoring.ok && task > 0) this.#tasks.expect(task);
    return this.#settled(restoring);
  }

  async backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>> {
    return this.#settled(this.#backup.page(cursor));
  }

  async restoreRows(rows: BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>> {
    return this.#settled(await this.#backup.restore(rows, last));
  }

  // Sockets

  /**
   * Upgrades that the Worker has let in: a worker's of `/workers/<id>/socket`, and those of pages
   * that watch.
   */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket")
      return problemResponse({ code: "upgrade_required", detail: "This is a WebSocket." });
    if (request.headers.has(VIEWER_HEADER)) {
      const opened = this.#context.farmLive.open(request);
      this.#alarm.arm();
      return opened;
    }
    const { headers } = request;
    const client = this.#workers.connect(
      Number(headers.get(WORKER_ID_HEADER)),
      headers.get(INSTANCE_HEADER),
      headers.get(WORKER_ADDRESS_HEADER) ?? "",
    );
    if (!client.ok) return problemResponse(client.error);
    this.#settle();
    return new Response(null, { status: 101, webSocket: client.value });
  }

  /**
   * The runtime answers pings, and agents say everything else over HTTP: an unexpected message is
   * ignored.
   */
  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    this.#closed(socket);
    closeQuietly(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#closed(socket);
  }

  #closed(socket: WebSocket): void {
    const { farmLive, sockets } = this.#context;
    if (farmLive.feed.closed(socket)) return;
    const worker = sockets.closed(socket);
    if (worker !== undefined) this.#workers.disconnected(worker);
  }

  // The alarm

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#alarm.ring(info?.retryCount ?? 0, () => this.#doWhatIsDue());
  }

  /** The work of the alarm. Each job by itself: one that fails must not hold back the others. */
  async #doWhatIsDue(): Promise<void> {
    const context = this.#context;
    const nowMs = Date.now();
    await this.#alarm.job("sweep", () => context.reservations.sweep(nowMs));
    await this.#alarm.job("rescan", () => context.dispatcher.rescan(nowMs));
    await this.#alarm.job("presence", () => context.farmLive.presenceSweep(nowMs));
    await this.#alarm.job("preempt", () => context.preemptor.retry(nowMs));
    await this.#alarm.job("open marker", () => context.marker.repair(context.isOpen()));
    this.ctx.waitUntil(context.webhooks.send(nowMs, () => this.#alarm.arm()).then(() => this.#alarm.arm()));
  }

  /**
   * The end of every call, also of one that reads: repeat calls that failed, and look after the
   * alarm.
   */
  #settle(): void {
    this.#context.preemptor.retry(Date.now());
    this.#alarm.arm();
  }

  #settled<T>(answer: T): T {
    this.#settle();
    return answer;
  }
}
