/**
 * One task, one object: a thin shell around the pure rules. Every call is one synchronous transition (`HeldTask`): decide, write
 * one row or none. What an object owes others (history, reports, news, sweeps) is in its record as chores and is done by the alarm;
 * rendering waits for none of it (P7).
 */
import { DurableObject } from "cloudflare:workers";
import { callRegistry } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { closeQuietly } from "../live/close.ts";
import { BackupService } from "../platform/backup-service.ts";
import type { BackupPage, BackupRefusal } from "../protocol/backup.ts";
import type { Env } from "../rpc/env.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { BackupRow } from "../protocol/backup.ts";
import type { FileList, ReceiptClaims } from "../protocol/file.ts";
import { CLOSE_GONE, CLOSE_SIGNED_OUT, type Timings } from "../protocol/live.ts";
import type { Claim, Complete, Fail, Release, Renew } from "../protocol/lease.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { Dependency, Frame, LogPage, Task, TaskPatch } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import { TaskChores } from "./deferred-work.ts";
import { amend } from "./rules/patch.ts";
import { continueTask, definitionIn } from "./rules/restore.ts";
import { take as takeNews } from "./rules/dependencies.ts";
import { HeldTask, NOT_FOUND, type Loaded } from "./transactor.ts";
import { TaskLive } from "./live.ts";
import { readFile, readFiles, readFrames, readTimings } from "./views/queries.ts";
import { LeaseDesk } from "./lease-service.ts";
import { cancelLeases, grantsOverMs } from "./rules/settle.ts";
import { noteTask, termsOf } from "./rules/ledger.ts";
import { newRecord } from "./storage/record.ts";
import type {
  CompiledDefinition,
  DependencyProgress,
  Extended,
  FilesQuery,
  FramesQuery,
  Given,
  GivenNext,
  Proven,
  TaskDefinition,
  TaskRpc,
  WorkerRef,
} from "../rpc/task.ts";
import { TaskLog } from "./storage/log-store.ts";
import { TaskStore } from "./storage/task-store.ts";
import { taskOf } from "./views/task.ts";

type Outcome<T> = Result<T, Refusal>;

