/**
 * The RPC methods of the WorkerRegistry. Plain protocol values; an expected refusal is a tagged
 * result, a throw is a bug.
 */
import type { BackupRpc } from "./backup.ts";
import type { Result } from "../lib/result.ts";
import type { BlenderBuild, BlenderNeed, BuildPlatform } from "../protocol/blender-build.ts";
import type { FieldError, Refusal } from "../protocol/problem.ts";
import type { Storage } from "../protocol/storage.ts";
import type { FarmRetention } from "../protocol/retention.ts";
import type { Task, TaskSummary } from "../protocol/task.ts";
import type { RestoreAbandoned } from "../protocol/backup.ts";
import type { ProgramRecord, ProgramReport, ProgramReported } from "../protocol/program.ts";
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";
import type { Delivery, Webhook, WebhookCreate, WebhookCreated } from "../protocol/webhook.ts";
import type { TaskWhy, WorkerWhy } from "../protocol/why.ts";
import type { Worker, WorkerInfo, WorkerPatch, WorkerPatched, WorkerRegister } from "../protocol/worker.ts";
import type { Needs } from "../protocol/needs.ts";

/**
 * In this header the Worker names the authenticated worker of a socket. What a client sends under
 * it is dropped.
 */
export const WORKER_ID_HEADER = "Tablao-Worker-Id";
/** The address that the worker's socket comes from, set by the Worker alone. */
export const WORKER_ADDRESS_HEADER = "Tablao-Worker-Address";

/** What is wrong with the tasks that a task depends on, as its object says. */
export type AboutTask = Pick<Task, "deleted_dependencies" | "outdated_source" | "outdated_frames" | "bound_blender">;

/** What a task has done so far, for the totals of the farm. Never falls. */
export interface TaskTotals {
  done: number;
  errors: number;
  lost: number;
  seconds: number;
}

/**
 * A TaskDO's report: its summary, and what dispatch needs. The registry ignores a report with an
 * older version.
 */
export interface TaskReport {
  /** Rises with every change of the task. */
  version: number;
  summary: TaskSummary;
  needs: Needs;
  /**
   * Frames that a worker could claim now: 0 when the task is paused, canceled or waiting, or all
   * frames are leased.
   */
  claimable: number;
  /**
   * Workers with a live lease. They count as online even without a socket, and this task is their
   * `current_task`.
   */
  live_workers: number[];
  /**
   * Workers that failed the task again and again, or whose machines were at fault (`reason`), and until
   * when they must not be offered it.
   */
  kept_off: { worker_id: number; until_ms: number; reason?: string }[];
  /** What it has done so far. */
  tally: TaskTotals;
  /** The task has been removed: delete its row. */
  gone: boolean;
  /**
   * When the task's object must wake next, for anything but reports; null when nothing is due. Absent
   * in reports of earlier releases.
   */
  wake_ms?: number | null;
}

export interface ReportReply {
  /**
   * Workers that are online, enabled and able to do this task. P6 needs it: "3 times where fewer
   * workers exist".
   */
  able_workers: number;
  /** Pages watch the farm: the task reports its counters more often. */
  watched: boolean;
}

/**
 * A task whose object should have woken at `wake_ms` and has not reported since: its alarm may be
 * lost.
 */
export interface OverdueTask {
  id: number;
  wake_ms: number;
}

/** An overdue task that was called: when its object wakes next, as of `TaskRpc.nextWake`. */
export interface WokenTask extends OverdueTask {
  next_ms: number | null;
}

/** Tasks that a rule deletes by now, as they last reported. */
export interface ExpiredTasks {
  tasks: TaskSummary[];
  /** Where to go on; null after the last task. */
  next: number | null;
  farm: FarmRetention;
}

export interface Reservation {
  id: number;
  /** The same submission came before, and got this id then. */
  existing: boolean;
}

export interface TaskQuery {
  /** Words that must all be in the number, name, type, owner or status (`protocol/task-search.ts`). */
  search?: string;
  /** By default both. */
  state?: "open" | "ended";
  /** `id`, the default: the newest first. `ended`: only tasks that have ended, the last ended first. */
  order?: "id" | "ended";
  status?: string;
  type?: string;
  owner?: string;
  limit: number;
  cursor?: string;
}

/**
 * A page of a list. It may have fewer tasks than `limit`, also none, and a cursor all the same: a page
 * reads a bounded number of tasks, however few of them match.
 */
export interface TaskPage {
  tasks: TaskSummary[];
  cursor: string | null;
}

/** What the tasks store, as they last reported. */
export type StorageFigures = Pick<Storage, "outputs" | "owners" | "owners_left_out">;

export type LargestQuery = Pick<TaskQuery, "owner" | "limit" | "cursor">;

