/**
 * The frame ledger of one task: which frame is in which state, and which worker has it. Pure data,
 * stored as a part of one JSON row; frames that were touched have entries of their own
 * (`FrameTable`). The rules that work on it are `claim.ts`, `settle.ts`, `failure.ts`,
 * `user-actions.ts`, `patch.ts`, `dependencies.ts` and `restore.ts`. Property names are stored
 * keys; the comments give the term used elsewhere.
 *
 * The state of a frame is the first of these that applies (P1):
 *   leased         it is in `open` of a live lease
 *   done, failed   its entry in the frame table says so
 *   skipped        it is in `skipped`
 *   pending        otherwise; it is given out through `ready`, `retry` or the cursor, or waits for
 *                  a dependency to open it
 */
import {
  countFrames,
  formatFrameList,
  indexOfFrame,
  parseFrameList,
  type FrameList,
} from "../../protocol/frame-list.ts";
import { grantEndMs } from "../../protocol/constants.ts";
import { blenderTerm } from "../../protocol/needs.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Dependency, FrameCounts, FrameState, OutputFile, TaskStatus } from "../../protocol/task.ts";
import type { ChunkStats } from "./chunking.ts";
import { EMPTY, format, has, intersect, minus, size, union, type FrameSet } from "./frame-set.ts";
import { Leases, type LiveLease } from "./lease-index.ts";
import type { TaskDefinition } from "../../rpc/task.ts";
import { NOTHING_STORED, type StoredCount } from "./stored-bytes.ts";
import { addFrames, NO_TALLY, type Tally } from "./tally.ts";
import type { Order } from "./visit-order.ts";

export { NO_TALLY };

/**
 * The part of the task's definition that the rules use. It changes only when a person changes the
 * settings.
 */
export interface Terms {
  id: number;
  type: string;
  list: FrameList;
  total: number;
  chunk: number | "auto";
  order: Order;
  leaseMs: number;
  tries: number;
  filesPerFrame: 0 | 1;
  /** The task whose files this one reads; null for none. */
  inputTask: number | null;
  /** The version of Blender that it needs (`4.5`, `4.5+`), `any`, or null where Blender does not render it. */
  blender: string | null;
  /** A picture of one colour beside one of several is a failure of its frame (`strict-colours.ts`). */
  strict: boolean;
}

/** What a worker has failed on this task, and what its machine has refused. */
export interface FailureRecord {
  worker: number;
  /** Consecutive failures. */
  streak: number;
  /** How often the worker has been blocklisted: each time is longer. */
  times: number;
  /** The worker is blocklisted until then. */
  kept_off_until_ms: number;
  /** How often it has been held off since its last good frame: each time is longer. Absent: never. */
  holds?: number;
  /** The worker is held off until then, because its machine was at fault. */
  held_until_ms?: number;
  /** The reason that it gave. */
  reason?: string;
}

export interface DependencyState {
  task: number;
  frames: Dependency["frames"];
  version: number;
  state: "open" | "completed" | "gone";
  /** The frames that this dependency has ever opened; only for `same`. */
  opened: FrameSet;
  /** Those of them that it has taken back since, and that wait for it again. Absent: none. */
  closed?: FrameSet;
  /**
   * Frames that were given out before it took its own back, and not again since. Those that are done
   * are out of date; those that are pending again are not (`outdatedFrames`). Absent: none.
   */
  outdated?: FrameSet;
  /** Names its committed files at `version`; absent until it has said so. */
  files_version?: string;
}

/**
 * Uploads that are no frame's result. They are deleted at `due_ms`, when the grant to upload them
 * has run out.
 */
export interface Garbage {
  attempt: number;
  /** All frames of the attempt. The empty set means every attempt up to this one. */
  frames: FrameSet;
  /**
   * Only the uploads of `frames`, which were committed and then requeued; others of the attempt
   * stay.
   */
  only?: true;
  due_ms: number;
}

