/**
 * The world that the model check explores: one task as its object keeps it, workers that follow the
 * agent's protocol, a network that may delay, lose and repeat messages, and time in ticks. A world
 * is never changed: every move makes a new one.
 */
import type { Fault } from "../../src/protocol/constants.ts";
import type { ReleaseCause } from "../../src/protocol/lease.ts";
import { framesOf } from "../../src/protocol/frame-list.ts";
import type { Dependency, TaskAction } from "../../src/protocol/task.ts";
import type { DependencyProgress, TakenBack } from "../../src/rpc/task.ts";
import { listFromText, newLedger, type FrameEntry, type Ledger, type Terms } from "../../src/task/rules/ledger.ts";
import { Leases } from "../../src/task/rules/lease-index.ts";
import { terms } from "../support/rules-farm.ts";

/** The id of the task that this one waits for. */
const SOURCE = 9;

/** What is explored, and where the exploration ends. */
export interface Configuration {
  name: string;
  workers: number;
  frames: string;
  chunk: number;
  order: "ascending" | "preview";
  /** How long a lease lasts. */
  leaseTicks: number;
  tickMs: number;
  tries: number;
  /** Numbers of able workers that the registry may report; any of them, at any call. */
  able: number[];
  /**
   * Old messages of a worker that the network may still deliver, any number of times, besides the
   * call under way.
   */
  oldMessages: number;
  /**
   * A reply may come late, when the worker has tried again meanwhile. Where false, it comes at once
   * or never.
   */
  lateReplies: boolean;
  /**
   * Group commit: what lease calls change is pending until a row is written for all, and their
   * answers wait for it.
   */
  sharesRows: boolean;
  /** Workers ask for the next lease when they settle one; `both`: or not. */
  next: "always" | "both";
  renews: boolean;
  releases: boolean;
  /** Render failures that may happen in all. */
  failures: number;
  /** Workers may call any of them the scene's fault, rightly or not. */
  faults: boolean;
  /** Leases that workers may give back for a fault of their machines, in all. */
  refusals: number;
  /** What people may do, in all so many times. */
  acts: { times: number; kinds: TaskAction[]; frames: number[] };
  /**
   * The task waits for another one: for its frames one by one (`same`), or it reads its files (`input`).
   * That one may take frames back so many times in all. Null: it waits for nothing.
   */
  source: { mode: "same" | "input"; takes: number } | null;
  /**
   * The version of Blender that the task needs, and those that each worker has, the one that it uses by
   * default first. Null: Blender does not render it.
   */
  blender: { need: string; has: readonly (readonly string[])[] } | null;
  /**
   * Renders in all that may give a picture of one colour; all others give one of several. The task is `strict` where
   * there may be any.
   */
  flats: number;
  /** Times that the registry may raise its epoch. */
  preemptions: number;
  /** Alarms that the platform may lose. Where there are none, every alarm rings in the end. */
  lostAlarms: number;
  /** Follow every uploaded object, and the deletion of garbage. */
  objects: boolean;
  /**
   * Leases given out in all, where the task's state would else grow without end; Infinity where it
   * does not.
   */
  leases: number;
  /** Stop here, for a run in limited time; the report says that it was cut. */
  maxStates: number;
}

/** The task's rows, or what its object holds in memory. */
export interface Snapshot {
  ledger: Ledger;
  entries: Readonly<Record<number, FrameEntry>>;
}

/** What a worker knows of its lease. */
export interface Held {
  attempt: number;
  leaseId: string;
  frames: readonly number[];
  /** The end of its right to upload. */
  grantMs: number;
}

/**
 * What a worker has read of the source's files: their version, or `mixed` when it was not one or not all of
 * them; and the version of the source at that time.
 */
export interface Read {
  files: string;
  at: number;
}

interface ClaimCall {
  verb: "claim";
  worker: number;
  key: string;
  epoch: number;
}