/** The numbers of `GET /metrics`. */
export interface FarmMetrics {
  /** Tasks by status. */
  tasks: Record<string, number>;
  /** Frames by state, of the tasks that have not ended. */
  frames: Record<string, number>;
  /** Workers by connection and status. */
  workers: { connection: string; status: string; count: number }[];
  /** Since the manager was set up. */
  ever: TaskTotals;
  /** Sockets of pages that watch the farm. */
  watchers: number;
  /**
   * Tasks whose events D1 refuses now, and events that tasks have dropped for that. Absent from
   * registries of earlier releases.
   */
  history?: { refused: number; dropped: number };
  /**
   * Bytes of the committed files of all tasks, and how many tasks have not counted theirs. Absent in
   * answers of earlier releases.
   */
  stored?: { bytes: number; uncounted: number };
  /** Tasks whose objects should have woken and have not. Absent in answers of earlier releases. */
  overdue?: number;
}

/**
 * The digits of a hash that tell one secret from another: with 10,000 secrets, one of 400,000 made-up
 * ones has the mark of another.
 */
export const SECRET_MARK_CHARS = 8;

/** Workers that were removed because they were not seen for long; `more`: others follow in the next run. */
export interface UnseenRemoved {
  removed: { id: number; name: string }[];
  more: boolean;
}

/** A worker whose leases are to be taken away. */
export interface StoppedWorker {
  /** Tasks of which it may have a live lease. */
  tasks: number[];
  /** Claims of an earlier epoch are to be refused. */
  epoch: number;
  /** Its agent is told to give its leases back by itself. */
  told: boolean;
}

/** What a change of the builds leaves: the archive that no build is of any more, to be deleted; or null. */
export interface BuildArchives {
  unused: string | null;
}

export interface RegistryRpc extends BackupRpc {
  /**
   * Begin to restore this backup, or go on with it. `conflict` when the manager is not empty; it
   * names what is there.
   */
  beginRestore(backup: string): Promise<Result<null, Refusal>>;
  /** End a restore that is not to be completed. `conflict` when none is under way. */
  abandonRestore(): Promise<Result<RestoreAbandoned, Refusal>>;
  /** Ok while this backup is being restored. `task`: the task whose rows come, 0 for others. */
  isRestoring(backup: string, task?: number): Promise<Result<null, Refusal>>;

  /**
   * Look a secret up by its SHA-256 (hex). Updates last use at most once a minute. Never counts a
   * join token's use.
   */
  authenticate(secretSha256: string): Promise<Principal | null>;
  /**
   * The first SECRET_MARK_CHARS digits of the SHA-256 of every secret, one after the other: with
   * them a Worker knows that a made-up secret is none of these, without asking.
   */
  secretMarks(): Promise<string>;
  /**
   * A key to sign with where the secrets of the environment can be guessed: 256 random bits, made at
   * the first call and kept. It is in no backup.
   */
  spareSigningKey(): Promise<string>;
  /** The principal of the token with this id; null when it gives no access. */
  principalOfToken(id: number): Promise<Principal | null>;
  /** Those of these tokens that still give access. */
  livingTokens(ids: number[]): Promise<number[]>;
  createToken(create: TokenCreate): Promise<{ token: Token; secret: string }>;
  listTokens(): Promise<Token[]>;
  revokeToken(id: number): Promise<Result<Token, Refusal>>;

  /**
   * Register a worker. With a join token (one use is taken) or as admin: a new worker with its own
   * secret. As a known worker: its record is updated, `created` is false and there is no secret.
   * `instance`: the agent's process, where it says; `conflict` while another one is this worker. `fetches`: the
   * platform for which the agent fetches builds of Blender; null: it fetches none.
   */
  registerWorker(
    register: WorkerRegister,
    caller: Principal,
    ipAddress: string,
    instance?: string | null,
    fetches?: BuildPlatform | null,
  ): Promise<Result<{ key: string; worker: Worker; secret: string | null; created: boolean }, Refusal>>;
  /** Key: hostname, or `hostname#id` from the second worker of that name on. Ordered by id. */
  listWorkers(): Promise<Record<string, Worker>>;
  getWorker(id: number): Promise<Result<WorkerInfo, Refusal>>;
  /**
   * Tasks of which this worker may have a live lease, the likeliest first; only their objects know. For
   * agents up to version 0.1, which send no grant with inputs.
   */
  tasksOfWorker(id: number): Promise<number[]>;
  patchWorker(
    id: number,
    patch: WorkerPatch,
    caller: Principal,
    ipAddress: string,
    instance?: string | null,
    fetches?: BuildPlatform | null,
  ): Promise<Result<WorkerPatched, Refusal>>;
  /** A worker that renews itself tells what it runs; `served`: the manager's program, null where there is none. */
  reportProgram(
    id: number,
    report: ProgramReport,
    served: ProgramRecord | null,
  ): Promise<Result<ProgramReported, Refusal>>;
  /**
   * Of a worker that takes no more work (PATCH `stop_now`): tell its agent to give its leases back, and answer
   * where to take them away (`TaskRpc.revokeLeases`). Idempotent.
   */
  stopWorker(id: number): Promise<Result<StoppedWorker, Refusal>>;
  /** Revokes its secret and closes its socket. Its leases expire by themselves. */
  removeWorker(id: number): Promise<Result<null, Refusal>>;
  /** From the daily job: remove workers that were not seen for as long as the farm's rule says. */
  removeUnseenWorkers(): Promise<UnseenRemoved>;
  /** The names of workers by id, also of those that were removed; unknown ones are left out. */
  workerNames(ids: number[]): Promise<Record<string, string>>;