/** A warning about frames of the task. Their entries name it by its id. */
export interface TaskWarning {
  id: number;
  text: string;
  /** How many committed frames have it; at least 1. */
  frames: number;
  /** The lowest of them; null when it is not known any more. */
  first_frame: number | null;
}

export interface Ledger {
  /** Rises with every change, and never falls. */
  version: number;
  /** The last attempt given out, which never falls: the fencing token. */
  attempt: number;
  /** Next position in the visiting order. */
  cursor: number;
  /**
   * Pending again (released, expired, requeued), or opened by a dependency. Given out before new
   * frames, except while a dependency holds them (`heldFrames`).
   */
  ready: FrameSet;
  /** Pending after a render failure. Given out after new frames. */
  retry: FrameSet;
  skipped: FrameSet;
  counts: { leased: number; done: number; failed: number; skipped: number };
  leases: Leases;
  paused: boolean;
  canceled: boolean;
  /**
   * Why a rule has stopped the task, which is `failed` with frames still pending; null when none
   * has.
   */
  stopped: string | null;
  /** Consecutive render failures: those since the last commit, and the workers that had them. */
  streak: { failures: number; workers: number[] };
  /** Failure records, by worker. */
  blames: FailureRecord[];
  dependencies: DependencyState[];
  /**
   * The epoch at which the registry last preempted the task: claims of an earlier epoch are sent
   * back to the registry.
   */
  outranked: number;
  frame_current: number | null;
  error: string | null;
  seconds: number;
  updated_ms: number;
  stats: ChunkStats;
  tally: Tally;
  /** Bytes of the committed files. */
  stored: StoredCount;
  /** The files of `inputTask` of which the newest frame was made; absent when unknown. */
  made_from?: string;
  /**
   * Of a task of `4.5+`: the minor version of Blender of its newest lease. It counts while a frame is done
   * or leased (`boundBlender`). Replaced, never removed. Absent: nothing was given out.
   */
  bound_blender?: string;
  /**
   * Warnings about committed frames, by text. Replaced, never changed in place. Absent: there was none yet.
   */
  warnings?: TaskWarning[];
  /** Garbage that waits to be deleted. */
  sweeps: Garbage[];
  /** Sequence of the last history event. */
  event_seq: number;
}

/**
 * What is known of a frame that was done or failed. A frame without an entry was never touched, or
 * was requeued.
 */
export interface FrameEntry {
  state: "done" | "failed" | "retry";
  attempt: number;
  worker: number;
  seconds: number;
  at_ms: number;
  files: OutputFile[];
  /** Render failures by worker: `[worker, count]`. */
  failures: [number, number][];
  /** Workers whose machines could not get or deliver the frame. Absent: none. */
  refusals?: number[];
  /** The version of Blender that rendered it. Absent: another program, or an agent of 0.1. */
  blender?: string;
  error: string | null;
  /**
   * Whether the picture of a done frame has one colour only; `told` when there is a warning about it, or, of a
   * frame that is not done, when its last render failed for it. Absent: not known.
   */
  one_colour?: boolean | "told";
  /** Warnings of a done frame, by their `id` in the ledger. Absent: none. */
  warnings?: number[];
}

/** The entries by frame: pages in SQL, or a map in tests and the model check. */
export interface FrameTable {
  get(frame: number): FrameEntry | undefined;
  set(frame: number, entry: FrameEntry | undefined): void;
}

/** What a transition tells its caller besides its answer. */
export interface Effects {
  /** History events, which get their sequence numbers when the transition is done. */
  events: Omit<HistoryEvent, "seq" | "task_id" | "type">[];
  /** Leases that were canceled while their worker renders: the worker must be told. */
  canceled: { worker_id: number; lease_id: string }[];
  /**
   * Leases whose time was over have ended, or the task whose files are read has changed. This must be
   * written even if the change itself is refused.
   */
  expired: boolean;
}

/**
 * Everything a transition works on. A refused change has changed neither `ledger` nor `table`,
 * except for expired leases.
 */