export interface LeaseCall {
  verb: "renew" | "complete" | "fail" | "release";
  worker: number;
  attempt: number;
  leaseId: string;
  /**
   * Frames with their receipts; a receipt names attempt and frame, its bytes are known by the lease
   * they were made under.
   */
  done: readonly number[];
  /** Those of them whose pictures have one colour. Absent: none. */
  flat?: readonly number[];
  failed: readonly number[];
  /** Of a release: why. */
  cause?: ReleaseCause;
  /** Of a failure: whose fault it is. */
  fault?: Fault;
  /** Of a task that reads the files of another one: see `Worker.read`. */
  read?: Read;
  /** Key of the claim that rides along. */
  next: string | null;
  epoch: number;
}

/** A request; the same content is the same message, however often it is sent. */
export type Message = ClaimCall | LeaseCall;

/** What the manager answers. */
export type Reply = { ok: true; lease: Held | null; committed: number } | { ok: false; code: string; detail: string };

export interface Worker {
  phase: "idle" | "claiming" | "rendering" | "settling";
  held: Held | null;
  /** Frames rendered and uploaded. */
  done: readonly number[];
  /** Those of them whose pictures have one colour. */
  flat: readonly number[];
  /** What it has read of the source's files; null before it has read. */
  read: Read | null;
  /** The call that is repeated until it is answered. */
  call: Message | null;
  /** The manager has carried the call out; only the check knows. */
  carriedOut: boolean;
  /** An answer on its way. */
  reply: Reply | null;
  /**
   * That answer waits for the row; `carriedOut` is so when it is written. Null when nothing waits.
   */
  waits: { carriedOut: boolean } | null;
  /** The epoch of its assignment. */
  epoch: number;
  /** Messages that the network still has, oldest first. */
  old: readonly Message[];
  /** Its Blenders, which tell workers apart. */
  blenders: readonly string[];
}

/** The task that this one waits for, and what the network has of its messages. */
export interface Source {
  version: number;
  /** Its frames that are done. */
  done: readonly number[];
  /** Names its files: another one after each change. */
  filesVersion: number;
  takesLeft: number;
  /** What it took back since the last news that was answered. */
  takenBack: readonly TakenBack[];
  /** The newest message that the task was given. */
  told: DependencyProgress;
  /** Messages that the network still has, oldest first. */
  old: readonly DependencyProgress[];
  /** Finished frames of the task that were made before the source took its own back. */
  outdated: readonly number[];
  /** What the newest finished frame was made of: see `Read`. */
  made: string | null;
}

export interface World {
  nowMs: number;
  /** What the object holds in memory … */
  memory: Snapshot;
  /** … and what it last stored: the same object when they are equal. */
  stored: Snapshot;
  /** Memory holds changes of lease calls that are not written, and not answered. */
  pending: boolean;
  /** When the platform will ring … */
  alarmMs: number | null;
  /** … and when the object believes that it will: the same unless an alarm was lost. */
  armedMs: number | null;
  workers: readonly Worker[];
  /**
   * Uploaded objects: `attempt/frame` → the lease under which the bytes were made. Null when they
   * are not followed.
   */
  objects: Readonly<Record<string, string>> | null;
  /** Null where the task waits for nothing. */
  source: Source | null;
  /** The registry's epoch. */
  epoch: number;
  /** Makes lease ids and keys that were never used. */
  serial: number;
  failuresLeft: number;
  refusalsLeft: number;
  flatsLeft: number;
  actsLeft: number;
  preemptionsLeft: number;
  /** Null where no alarm can be lost. */
  lossesLeft: number | null;
  /** The history holds the end of the task: as in memory, and as last stored. */
  noted: boolean;
  notedStored: boolean;
}

const IDLE: Worker = {
  phase: "idle",
  held: null,
  done: [],
  flat: [],
  read: null,
  call: null,
  carriedOut: false,
  reply: null,
  waits: null,
  epoch: 0,
  old: [],
  blenders: [],
};

