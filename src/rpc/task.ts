/**
 * What a TaskDO offers over RPC. Plain protocol values in and out; an expected refusal is a tagged result, a throw is a bug.
 * The Worker has authenticated the caller and validated every argument with the schemas of `src/protocol`.
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
import type { Input } from "../protocol/plan.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { Dependency, Frame, FrameState, LogPage, Task, TaskPatch } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";

/** A validated, compiled submission: nothing in it can fail later for the submitter's sake. */
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
  inputs: Input[];
  input_task: number | null;
  /** Every frame must leave this many files (0 or 1); P11. */
  files_per_frame: 0 | 1;
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
}

/** The part of a definition that comes from compiling its settings: replaced as a whole when the settings change. */
export type CompiledDefinition = Pick<
  TaskDefinition,
  "settings" | "frame_list" | "format" | "needs" | "inputs" | "input_task" | "files_per_frame"
>;

/** `id` comes from the caller's token, `hostname` is for messages only. */
export interface WorkerRef {
  id: number;
}

export interface FramesQuery {
  states?: FrameState[];
  /** Frame list to look at; all by default. */
  frames?: string;
  /** Cursor of the page before. */
  cursor?: string;
  limit: number;
}

export interface FilesQuery {
  /** Frame list to look at; all by default. */
  frames?: string;
  /** Cursor of the page before. */
  cursor?: string;
  limit: number;
}

/** What a dependent learns about the task it waits for. */
export interface DependencyProgress {
  /** The task that is waited for. */
  id: number;
  /** Rises with every change; older news is ignored. */
  version: number;
  /** All of it is done (completed), or it will never be (gone). */
  state: "open" | "completed" | "gone";
  /**
   * Frame list of frames that became done or skipped since the last news (all of them in the answer to `watch`); only for
   * dependents in `same` mode. News may come twice or late: the dependent takes the union.
   */
  done: string | null;
}

/** A frame said to be done, with what its receipts say: the Worker has checked that they are this manager's. */
export type ProvenFrame = Omit<DoneFrame, "receipts"> & { receipts: ReceiptClaims[] };
export type Proven<T> = Omit<T, "done"> & { done: ProvenFrame[] };

/** A lease as the object gives it out: the Worker signs its grant (`http/grants.ts`), which takes a key and no state. */
export type GivenLease = Omit<Lease, "grant">;
export type Given = Omit<Claimed, "lease"> & { lease: GivenLease | null };
export type GivenNext = Omit<Settled, "next"> & { next: Given | null };
/** The call itself says what else the new grant is for. */
export type Extended = Omit<Renewed, "grant"> & { input_task: number | null };

export interface TaskRpc extends BackupRpc {
  /** Idempotent: creating an existing task answers with its view. Reports to the registry before it answers. */
  create(definition: TaskDefinition, actor: Principal): Promise<Result<Task, Refusal>>;
  /** `not_found` when never created or removed. */
  view(): Promise<Result<Task, Refusal>>;
  claim(worker: WorkerRef, claim: Claim): Promise<Result<Given, Refusal>>;
  renew(worker: WorkerRef, leaseId: string, renew: Proven<Renew>): Promise<Result<Extended, Refusal>>;
  complete(worker: WorkerRef, leaseId: string, complete: Proven<Complete>): Promise<Result<GivenNext, Refusal>>;
  fail(worker: WorkerRef, leaseId: string, fail: Proven<Fail>): Promise<Result<GivenNext, Refusal>>;
  release(worker: WorkerRef, leaseId: string, release: Proven<Release>): Promise<Result<GivenNext, Refusal>>;
  /** `compiled`: the patch's settings, compiled and checked by the Worker; null when it has none. */
  patch(patch: TaskPatch, actor: Principal, compiled: CompiledDefinition | null): Promise<Result<null, Refusal>>;
  /** Cancels what runs, deletes the task's files and then its own storage; idempotent. */
  remove(actor: Principal): Promise<Result<Task, Refusal>>;
  frames(query: FramesQuery): Promise<Result<{ frames: Frame[]; cursor: string | null }, Refusal>>;
  /** Committed files in frame order. */
  files(query: FilesQuery): Promise<Result<FileList, Refusal>>;
  /** One committed file by frame: its R2 key is `tasks/<id>/<attempt>/<name>`. */
  file(frame: number): Promise<Result<ReceiptClaims & { frame: number }, Refusal>>;
  /** Done frames in columns, for charts. */
  timings(query: FilesQuery): Promise<Result<Timings, Refusal>>;
  /** The committed preview of a frame. */
  preview(frame: number): Promise<Result<ReceiptClaims & { frame: number }, Refusal>>;
  appendLog(workerId: number | null, attempt: number | null, text: string): Promise<Result<null, Refusal>>;
  log(query: { after?: number; tail?: number; limit: number }): Promise<Result<LogPage, Refusal>>;
  /** Called by a dependent when it is created: remembers it and answers with the present progress. */
  watch(dependent: number, frames: Dependency["frames"]): Promise<Result<DependencyProgress, Refusal>>;
  /**
   * Pushed to dependents as frames are committed, at most once a second and at every end. `unknown`: not created yet, tell me
   * again; `gone`: removed, stop telling.
   */
  dependencyMoved(progress: DependencyProgress): Promise<"taken" | "unknown" | "gone">;
  /** Which share links hold; null for no such task. */
  shareGeneration(): Promise<number | null>;
  /** Void every share link of the task and close the sockets that came by one. */
  revokeShares(): Promise<Result<null, Refusal>>;
  /** From the registry: work of higher priority waits. Claims with an older epoch are sent back to it. */
  outrank(epoch: number): Promise<void>;
}
