/**
 * The frame ledger of one task: which frame is in which state, and who has it. Pure data, kept as one JSON row; a row per page
 * exists only for frames that have been touched (`FrameTable`). All rules of leases, failures and control work on it:
 * `leasing.ts`, `failure.ts`, `control.ts`, `dependencies.ts`.
 *
 * How a frame's state is read (P1; the first that applies):
 *   leased   it is in `open` of a live lease
 *   done, failed   its table entry says so
 *   skipped  it is in `skipped`
 *   pending  otherwise; it will come up through `ready`, `retry` or the cursor, or it is closed by a dependency
 */
import {
  countFrames,
  formatFrameList,
  indexOfFrame,
  parseFrameList,
  type FrameList,
} from "../../protocol/frame-list.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Dependency, FrameCounts, FrameState, OutputFile, TaskStatus } from "../../protocol/task.ts";
import type { ChunkStats } from "./chunking.ts";
import { EMPTY, format, has, intersect, size, union, type FrameSet } from "./frame-set.ts";
import { Leases, type LiveLease } from "./lease-index.ts";
import type { TaskDefinition } from "../../rpc/task.ts";
import { addFrames, NO_TALLY, type Tally } from "./tally.ts";
import type { Order } from "./visit-order.ts";

export { NO_TALLY };

/** What never changes while the ledger lives: part of the task's definition. */
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
}

export interface FailureRecord {
  worker: number;
  /** Failures in a row on this task. */
  streak: number;
  /** How often it has been kept off: each time is longer. */
  times: number;
  kept_off_until_ms: number;
}

export interface DependencyState {
  task: number;
  frames: Dependency["frames"];
  version: number;
  state: "open" | "completed" | "gone";
  /** `same` only: frames this dependency has opened. */
  opened: FrameSet;
}

/** Uploads that are nobody's result, to be deleted when their grant has run out. */
export interface Garbage {
  attempt: number;
  /** All frames of that attempt; the empty set means every attempt up to this one. */
  frames: FrameSet;
  /** `frames` were committed and are asked for again: theirs go, the attempt's others stay. */
  only?: true;
  due_ms: number;
}

export interface Ledger {
  /** Rises with every change. */
  version: number;
  /** The last attempt given out; rises for ever: the fencing token. */
  attempt: number;
  /** Next position in the visiting order. */
  cursor: number;
  /** Pending again (released, expired, requeued) or opened by a dependency: goes out before new frames. */
  ready: FrameSet;
  /** Pending after a render failure: goes out after new frames. */
  retry: FrameSet;
  skipped: FrameSet;
  counts: { leased: number; done: number; failed: number; skipped: number };
  leases: Leases;
  paused: boolean;
  canceled: boolean;
  /** Stopped by a rule; the text says which (`failed` with frames still pending). */
  stopped: string | null;
  /** Render failures since the last commit, and who had them. */
  streak: { failures: number; workers: number[] };
  blames: FailureRecord[];
  dependencies: DependencyState[];
  /** Registry's epoch: claims from before it are sent back. */
  outranked: number;
  frame_current: number | null;
  error: string | null;
  seconds: number;
  updated_ms: number;
  stats: ChunkStats;
  tally: Tally;
  sweeps: Garbage[];
  /** Sequence of the last history event. */
  event_seq: number;
}

/** What is known of a touched frame. Absent: never touched, or put back. */
export interface FrameEntry {
  state: "done" | "failed" | "retry";
  attempt: number;
  worker: number;
  seconds: number;
  at_ms: number;
  files: OutputFile[];
  /** Render failures by worker: `[worker, count]`. */
  failures: [number, number][];
  error: string | null;
}

/** Where entries are kept: pages in SQL, or a map in tests and the model check. */
export interface FrameTable {
  get(frame: number): FrameEntry | undefined;
  set(frame: number, entry: FrameEntry | undefined): void;
}

/** What a transition tells its caller besides its answer. */
export interface Effects {
  events: Omit<HistoryEvent, "seq" | "task_id" | "type">[];
  /** Leases that ended under their worker: tell it. */
  canceled: { worker_id: number; lease_id: string }[];
  /** Leases whose time was over have ended: the rows lack it, whatever the transition comes to. */
  expired: boolean;
}

/** Everything a transition works on. Transitions change `ledger` and `table` only when they succeed. */
export interface Transition {
  terms: Terms;
  ledger: Ledger;
  table: FrameTable;
  nowMs: number;
  effects: Effects;
  /** Workers online and able to do this task, as the registry last said; at least 1. */
  ableWorkers: number;
}

/** Terms from a stored frame list; the list was validated at submit, so a bad one is a bug. */
export function listFromText(text: string): { list: FrameList; total: number } {
  const parsed = parseFrameList(text);
  if (!parsed.ok) throw new Error(`stored frame list ${parsed.error}`);
  return { list: parsed.value, total: countFrames(parsed.value) };
}

/** The terms of a definition. */
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
  };
}

/** A new task's ledger. Frames that wait for the same frame of another task are not reached by the cursor but opened. */
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
    sweeps: [],
    event_seq: 0,
  };
}

/** Counters of every state; their sum is the total (P1). */
export function countsOf(terms: Terms, ledger: Ledger): FrameCounts {
  const { leased, done, failed, skipped } = ledger.counts;
  return { total: terms.total, pending: terms.total - leased - done - failed - skipped, leased, done, failed, skipped };
}

/** The lease in which a frame is open. */
export function holderOf(ledger: Ledger, frame: number): LiveLease | undefined {
  for (const lease of ledger.leases) if (has(lease.open, frame)) return lease;
  return undefined;
}

/** The state of one frame of the task (P1). */
export function stateOf(transition: Pick<Transition, "ledger" | "table">, frame: number): FrameState {
  return stateWhere(transition, frame, holderOf(transition.ledger, frame) !== undefined);
}

/** The states of many frames: leases are looked over once, not once a frame. */
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

/** Whether the task still waits for another one as a whole. */
export function waitsForWhole(ledger: Ledger): boolean {
  return ledger.dependencies.some((d) => d.frames === "all" && d.state !== "completed");
}

/** Frames all `same` dependencies have opened; null when there are none. */
export function openedFrames(ledger: Ledger): FrameSet | null {
  const gates = ledger.dependencies.filter((d) => d.frames === "same");
  if (gates.length === 0) return null;
  return gates.map((gate) => gate.opened).reduce(intersect);
}

/** The task's status, derived; nothing stores it. */
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

/** Frames a worker could be given now: none while paused, ended, or waiting for another task. */
export function claimable(terms: Terms, ledger: Ledger): number {
  if (ledger.canceled || ledger.paused || ledger.stopped !== null || waitsForWhole(ledger)) return 0;
  if (openedFrames(ledger) !== null) return size(ledger.ready) + size(ledger.retry);
  return countsOf(terms, ledger).pending;
}

/** Whether `frame` belongs to the task. */
export function isOfTask(terms: Terms, frame: number): boolean {
  return indexOfFrame(terms.list, frame) >= 0;
}

/** Record a change of the task as a whole. */
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

/** Record a change that all frames of the task underwent. The list is named as it was submitted: it may hold millions. */
export function noteAllFrames(transition: Transition, kind: HistoryEvent["kind"], detail: string | null): void {
  const { list, total } = transition.terms;
  noteTask(transition, kind, detail);
  Object.assign(transition.effects.events.at(-1)!, { frames: formatFrameList(list), frame_count: total });
}

/** Record what became of frames under a lease. */
export function noteLease(
  transition: Transition,
  kind: "done" | "error" | "lost",
  lease: LiveLease,
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
  });
}