export interface Transition {
  terms: Terms;
  ledger: Ledger;
  table: FrameTable;
  nowMs: number;
  effects: Effects;
  /** Workers that are online and able to do this task, as the registry last said; at least 1. */
  ableWorkers: number;
}

/**
 * The part of the terms that comes from a stored frame list. It was validated at submission, so a
 * bad one is a bug: throws.
 */
export function listFromText(text: string): { list: FrameList; total: number } {
  const parsed = parseFrameList(text);
  if (!parsed.ok) throw new Error(`stored frame list ${parsed.error}`);
  return { list: parsed.value, total: countFrames(parsed.value) };
}

/** The terms of a definition. Throws when its frame list is not valid. */
export function termsOf(definition: TaskDefinition): Terms {
  return {
    id: definition.id,
    type: definition.type,
    ...listFromText(definition.frame_list),
    chunk: definition.chunk,
    order: definition.order,
    leaseMs: definition.lease_ms,
    tries: definition.tries,
    filesPerFrame: definition.files_per_frame,
    inputTask: definition.input_task,
    blender: blenderTerm(definition.needs),
    strict: definition.strict === true,
  };
}

/**
 * A new task's ledger. When frames wait one by one, they are opened by the dependency, and the
 * cursor gives out none.
 */
export function newLedger(dependencies: readonly Dependency[], paused: boolean, nowMs: number): Ledger {
  return {
    version: 0,
    attempt: 0,
    cursor: dependencies.some((d) => d.frames === "same") ? Number.MAX_SAFE_INTEGER : 0,
    ready: EMPTY,
    retry: EMPTY,
    skipped: EMPTY,
    counts: { leased: 0, done: 0, failed: 0, skipped: 0 },
    leases: new Leases(),
    paused,
    canceled: false,
    stopped: null,
    streak: { failures: 0, workers: [] },
    blames: [],
    dependencies: dependencies.map((d) => ({ ...d, version: -1, state: "open", opened: EMPTY })),
    outranked: 0,
    frame_current: null,
    error: null,
    seconds: 0,
    updated_ms: nowMs,
    stats: { frames: 0, frameMs: 0, loadMs: 0 },
    tally: NO_TALLY,
    stored: NOTHING_STORED,
    sweeps: [],
    event_seq: 0,
  };
}

/** Counters of every state; their sum is the total (P1). */
export function countsOf(terms: Terms, ledger: Ledger): FrameCounts {
  const { leased, done, failed, skipped } = ledger.counts;
  return { total: terms.total, pending: terms.total - leased - done - failed - skipped, leased, done, failed, skipped };
}

/** The live lease in which a frame is open. */
export function holderOf(ledger: Ledger, frame: number): LiveLease | undefined {
  for (const lease of ledger.leases) if (has(lease.open, frame)) return lease;
  return undefined;
}

/** The state of one frame of the task (P1). */
export function stateOf(transition: Pick<Transition, "ledger" | "table">, frame: number): FrameState {
  return stateWhere(transition, frame, holderOf(transition.ledger, frame) !== undefined);
}

/** The states of many frames. The leases are walked once, not once for each frame. */
export function* statesOf(
  transition: Pick<Transition, "ledger" | "table">,
  frames: Iterable<number>,
): Generator<[number, FrameState]> {
  const leased = union(
    EMPTY,
    [...transition.ledger.leases].flatMap((lease) => lease.open),
  );
  for (const frame of frames) yield [frame, stateWhere(transition, frame, has(leased, frame))];
}

function stateWhere(
  { ledger, table }: Pick<Transition, "ledger" | "table">,
  frame: number,
  leased: boolean,
): FrameState {
  if (leased) return "leased";
  const entry = table.get(frame);
  if (entry && entry.state !== "retry") return entry.state;
  return has(ledger.skipped, frame) ? "skipped" : "pending";
}

/** Whether the task still waits for the whole of another task. */
export function waitsForWhole(ledger: Ledger): boolean {
  return ledger.dependencies.some((d) => d.frames === "all" && d.state !== "completed");
}