export class TaskDO extends DurableObject<Env> implements TaskRpc {
  readonly #store: TaskStore;
  readonly #log: TaskLog;
  readonly #chores: TaskChores;
  readonly #desk: LeaseDesk;
  readonly #live: TaskLive;
  readonly #held: HeldTask;
  readonly #backup: BackupService;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new TaskStore(ctx.storage);
    this.#log = new TaskLog(ctx.storage.sql, () => this.#live.logged());
    const parts = () => ({ storage: ctx.storage, store: this.#store, chores: this.#chores, live: this.#live });
    this.#held = new HeldTask(this.#store, parts, () => {
      this.#log.forget();
      this.#chores.forget();
      this.#live.reset();
    });
    const { transit, gather, settle } = this.#held;
    const loaded = (): Loaded | null => this.#held.loaded;
    this.#live = new TaskLive({
      ctx,
      store: this.#store,
      log: this.#log,
      loaded,
      view: () => this.#view(loaded()!),
      livingTokens: (ids) => callRegistry(env, (registry) => registry.livingTokens(ids)),
    });
    const logWatched = (): boolean => this.#live.feed.has("log") || this.#log.followed(Date.now());
    this.#desk = new LeaseDesk({ log: this.#log, ahead: () => this.#held.ahead(), gather, logWatched });
    this.#chores = new TaskChores({
      ctx,
      env,
      store: this.#store,
      loaded,
      transit,
      settle,
      gone: () => this.#held.gone(),
    });
    this.#backup = new BackupService({
      storage: ctx.storage,
      // What the journal holds is in the record when rows are taken out: see `#backupVersion`.
      notBackedUp: ["journal"],
      version: () => this.#backupVersion(),
      acceptsRestore: () => this.#acceptsRestore(),
      activate: (rows) => this.#activate(rows),
      inTransaction: (work) => this.#held.whole(work),
    });
  }

  async create(definition: TaskDefinition, actor: Principal): Promise<Outcome<Task>> {
    if (this.#held.loaded) return await this.view();
    const watched = await this.#chores.dependents.watch(definition);
    if (!watched.ok) return watched;
    if (!this.#held.loaded) {
      this.#held.whole(() => {
        const record = newRecord(definition, Date.now());
        this.#store.prepare();
        this.#store.saveDefinition(definition);
        this.#store.save(record);
        this.#held.hold({ definition, terms: termsOf(definition), record });
        this.#held.transit((t) => {
          for (const news of watched.value) takeNews(t, news);
          noteTask(t, "submitted", actor.name);
          return ok(null);
        });
      });
    }
    await this.#chores.report();
    return await this.view();
  }

  async view(): Promise<Outcome<Task>> {
    const task = this.#held.present();
    return task ? ok(this.#view(task)) : NOT_FOUND;
  }

  #view({ definition, terms, record }: Loaded): Task {
    return taskOf(definition, terms, record.ledger, record.chores.created_ms, Date.now(), this.#desk.progress);
  }

  /** A lease call: it may go by what others have changed, and is answered when all of that is in the rows (P4). */
  async #lease<T>(call: () => Outcome<T>): Promise<Outcome<T>> {
    return this.#held.ahead() ? await this.#held.answered(call) : NOT_FOUND;
  }

  async claim(worker: WorkerRef, claim: Claim): Promise<Outcome<Given>> {
    return await this.#lease(() => this.#desk.claim(worker, claim));
  }

  async renew(worker: WorkerRef, leaseId: string, renew: Proven<Renew>): Promise<Outcome<Extended>> {
    return await this.#lease(() => {
      const renewed = this.#desk.renew(worker, leaseId, renew);
      this.#live.moved();
      return renewed;
    });
  }

  async complete(worker: WorkerRef, leaseId: string, complete: Proven<Complete>): Promise<Outcome<GivenNext>> {
    return await this.#lease(() => this.#desk.complete(worker, leaseId, complete));
  }

  async fail(worker: WorkerRef, leaseId: string, fail: Proven<Fail>): Promise<Outcome<GivenNext>> {
    if (!this.#held.ahead()) return NOT_FOUND;
    await this.#chores.countAbleWorkers();
    return await this.#lease(() => this.#desk.fail(worker, leaseId, fail));
  }

  async release(worker: WorkerRef, leaseId: string, release: Proven<Release>): Promise<Outcome<GivenNext>> {
    return await this.#lease(() => this.#desk.release(worker, leaseId, release));
  }

  async patch(patch: TaskPatch, actor: Principal, compiled: CompiledDefinition | null): Promise<Outcome<null>> {
    if (!this.#held.present()) return NOT_FOUND;
    return this.#held.transit((t, loaded) => {
      const whole = { failedFrames: () => this.#store.failedFrames(), clear: () => this.#clear() };
      const definition = amend(t, whole, loaded.definition, patch, compiled, actor.name);
      if (!definition.ok) return definition;
      if (definition.value !== loaded.definition) {
        this.#store.saveDefinition(definition.value);
        loaded.definition = definition.value;
        loaded.terms = termsOf(definition.value);
      }
      return ok(null);
    }, true);
  }

  /** Every frame changes, and no book tells which. */
  #clear(): void {
    this.#store.clearPages();
    this.#live.reset();
  }

  async remove(actor: Principal): Promise<Outcome<Task>> {
    const view = await this.view();
    if (!view.ok) return view;
    this.#held.transit((t, loaded) => {
      cancelLeases(t, "deleted");
      t.ledger.canceled = true;
      noteTask(t, "deleted", actor.name);
      loaded.record.chores.remove = { due_ms: t.nowMs, until_ms: grantsOverMs(t) };
      return ok(null);
    });
    this.#live.feed.close(CLOSE_GONE, "this task has been removed");
    await this.#chores.report();
    return view;
  }

  async frames(query: FramesQuery): Promise<Outcome<{ frames: Frame[]; cursor: string | null }>> {
    const task = this.#held.present();
    return task ? readFrames({ ...task, ledger: task.record.ledger, book: this.#store.book }, query) : NOT_FOUND;
  }

  async files(query: FilesQuery): Promise<Outcome<FileList>> {
    return this.#held.present() ? readFiles((from) => this.#store.entries(from), query) : NOT_FOUND;
  }

  async file(frame: number): Promise<Outcome<ReceiptClaims & { frame: number }>> {
    const task = this.#held.present();
    return task ? readFile(task, this.#store.book, frame) : NOT_FOUND;
  }

  async preview(frame: number): Promise<Outcome<ReceiptClaims & { frame: number }>> {
    const task = this.#held.present();
    return task ? readFile(task, this.#store.book, frame, "preview") : NOT_FOUND;
  }

  async timings(query: FilesQuery): Promise<Outcome<Timings>> {
    return this.#held.present() ? readTimings((from) => this.#store.entries(from), query) : NOT_FOUND;
  }

  async shareGeneration(): Promise<number | null> {
    const task = this.#held.present();
    return task && (task.record.shares ?? 0);
  }

  async revokeShares(): Promise<Outcome<null>> {
    if (!this.#held.present()) return NOT_FOUND;
    this.#live.feed.close(CLOSE_SIGNED_OUT, "the link has been revoked", ({ share }) => share !== null);
    return this.#held.transit((_t, { record }) => {
      record.shares = (record.shares ?? 0) + 1;
      return ok(null);
    });
  }

  async appendLog(workerId: number | null, attempt: number | null, text: string): Promise<Outcome<null>> {
    if (!this.#held.present()) return NOT_FOUND;
    this.#log.append(Date.now(), workerId, attempt, text);
    return ok(null);
  }

  async log(query: { after?: number; tail?: number; limit: number }): Promise<Outcome<LogPage>> {
    return this.#held.present() ? ok(this.#log.read(query, Date.now())) : NOT_FOUND;
  }

  async watch(dependent: number, mode: Dependency["frames"]): Promise<Outcome<DependencyProgress>> {
    const task = this.#held.present();
    if (!task) return NOT_FOUND;
    this.#chores.dependents.add({ task: dependent, frames: mode, since_ms: Date.now() });
    return ok(this.#chores.dependents.progress(task, mode === "same" ? this.#chores.dependents.allDone(task) : null));
  }

  async dependencyMoved(progress: DependencyProgress): Promise<"taken" | "unknown" | "gone"> {
    if (!this.#held.loaded) return "unknown";
    if (!this.#held.present()) return "gone";
    this.#held.transit((t) => {
      takeNews(t, progress);
      return ok(null);
    });
    return "taken";
  }

  async outrank(epoch: number): Promise<void> {
    const task = this.#held.present();
    if (!task || task.record.ledger.outranked >= epoch) return;
    this.#held.transit((t) => {
      t.ledger.outranked = epoch;
      return ok(null);
    });
  }

  /** The upgrade of `/tasks/<id>/live`; the Worker has checked the viewer and the query. */
  override async fetch(request: Request): Promise<Response> {
    return this.#held.present() ? this.#live.open(request) : problemResponse(NOT_FOUND.error);
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

  async restoreRows(rows: BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>> {
    return await this.#backup.restore(rows, last);
  }

  #backupVersion(): number | null {
    const record = this.#held.present()?.record;
    if (record && this.#store.behind(record)) this.#held.whole(() => this.#store.save(record));
    return record?.ledger.version ?? null;
  }

  #acceptsRestore(): boolean {
    if (!this.#held.loaded) this.#store.prepare();
    return this.#held.loaded === null;
  }

  /** A task from another manager: see `continueTask`. Tasks it waits for have come before it, or never will. */
  async #activate(rows: readonly BackupRow[]): Promise<() => Result<null, BackupRefusal>> {
    const news = await this.#chores.dependents.watchThere(definitionIn(rows));
    return () => {
      if (!this.#store.readable()) return err({ code: "invalid", detail: "are not those of a task" });
      this.#held.hold(this.#held.load());
      this.#held.transit((t, { record }) => {
        record.chores.report_due_ms = t.nowMs;
        return continueTask(t, news);
      });
      return ok(null);
    };
  }

  override async alarm(): Promise<void> {
    await this.#chores.run();
  }
}