export function termsOf(configuration: Configuration): Terms {
  const { chunk, order, leaseTicks, tickMs, tries } = configuration;
  const inputTask = configuration.source?.mode === "input" ? SOURCE : null;
  const blender = configuration.blender?.need ?? null;
  const strict = configuration.flats > 0;
  return terms(configuration.frames, { chunk, order, tries, leaseMs: leaseTicks * tickMs, inputTask, blender, strict });
}

/** The Blenders of a worker, by its id. */
export function blendersOf({ blender }: Configuration, worker: number): readonly string[] {
  return blender?.has[worker - 1] ?? [];
}

/** The frames of the source: those of the task. */
export function sourceFrames({ frames }: Configuration): number[] {
  return [...framesOf(listFromText(frames).list)];
}

/** What the source says of itself. */
export function progressOf(source: Source, configuration: Configuration): DependencyProgress {
  const isSame = configuration.source?.mode === "same";
  return {
    id: SOURCE,
    version: source.version,
    state: source.done.length === sourceFrames(configuration).length ? "completed" : "open",
    done: isSame && source.done.length > 0 ? source.done.join(",") : null,
    files_version: String(source.filesVersion),
    ...(isSame && source.takenBack.length > 0 && { taken_back: [...source.takenBack] }),
  };
}

function firstSource(configuration: Configuration): Source | null {
  if (configuration.source === null) return null;
  const source = {
    version: 0,
    done: [],
    filesVersion: 0,
    takesLeft: configuration.source.takes,
    takenBack: [],
    old: [],
    outdated: [],
    made: null,
  };
  const told: DependencyProgress = { id: SOURCE, version: -1, state: "open", done: null };
  return { ...source, told };
}

/** A task just submitted, and idle workers. */
export function firstWorld(configuration: Configuration): World {
  const { source } = configuration;
  const waits: Dependency[] = source ? [{ task: SOURCE, frames: source.mode === "same" ? "same" : "all" }] : [];
  const snapshot: Snapshot = { ledger: newLedger(waits, false, 0), entries: {} };
  return {
    nowMs: 0,
    memory: snapshot,
    stored: snapshot,
    pending: false,
    alarmMs: null,
    armedMs: null,
    workers: Array.from({ length: configuration.workers }, (_, index) => ({
      ...IDLE,
      blenders: blendersOf(configuration, index + 1),
    })),
    objects: configuration.objects ? {} : null,
    source: firstSource(configuration),
    epoch: 0,
    serial: 0,
    failuresLeft: configuration.failures,
    refusalsLeft: configuration.refusals,
    flatsLeft: configuration.flats,
    actsLeft: configuration.acts.times,
    preemptionsLeft: configuration.preemptions,
    lossesLeft: configuration.lostAlarms === 0 ? null : configuration.lostAlarms,
    noted: false,
    notedStored: false,
  };
}

/**
 * A copy that transitions may change: they change the ledger, its counts and its leases in place,
 * and replace all else.
 */
export function copyOf({ ledger, entries }: Snapshot): { ledger: Ledger; entries: Record<number, FrameEntry> } {
  const leases = new Leases([...ledger.leases].map((lease) => ({ ...lease })));
  // A renewal that was not stored is still to be written with the next row.
  for (const lease of leases) if (lease.stored_ms !== lease.until_ms) leases.change(lease, {});
  return {
    ledger: {
      ...ledger,
      counts: { ...ledger.counts },
      leases,
      dependencies: ledger.dependencies.map((dependency) => ({ ...dependency })),
      sweeps: ledger.sweeps.map((garbage) => ({ ...garbage })),
    },
    entries: { ...entries },
  };
}

/** The world with one worker changed. */
export function withWorker(world: World, index: number, change: Partial<Worker>): World {
  return { ...world, workers: world.workers.map((worker, i) => (i === index ? { ...worker, ...change } : worker)) };
}

/**
 * The worker after it forgot all it knew: it crashed, lost its lease, or has nothing to do. The
 * network keeps its messages.
 */
export function forgetful(worker: Worker): Worker {
  return { ...IDLE, old: worker.old, blenders: worker.blenders };
}
