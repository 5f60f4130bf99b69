import type { WholeTask } from "./counts.ts";

/** Orders of Node to the driver inside the runtime (`workerd/driver.ts`). */
export type Order =
  /** Every worker claims its first lease. */
  | { do: "claim"; task: number; workers: number }
  /** Every worker completes its lease and takes the next, `cycles` times. */
  | { do: "cycle"; task: number; workers: number; cycles: number }
  /**
   * Every worker asks the registry for a task, `calls` times, and gets a different one each time: a
   * task switch.
   */
  | { do: "ask"; workers: number[]; calls: number }
  /** `callers` at a time call the bare object, each `calls` times. */
  | { do: "bare"; callers: number; calls: number; text: string };

/** Orders of Node to the counted manager (`workerd/counted.ts`). */
export type CountedOrder =
  /** Answers `TaskCounts`. */
  | { do: "whole task"; work: WholeTask }
  /** A task of this many frames, for `claims`; answers its id. */
  | { do: "make task"; frames: number }
  /**
   * The first of these workers completes and claims on, `claims` times; all others hold a lease.
   * Answers `Claims`.
   */
  | { do: "claims"; task: number; workers: number; claims: number }
  /** A registry of its own with this many tasks and workers; answers nothing. */
  | { do: "make registry"; name: string; tasks: number; workers: number }
  /** One worker asks it for a task, `claims` times. Answers `Claims`. */
  | { do: "asks"; name: string; claims: number }
  /** This many connected workers, for this long on their clock. Answers `Idle`. */
  | { do: "idle"; workers: number; forMs: number };

/** The cost of these claims. */
export interface Claims {
  rowsRead: number;
  rowsWritten: number;
}

/** The cost of connected idle workers. */
export interface Idle {
  /** Events that reached the registry, by handler. */
  wakes: Record<string, number>;
  pings: number;
  pongs: number;
  rowsWritten: number;
  /** When its alarm is next due, in ms from the end; null for never. */
  nextAlarmMs: number | null;
}
