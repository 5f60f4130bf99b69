/**
 * One task, one Durable Object. A thin shell: it connects the parts and answers the calls of
 * `TaskRpc`. The rules are in `rules/`, the SQL in `storage/`, what is shown in `views/`. Every
 * call that changes the task is one synchronous transition (`Transactor`). What the object owes to
 * others is deferred work: it is in the record, and the alarm does it; rendering waits for none of
 * it (P7).
 */
import { DurableObject } from "cloudflare:workers";
import { problemResponse } from "../platform/problem-response.ts";
import { closeQuietly } from "../live/close.ts";
import { inputsOf } from "../compilers/index.ts";
import { AlarmScheduler } from "../platform/alarm.ts";
import { BackupService } from "../platform/backup-service.ts";
import type { BackupPage, BackupRefusal } from "../protocol/backup.ts";
import type { Env } from "../rpc/env.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { BackupRow } from "../protocol/backup.ts";
import type { FileList, ReceiptClaims } from "../protocol/file.ts";
import { CLOSE_GONE, CLOSE_SIGNED_OUT, type Timings } from "../protocol/live.ts";
import type { Claim, Complete, Fail, Release, Renew } from "../protocol/lease.ts";
import { isEnded } from "../protocol/constants.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { whyKept, type RemovalTerms } from "../protocol/retention.ts";
import type { Dependency, Frame, LogPage, Task, TaskPatch } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import { DeferredWork } from "./deferred-work.ts";
import { LeaseService } from "./lease-service.ts";
import { TaskLive } from "./live.ts";
import { applyDependencyProgress } from "./rules/dependencies.ts";
import { take } from "./rules/frame-set.ts";
import { takeProgress } from "./rules/input-task.ts";
import { preempt } from "./rules/lease-calls.ts";
import { lastGrantEndMs, noteTask, statusOf, termsOf, type Transition } from "./rules/ledger.ts";
import { amend } from "./rules/patch.ts";
import { dueOf, nextWakeMs } from "./rules/next-alarm.ts";
import { newRecord, type LoadedTask, type TaskRecord } from "./rules/record.ts";
import { continueTask, definitionIn } from "./rules/restore.ts";
import { noteDownload, retained } from "./rules/retention.ts";
import { cancelLeases, endLeasesOfWorker, expire } from "./rules/settle.ts";
import { changed } from "./rules/transition.ts";
import type {
  CompiledDefinition,
  DependencyProgress,
  UnsignedRenewed,
  FilesQuery,
  FramesQuery,
  InputsNamed,
  UnsignedClaimed,
  UnsignedSettled,
  Verified,
  TaskDefinition,
  TaskRpc,
  WorkerRef,
} from "../rpc/task.ts";
import { TaskLog } from "./storage/log-store.ts";
import { TaskStore } from "./storage/task-store.ts";
import type { TaskContext } from "./task-context.ts";
import { NOT_FOUND, Transactor } from "./transactor.ts";
import { readFile, readFiles, readFrames, readTimings } from "./views/queries.ts";
import { taskView } from "./views/task.ts";

/** Failed frames whose logs are looked after: each takes a look-up whenever the log is cut down. */
const MAX_FAILED_LOGS = 200;

/** How often a lease is looked for while its worker may give it back by itself. */
const REVOKE_LOOK_MS = 100;
/** Why the leases of a stopped worker end, for the history. */
const STOPPED = "the worker was stopped";

type Answer<T> = Promise<Result<T, Refusal>>;

