/**
 * The world that the model check explores: one task as its object keeps it, workers that follow the
 * agent's protocol, a network that may delay, lose and repeat messages, and time in ticks. A world
 * is never changed: every move makes a new one.
 */
import type { ReleaseCause } from "../../src/protocol/lease.ts";
import type { TaskAction } from "../../src/protocol/task.ts";
import { newLedger, type FrameEntry, type Ledger, type Terms } from "../../src/task/rules/ledger.ts";
import { Leases } from "../../src/task/rules/lease-index.ts";
import { terms } from "../support/rules-farm.ts";

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
  /** Leases that workers may give back for a fault of their machines, in all. */
  refusals: number;
  /** What people may do, in all so many times. */
  acts: { times: number; kinds: TaskAction[]; frames: number[] };
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
  failed: readonly number[];
  /** Of a release: why. */
  cause?: ReleaseCause;
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
  /** The registry's epoch. */
  epoch: number;
  /** Makes lease ids and keys that were never used. */
  serial: number;
  failuresLeft: number;
  refusalsLeft: number;
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
  call: null,
  carriedOut: false,
  reply: null,
  waits: null,
  epoch: 0,
  old: [],
};

export function termsOf(configuration: Configuration): Terms {
  const { chunk, order, leaseTicks, tickMs, tries } = configuration;
  return terms(configuration.frames, { chunk, order, tries, leaseMs: leaseTicks * tickMs });
}

/** A task just submitted, and idle workers. */
export function firstWorld(configuration: Configuration): World {
  const snapshot: Snapshot = { ledger: newLedger([], false, 0), entries: {} };
  return {
    nowMs: 0,
    memory: snapshot,
    stored: snapshot,
    pending: false,
    alarmMs: null,
    armedMs: null,
    workers: Array.from({ length: configuration.workers }, () => IDLE),
    objects: configuration.objects ? {} : null,
    epoch: 0,
    serial: 0,
    failuresLeft: configuration.failures,
    refusalsLeft: configuration.refusals,
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
  return { ...IDLE, old: worker.old };
}