/**
 * The frames that all `same` dependencies have ever opened; null without such dependencies. Some may be
 * held again (`heldFrames`).
 */
export function openedFrames(ledger: Ledger): FrameSet | null {
  const gates = ledger.dependencies.filter((d) => d.frames === "same");
  if (gates.length === 0) return null;
  return gates.map((gate) => gate.opened).reduce(intersect);
}

/**
 * Frames that must not be given out now, although they are in `ready` or `retry`: a `same` dependency
 * has taken its own back. Derived, so that whatever puts frames back need not know of it.
 */
export function heldFrames({ dependencies }: Pick<Ledger, "dependencies">): FrameSet {
  return dependencies.reduce<FrameSet>((held, { closed }) => (closed ? union(held, closed) : held), EMPTY);
}

/** The task's status. It is derived from the ledger and not stored. */
export function statusOf(terms: Terms, ledger: Ledger): TaskStatus {
  if (ledger.canceled) return "canceled";
  const counts = countsOf(terms, ledger);
  if (counts.pending + counts.leased === 0) return counts.failed > 0 ? "failed" : "completed";
  if (ledger.stopped !== null && counts.leased === 0) return "failed";
  if (counts.leased > 0) return "rendering";
  if (ledger.paused) return "paused";
  if (claimable(terms, ledger) === 0) return "waiting";
  return "queued";
}

/**
 * How many frames could be given out now: none while the task is paused, ended, or waits for
 * another task.
 */
export function claimable(terms: Terms, ledger: Ledger): number {
  if (ledger.canceled || ledger.paused || ledger.stopped !== null || waitsForWhole(ledger)) return 0;
  if (openedFrames(ledger) !== null) {
    const held = heldFrames(ledger);
    return size(minus(ledger.ready, held)) + size(minus(ledger.retry, held));
  }
  return countsOf(terms, ledger).pending;
}

/** Whether `frame` belongs to the task. */
export function isOfTask(terms: Terms, frame: number): boolean {
  return indexOfFrame(terms.list, frame) >= 0;
}

/** Put a change of the whole task into the history. */
export function noteTask(
  transition: Transition,
  kind: HistoryEvent["kind"],
  detail: string | null,
  frames: FrameSet = EMPTY,
): void {
  transition.effects.events.push({
    at_ms: transition.nowMs,
    kind,
    worker_id: null,
    attempt: null,
    frames: frames.length === 0 ? null : format(frames),
    frame_count: size(frames),
    seconds: null,
    detail,
  });
}

/**
 * Put a change of all frames into the history. It names the list as it was submitted, because there
 * may be millions.
 */
export function noteAllFrames(transition: Transition, kind: HistoryEvent["kind"], detail: string | null): void {
  const { list, total } = transition.terms;
  noteTask(transition, kind, detail);
  Object.assign(transition.effects.events.at(-1)!, { frames: formatFrameList(list), frame_count: total });
}

/** A lease, live or over, as far as what it rendered is concerned. */
export type RenderedBy = Pick<LiveLease, "worker" | "attempt" | "blender">;

/**
 * When the last grant that was given out until now runs out, also that of a renewal which a restart
 * has forgotten.
 */
export function lastGrantEndMs({ nowMs, terms }: Pick<Transition, "nowMs" | "terms">): number {
  return grantEndMs(nowMs + terms.leaseMs);
}

/** Put into the history what became of frames of a lease. */
export function noteLease(
  transition: Transition,
  kind: "done" | "error" | "lost",
  lease: RenderedBy,
  frames: FrameSet,
  seconds: number | null,
  detail: string | null,
): void {
  transition.ledger.tally = addFrames(transition.ledger.tally, kind, size(frames));
  transition.effects.events.push({
    at_ms: transition.nowMs,
    kind,
    worker_id: lease.worker,
    attempt: lease.attempt,
    frames: format(frames),
    frame_count: size(frames),
    seconds,
    detail,
    ...(kind !== "lost" && lease.blender !== undefined && { blender: lease.blender }),
  });
}