export class TaskDO extends DurableObject<Env> implements TaskRpc {
  readonly #context: TaskContext;
  readonly #store: TaskStore;
  readonly #log: TaskLog;
  readonly #transactor: Transactor;
  readonly #live: TaskLive;
  readonly #leases: LeaseService;
  readonly #deferred: DeferredWork;
  readonly #backup: BackupService;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new TaskStore(ctx.storage);
    this.#log = new TaskLog(ctx.storage.sql, () => this.#failedAttempts());
    this.#transactor = new Transactor(ctx.storage, this.#store);
    this.#context = {
      ctx,
      env,
      store: this.#store,
      log: this.#log,
      transactor: this.#transactor,
      alarm: new AlarmScheduler(ctx, { at: "task", task: Number(ctx.id.name) }, { task: () => this.#nextWakeMs() }),
      progress: new Map(),
    };
    const live = new TaskLive(this.#context);
    this.#live = live;
    this.#leases = new LeaseService(this.#context, live);
    this.#deferred = new DeferredWork(this.#context);
    this.#transactor.connect([live, this.#deferred], [this.#log, live, this.#deferred]);
    this.#backup = new BackupService({
      storage: ctx.storage,
      // When a backup reads the tables, the others have all that the write-ahead log holds: see
      // `#backupVersion`.
      notBackedUp: ["journal"],
      version: () => this.#backupVersion(),
      acceptsRestore: () => this.#acceptsRestore(),
      activate: (rows) => this.#activate(rows),
      inTransaction: (work) => this.#transactor.inTransaction(work),
    });
  }

  /** The attempts under which frames failed that were not rendered since; of the first frames, if there are many. */
  #failedAttempts(): Set<number> {
    const retried = this.#transactor.uncommitted()?.record.ledger.retry ?? [];
    const failed = [...this.#store.failedFrames().slice(0, MAX_FAILED_LOGS), ...take(retried, MAX_FAILED_LOGS)];
    const attempts = failed.map((frame) => this.#store.frameTable.get(frame)?.attempt);
    return new Set(attempts.filter((attempt) => attempt !== undefined));
  }

  /** When the object must wake next; null while it holds no task, or nothing is due. */
  #nextWakeMs(): number | null {
    const task = this.#transactor.committed;
    return task && nextWakeMs(dueOf(task.record));
  }

  /**
   * The task as every read sees it; null when there is none, or it is being removed. A read also
   * looks after the alarm, because nothing else may ever call this object again (P13).
   */
  #present(): LoadedTask | null {
    const task = this.#transactor.present();
    this.#context.alarm.arm();
    return task;
  }

  async create(definition: TaskDefinition, actor: Principal): Answer<Task> {
    if (this.#transactor.committed) return await this.view();
    const watched = await this.#deferred.dependents.watch(definition);
    if (!watched.ok) return watched;
    // The same submission may have come a second time while the dependencies were asked.
    if (!this.#transactor.committed) this.#create(definition, watched.value, actor);
    await this.#deferred.report();
    return await this.view();
  }

  #create(definition: TaskDefinition, dependencies: readonly DependencyProgress[], actor: Principal): void {
    this.#transactor.inTransaction(() => {
      const record = newRecord(definition, Date.now());
      this.#store.migrate();
      this.#store.saveDefinition(definition);
      this.#store.checkpoint(record);
      this.#transactor.adopt({ definition, terms: termsOf(definition), record });
      this.#transactor.transact((t) => {
        for (const progress of dependencies) applyDependencyProgress(t, progress);
        noteTask(t, "submitted", actor.name);
        return changed(null);
      });
    });
  }

  async view(): Answer<Task> {
    const task = this.#present();
    return task ? ok(taskView(task, Date.now(), this.#context.progress)) : NOT_FOUND;
  }

  claim(worker: WorkerRef, claim: Claim): Answer<UnsignedClaimed> {
    return this.#leases.claim(worker, claim);
  }

  renew(worker: WorkerRef, leaseId: string, renew: Verified<Renew>): Answer<UnsignedRenewed> {
    return this.#leases.renew(worker, leaseId, renew);
  }

  complete(worker: WorkerRef, leaseId: string, complete: Verified<Complete>): Answer<UnsignedSettled> {
    return this.#leases.settle(worker, leaseId, complete, { verb: "complete" }, complete.next);
  }

  async fail(worker: WorkerRef, leaseId: string, fail: Verified<Fail>): Answer<UnsignedSettled> {
    if (!this.#transactor.uncommitted()) return NOT_FOUND;
    await this.#deferred.countAbleWorkers();
    return await this.#leases.fail(worker, leaseId, fail);
  }

  release(worker: WorkerRef, leaseId: string, release: Verified<Release>): Answer<UnsignedSettled> {
    return this.#leases.release(worker, leaseId, release);
  }

  async patch(patch: TaskPatch, actor: Principal, compiled: CompiledDefinition | null): Answer<null> {
    const present = this.#present();
    if (!present) return NOT_FOUND;
    const mayBegin = patch.status === "requeue" || patch.drop_dependency !== undefined;
    if (mayBegin && isEnded(statusOf(present.terms, present.record.ledger))) {
      const watched = await this.#deferred.dependents.watchAgain(present, patch.drop_dependency);
      // Of two that were deleted, each can be dropped; the task begins again without both.
      const isDropped = patch.status === undefined && !watched.ok && watched.error.code === "conflict";
      if (!watched.ok && !isDropped) return watched;
      if (!this.#present()) return NOT_FOUND;
    }
    const allFrames = { failedFrames: () => this.#store.failedFrames(), clear: () => this.#clearFrames() };
    return this.#transactor.transact((t, task) => {
      const definition = amend(t, allFrames, task.definition, patch, compiled, actor.name);
      if (!definition.ok) return definition;
      if (definition.value !== task.definition) {
        this.#store.saveDefinition(definition.value);
        task.definition = definition.value;
        task.terms = termsOf(definition.value);
      }
      return changed(null);
    }, true);
  }

  /**
   * Forget the entries of all frames. The frame table does not name the frames, so pages get a new
   * snapshot.
   */
  #clearFrames(): void {
    this.#store.clearPages();
    this.#live.reset();
  }

  async remove(actor: Principal): Answer<Task> {
    const view = await this.view();
    if (!view.ok) return view;
    this.#transactor.transact((t, { record }) => {
      beginRemoval(t, record, actor.name);
      return changed(null);
    });
    return await this.#removed(view);
  }

  /** The removal has begun: tell pages and the registry. */
  async #removed(view: Result<Task, Refusal>): Answer<Task> {
    this.#live.feed.close(CLOSE_GONE, "this task has been removed");
    await this.#deferred.report();
    return view;
  }

  async removeEnded(terms: RemovalTerms, actor: Principal): Answer<Task> {
    const view = await this.view();
    if (!view.ok) return view;
    const { id } = view.value;
    const whyNot = (t: Pick<Transition, "ledger" | "terms" | "nowMs">, task: LoadedTask, users: number[]) => {
      const state = { ...retained(task.definition, t.terms, task.record), leases: t.ledger.leases.size };
      return whyKept(state, terms, users, t.nowMs);
    };
    // Without asking the dependents first: most of what is refused is refused here.
    const { terms: frames, record } = this.#present()!;
    const early = whyNot({ terms: frames, ledger: record.ledger, nowMs: Date.now() }, this.#present()!, []);
    if (early !== null) return refuse("conflict", `task ${id} ${early}`);
    const dependents = await this.#deferred.dependents.users();
    if (!dependents.ok) return dependents;
    const { asked, users } = dependents.value;
    if (!this.#present()) return NOT_FOUND;
    const removed = this.#transactor.transact((t, task) => {
      expire(t);
      // Whoever has asked since then was told that this task is there.
      const why = whyNot(t, task, [...new Set([...users, ...this.#deferred.dependents.newSince(asked)])]);
      if (why !== null) return refuse("conflict", `task ${id} ${why}`);
      beginRemoval(t, task.record, actor.name);
      return changed(null);
    });
    return removed.ok ? await this.#removed(view) : removed;
  }

  async hasEnded(asker?: number): Promise<boolean | null> {
    const task = this.#present();
    if (task && asker !== undefined && task.definition.depends_on.every((one) => one.task !== asker)) return true;
    return task && isEnded(statusOf(task.terms, task.record.ledger));
  }

  async downloaded(filesVersion: string, actor: Principal): Answer<null> {
    if (!this.#present()) return NOT_FOUND;
    return this.#transactor.transact((t, { record }) => noteDownload(t, record.chores, filesVersion, actor.name));
  }

  async frames(query: FramesQuery): Answer<{ frames: Frame[]; cursor: string | null }> {
    const task = this.#present();
    return task ? readFrames({ ...task, ledger: task.record.ledger, table: this.#store.frameTable }, query) : NOT_FOUND;
  }

  async files(query: FilesQuery): Answer<FileList> {
    return this.#present() ? readFiles((from) => this.#store.entries(from), query) : NOT_FOUND;
  }

  async file(frame: number): Answer<ReceiptClaims & { frame: number }> {
    const task = this.#present();
    return task ? readFile(task, this.#store.frameTable, frame) : NOT_FOUND;
  }

  async preview(frame: number): Answer<ReceiptClaims & { frame: number }> {
    const task = this.#present();
    return task ? readFile(task, this.#store.frameTable, frame, "preview") : NOT_FOUND;
  }

  async timings(query: FilesQuery): Answer<Timings> {
    return this.#present() ? readTimings((from) => this.#store.entries(from), query) : NOT_FOUND;
  }

  async shareGeneration(): Promise<number | null> {
    const task = this.#present();
    return task && (task.record.shares ?? 0);
  }

  async revokeShares(): Answer<null> {
    if (!this.#present()) return NOT_FOUND;
    this.#live.feed.close(CLOSE_SIGNED_OUT, "the link has been revoked", ({ share }) => share !== null);
    return this.#transactor.transact((_t, { record }) => {
      record.shares = (record.shares ?? 0) + 1;
      return changed(null);
    });
  }

  async appendLog(workerId: number | null, attempt: number | null, text: string): Answer<null> {
    if (!this.#present()) return NOT_FOUND;
    this.#log.append(Date.now(), workerId, attempt, text);
    return ok(null);
  }

  async log(query: { after?: number; tail?: number; limit: number }): Answer<LogPage> {
    return this.#present() ? ok(this.#log.read(query, Date.now())) : NOT_FOUND;
  }

  async watch(dependent: number, mode: Dependency["frames"]): Answer<DependencyProgress> {
    const task = this.#present();
    if (!task) return NOT_FOUND;
    this.#deferred.dependents.add({ task: dependent, frames: mode, since_ms: Date.now() });
    return ok(this.#deferred.dependents.present(task, mode));
  }

  async dependencyMoved(progress: DependencyProgress): Promise<"taken" | "unknown" | "gone"> {
    if (!this.#transactor.committed) return "unknown";
    if (!this.#present()) return "gone";
    this.#transactor.transact((t) => {
      takeProgress(t, progress);
      return changed(null);
    });
    return "taken";
  }

  /**
   * Preempt the task: claims from before this epoch are sent back to the registry. The name is that
   * of the RPC method.
   */
  async outrank(epoch: number): Promise<void> {
    const task = this.#present();
    // The registry may say an epoch again: that must cost no report and no alarm.
    if (task && task.record.ledger.outranked < epoch) this.#transactor.transact((t) => preempt(t, epoch));
  }

  async revokeLeases(worker: number, epoch: number, graceMs: number): Promise<number> {
    await this.outrank(epoch);
    const untilMs = Date.now() + graceMs;
    while (this.#holdsLease(worker) && Date.now() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, REVOKE_LOOK_MS));
    if (!this.#holdsLease(worker)) {
      await this.#deferred.report();
      return 0;
    }
    const ended = this.#transactor.transact((t) => {
      expire(t);
      return changed(endLeasesOfWorker(t, worker, STOPPED));
    });
    await this.#deferred.report();
    return ended.ok ? ended.value : 0;
  }

  #holdsLease(worker: number): boolean {
    const leases = this.#present()?.record.ledger.leases;
    return leases !== undefined && [...leases].some((lease) => lease.worker === worker);
  }

  /** The upgrade of `/tasks/<id>/live`; the Worker has checked the viewer and the query. */
  override async fetch(request: Request): Promise<Response> {
    return this.#present() ? this.#live.open(request) : problemResponse(NOT_FOUND.error);
  }

  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    this.#live.feed.closed(socket);
    closeQuietly(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#live.feed.closed(socket);
  }

  async backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>> {
    return this.#backup.page(cursor);
  }

  async restoreRows(rows: BackupRow[], last: boolean, backup?: string): Promise<Result<null, BackupRefusal>> {
    if (backup !== undefined && this.#transactor.committed === null) this.#store.restoring(backup);
    return await this.#backup.restore(rows, last);
  }

  /**
   * Writes a checkpoint first when the write-ahead log is ahead of it, because the log is not
   * backed up.
   */
  #backupVersion(): number | null {
    const record = this.#present()?.record;
    if (record && !this.#store.isCheckpointed(record))
      this.#transactor.inTransaction(() => this.#store.checkpoint(record));
    return record?.ledger.version ?? null;
  }

  #acceptsRestore(): boolean {
    const empty = this.#transactor.committed === null;
    if (empty) this.#store.acceptRows();
    return empty;
  }

  /**
   * The task goes on under this manager: see `continueTask`. The tasks it waits for were restored
   * before it, or never will be.
   */
  async #activate(rows: readonly BackupRow[]): Promise<() => Result<null, BackupRefusal>> {
    const dependencies = await this.#deferred.dependents.watchExisting(definitionIn(rows));
    return () => {
      if (!this.#store.readable()) return err({ code: "invalid", detail: "are not those of a task" });
      this.#transactor.adopt(this.#transactor.load());
      this.#transactor.transact((t, { record }) => {
        record.chores.report_due_ms = t.nowMs;
        continueTask(t, dependencies);
        return changed(null);
      });
      return ok(null);
    };
  }

  async inputsNamed(): Promise<InputsNamed | null> {
    const definition = this.#present()?.definition;
    if (!definition) return null;
    const named = inputsOf(definition.type, definition.settings);
    const lists = named.filter(({ pieces }) => pieces);
    return { inputs: named.map(({ sha256 }) => sha256), lists: lists.map(({ sha256 }) => sha256) };
  }

  async nextWake(): Promise<number | null> {
    this.#context.alarm.arm();
    return this.#nextWakeMs();
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#context.alarm.ring(info?.retryCount ?? 0, () => this.#deferred.run());
  }
}

/** Stop what runs, and let the alarm delete the files and then the object. `actor`: who asked for it. */
function beginRemoval(t: Transition, record: TaskRecord, actor: string): void {
  cancelLeases(t, "deleted");
  t.ledger.canceled = true;
  noteTask(t, "deleted", actor);
  record.chores.remove = { due_ms: t.nowMs, until_ms: lastGrantEndMs(t) };
}
