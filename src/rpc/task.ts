/**
 * What a task's object offers over RPC. It takes and returns plain protocol values; an expected
 * refusal is a tagged result, and a throw is a bug. The Worker has authenticated the caller, and
 * validated every argument with the schemas of `src/protocol`.
 *
 * During a deploy, an object of the old release may be called by a Worker of the new one: names of
 * methods and fields stay.
 */
import type { BackupRpc } from "./backup.ts";
import type { Result } from "../lib/result.ts";
import type { FileList, ReceiptClaims } from "../protocol/file.ts";
import type {
  Claim,
  Claimed,
  Complete,
  DoneFrame,
  Fail,
  Lease,
  Release,
  Renew,
  Renewed,
  Settled,
} from "../protocol/lease.ts";
import type { Timings } from "../protocol/live.ts";
import type { Needs } from "../protocol/needs.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { RemovalTerms, RetentionDays } from "../protocol/retention.ts";
import type { Dependency, Frame, FrameState, LogPage, Task, TaskPatch } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";

/**
 * A validated and compiled submission: what is wrong with a submission is refused before this is
 * made.
 */
export interface TaskDefinition {
  id: number;
  type: string;
  parser: string;
  /** Normalised settings, as the compiler's schema returned them. */
  settings: Record<string, unknown>;
  /** Canonical frame list. */
  frame_list: string;
  format: string;
  needs: Needs;
  input_task: number | null;
  /** The files that every rendered frame must have (P11). */
  files_per_frame: 0 | 1;
  /** A picture of one colour beside one of several is a failure of its frame. Absent: it is not. */
  strict?: boolean;
  priority: number;
  name: string;
  owner: string;
  task_id: number | null;
  chunk: number | "auto";
  order: "ascending" | "preview";
  depends_on: Dependency[];
  lease_ms: number;
  tries: number;
  paused: boolean;
  /** The task's own retention; absent: as the farm's settings say. */
  retention_days?: RetentionDays;
  retention_after_download_days?: RetentionDays;
  /** When it was last changed after the submission. */
  retention_set_ms?: number;
}

/**
 * The part of a definition that is compiled from its settings, and replaced as a whole when they
 * change.
 */
export type CompiledDefinition = Pick<
  TaskDefinition,
  "settings" | "frame_list" | "format" | "needs" | "input_task" | "files_per_frame" | "strict"
>;

/** The calling worker; `id` comes from its token. */
export interface WorkerRef {
  id: number;
  /** The versions of Blender that it has named with the call (BLENDERS_HEADER). Absent: none. */
  blenders?: string[];
  /** Those that it would fetch from the farm (FETCHABLE_HEADER). Absent: none. */
  fetchable?: string[];
}

export interface FramesQuery {
  states?: FrameState[];
  /** The frame list asked for; all frames by default. */
  frames?: string;
  /** The cursor of the page before. */
  cursor?: string;
  limit: number;
}

export interface FilesQuery {
  /** The frame list asked for; all frames by default. */
  frames?: string;
  /** The cursor of the page before. */
  cursor?: string;
  limit: number;
}

/** Frames that were taken back, as a frame list, and the version of the task in which they were. */
export interface TakenBack {
  version: number;
  frames: string;
}

/** The progress of a task, as its dependents learn it. */
export interface DependencyProgress {
  /** The task that is waited for. */
  id: number;
  /** Rises with every change. The state of an older version is ignored. */
  version: number;
  /** `completed`: all of it is done; `gone`: it is deleted and will never be. */
  state: "open" | "completed" | "gone";
  /**
   * The frames that became done or skipped since the last update, or all of them in the answer to
   * `watch`; only for dependents in `same` mode. An update may come late or twice: the dependent
   * ignores what is older than what it knows.
   */
  done: string | null;
  /**
   * `done` names all its frames that are done or skipped at `version`: no other one is. Absent: only
   * those that became so since the last update.
   */
  whole?: true;
  /**
   * Frames that were done or skipped and are not any more, or were not for a while, by the version in
   * which they were taken back. They come before `done`: a frame in both was taken back and is done
   * again. Entries that are not newer than what the dependent knows were sent before. Absent from
   * objects of earlier releases.
   */
  taken_back?: TakenBack[];
  /** Names its committed files as they are at `version`. Absent from objects of earlier releases. */
  files_version?: string;
}

/**
 * A frame that a worker calls done, with the claims of its receipts. The Worker has verified that
 * they are this manager's.
 */
export type VerifiedFrame = Omit<DoneFrame, "receipts"> & { receipts: ReceiptClaims[] };
export type Verified<T> = Omit<T, "done"> & { done: VerifiedFrame[] };

/**
 * A lease as the object gives it out. The Worker adds the grant (`http/grants.ts`), because signing
 * takes a key and no state.
 */
export type UnsignedLease = Omit<Lease, "grant" | "grant_header" | "takes_warnings" | "takes_fault">;
export type UnsignedClaimed = Omit<Claimed, "lease"> & { lease: UnsignedLease | null };
export type UnsignedSettled = Omit<Settled, "next"> & { next: UnsignedClaimed | null };
/** A renewal as the object answers it, with what the Worker needs for the new grant. */
export type UnsignedRenewed = Omit<Renewed, "grant" | "grant_header"> & { input_task: number | null };