  /**
   * Allocate a task id. Idempotent by (owner, task_id) and by (owner, Idempotency-Key): the same
   * key with another body is a `invalid` refusal. The task appears in lists when its object has
   * reported.
   */
  reserveTask(request: {
    owner: string;
    task_id: number | null;
    idempotency_key: string | null;
    body_sha256: string;
  }): Promise<Result<Reservation, Refusal>>;
  report(report: TaskReport): Promise<ReportReply>;
  /** How many workers are online, enabled and able. */
  ableWorkers(needs: Needs): Promise<number>;
  /** Newest first by id; the cursor is opaque. */
  listTasks(query: TaskQuery): Promise<Result<TaskPage, Refusal>>;
  /**
   * From the watchdog: look after this object's own alarm and what idle workers wait for. Answers the
   * tasks that are overdue, the longest first; at most 100.
   */
  overdueTasks(): Promise<OverdueTask[]>;
  /** These overdue tasks were called. Ignored for a task that has reported meanwhile. */
  tasksWoken(tasks: WokenTask[]): Promise<void>;
  /** What the tasks store, by owner; `owner`: only this one. Reads the rows of all tasks, and so do the next two. */
  storage(owner: string | null): Promise<StorageFigures>;
  /** Tasks that store something, the largest first; the cursor is opaque. */
  largestTasks(query: LargestQuery): Promise<Result<{ tasks: TaskSummary[]; cursor: string | null }, Refusal>>;
  /** Tasks that have not said what they store, because an earlier release made them; at most 100. */
  uncountedTasks(): Promise<number[]>;
  /** The farm's rule of retention. */
  retention(): Promise<FarmRetention>;
  /** From the daily job: the tasks with ids above `after` that have expired, a page of them. */
  expiredTasks(after: number): Promise<ExpiredTasks>;
  /**
   * Ids after this one, ascending: of all tasks that exist, and of some that do not. Refusal:
   * `conflict` while a backup is being restored, because its tasks are not all known.
   */
  taskIds(after: number, limit: number): Promise<Result<number[], Refusal>>;
  /** These of them do not exist, as their objects say. */
  tasksNotThere(ids: number[]): Promise<void>;
  /** The builds of Blender that the farm keeps, the newest version first. */
  listBuilds(): Promise<BlenderBuild[]>;
  /** Which versions of Blender tasks with frames to give out need, and who has them. */
  blenderNeeds(): Promise<BlenderNeed[]>;
  /**
   * Keep a build, whose archive is in the bucket. One of the same version and platform is replaced. Refusal:
   * `conflict` when there are too many.
   */
  putBuild(build: BlenderBuild): Promise<Result<BuildArchives, Refusal>>;
  /** Refusal: `not_found`. */
  removeBuild(version: string, platform: BuildPlatform): Promise<Result<BuildArchives, Refusal>>;
  /** Tell sockets that these leases are gone. Workers without one learn at their next renewal. */
  pushCancel(cancels: { worker_id: number; task_id: number; lease_ids: string[] }[]): Promise<void>;

  /** Why this task waits. `waitsFor`: the tasks it waits for, as its object says. */
  whyTask(id: number, waitsFor: number[], about?: AboutTask): Promise<Result<TaskWhy, Refusal>>;
  whyWorker(id: number): Promise<Result<WorkerWhy, Refusal>>;
  metrics(): Promise<FarmMetrics>;

  createWebhook(create: WebhookCreate): Promise<WebhookCreated>;
  listWebhooks(): Promise<Webhook[]>;
  removeWebhook(id: number): Promise<Result<null, Refusal>>;
  listDeliveries(id: number): Promise<Result<Delivery[], Refusal>>;

  listSettings(): Promise<Record<string, unknown>>;
  /** The names of the render presets: the settings under `render.`, without that prefix. */
  listPresets(): Promise<string[]>;
  getSetting(name: string): Promise<Result<unknown, Refusal>>;
  /** Writes all values or none; values of known names are validated. */
  setSettings(values: Record<string, unknown>): Promise<Result<null, Refusal & { errors?: FieldError[] }>>;
}