/** The inputs that a task names, by their hashes. */
export interface InputsNamed {
  inputs: string[];
  /** Those of them that are piece lists. */
  lists: string[];
}

export interface TaskRpc extends BackupRpc {
  /**
   * Create the task, and report it to the registry. Idempotent: for a task that exists, the answer
   * is its view.
   */
  create(definition: TaskDefinition, actor: Principal): Promise<Result<Task, Refusal>>;
  /**
   * Refused with `not_found` when the task was never created or is removed. So are all methods
   * below that return a `Result`.
   */
  view(): Promise<Result<Task, Refusal>>;
  claim(worker: WorkerRef, claim: Claim): Promise<Result<UnsignedClaimed, Refusal>>;
  renew(worker: WorkerRef, leaseId: string, renew: Verified<Renew>): Promise<Result<UnsignedRenewed, Refusal>>;
  complete(worker: WorkerRef, leaseId: string, complete: Verified<Complete>): Promise<Result<UnsignedSettled, Refusal>>;
  fail(worker: WorkerRef, leaseId: string, fail: Verified<Fail>): Promise<Result<UnsignedSettled, Refusal>>;
  release(worker: WorkerRef, leaseId: string, release: Verified<Release>): Promise<Result<UnsignedSettled, Refusal>>;
  /**
   * `compiled`: the patch's settings, compiled and checked by the Worker; null when it has none.
   */
  patch(patch: TaskPatch, actor: Principal, compiled: CompiledDefinition | null): Promise<Result<null, Refusal>>;
  /**
   * Cancel what runs, and begin to delete the task's files and then its own storage. Idempotent.
   */
  remove(actor: Principal): Promise<Result<Task, Refusal>>;
  /**
   * The same, if the task has ended, nothing uses it, and the terms hold. The object decides by itself,
   * in one step with the removal. Refused with `conflict`, and the reason.
   */
  removeEnded(terms: RemovalTerms, actor: Principal): Promise<Result<Task, Refusal>>;
  /**
   * Whether the task has ended, or does not depend on the asker any more; null when there is none. From
   * the tasks that this one depends on. Objects of earlier releases do not look at the asker.
   */
  hasEnded(asker?: number): Promise<boolean | null>;
  /**
   * A person has all committed files of this `files_version`. Refused with `conflict` when another one
   * counts now. Idempotent: the first download of a version counts.
   */
  downloaded(filesVersion: string, actor: Principal): Promise<Result<null, Refusal>>;
  frames(query: FramesQuery): Promise<Result<{ frames: Frame[]; cursor: string | null }, Refusal>>;
  /** Committed files in frame order. */
  files(query: FilesQuery): Promise<Result<FileList, Refusal>>;
  /** The committed file of a frame; its key in R2 is `tasks/<id>/<attempt>/<name>`. */
  file(frame: number): Promise<Result<ReceiptClaims & { frame: number }, Refusal>>;
  /** Done frames in columns, for charts. */
  timings(query: FilesQuery): Promise<Result<Timings, Refusal>>;
  /** The committed preview of a frame. */
  preview(frame: number): Promise<Result<ReceiptClaims & { frame: number }, Refusal>>;
  appendLog(workerId: number | null, attempt: number | null, text: string): Promise<Result<null, Refusal>>;
  log(query: { after?: number; tail?: number; limit: number }): Promise<Result<LogPage, Refusal>>;
  /**
   * Called by a dependent when it is created: remember it, and answer with the present progress.
   */
  watch(dependent: number, frames: Dependency["frames"]): Promise<Result<DependencyProgress, Refusal>>;
  /**
   * Called by a dependency as its frames are committed, at most once a second, and at its end.
   * `unknown`: this task is not created yet, and must be told again; `gone`: it is removed, and
   * must not be told any more.
   */
  dependencyMoved(progress: DependencyProgress): Promise<"taken" | "unknown" | "gone">;
  /** The generation of share links that give access; null when there is no such task. */
  shareGeneration(): Promise<number | null>;
  /** Void every share link of the task, and close the sockets that were opened by one. */
  revokeShares(): Promise<Result<null, Refusal>>;
  /**
   * From the registry: preempt the task, because work of higher priority waits. Claims of an
   * earlier epoch are sent back.
   */
  outrank(epoch: number): Promise<void>;
  /**
   * Take this worker's leases away; no failure is recorded. `graceMs`: wait so long for the worker to give
   * them back itself, with the frames that are finished. Claims of an earlier epoch are sent back. The registry
   * has heard of it when this answers. How many were taken away.
   */
  revokeLeases(worker: number, epoch: number, graceMs: number): Promise<number>;
  /** From a sweep of inputs: what the task names; null when there is no such task, or it is being removed. */
  inputsNamed(): Promise<InputsNamed | null>;
  /**
   * From the watchdog: set the alarm anew when it was lost. Answers when the object wakes next, in
   * the past when that is overdue; null when nothing is due, or there is no such task.
   */
  nextWake(): Promise<number | null>;
}
