import type { WholeTask } from "./counts.ts";

/** What Node asks of the driver inside the runtime (`workerd/driver.ts`). */
export type Order =
  /** Every worker claims its first lease. */
  | { do: "claim"; task: number; workers: number }
  /** Every worker completes its lease and takes the next, `cycles` times. */
  | { do: "cycle"; task: number; workers: number; cycles: number }
  /** Every worker asks the registry for a task, `calls` times, and gets another one each time: a task switch. */
  | { do: "ask"; workers: number[]; calls: number }
  /** `callers` at a time call the bare object, each `calls` times. */
  | { do: "bare"; callers: number; calls: number; text: string };

/** What Node asks of the counted manager (`workerd/counted.ts`). */
export type CountedOrder =
  /** Answers `TaskCounts`. */
  | { do: "whole task"; work: WholeTask }
  /** A task of this many frames, for `claims`; answers its id. */
  | { do: "make task"; frames: number }
  /** The first of these workers completes and claims on, `claims` times; all others hold a lease. Answers `Claims`. */
  | { do: "claims"; task: number; workers: number; claims: number }
  /** A registry of its own with so many tasks and workers; answers nothing. */
  | { do: "make registry"; name: string; tasks: number; workers: number }
  /** One worker asks it for a task, `claims` times. Answers `Claims`. */
  | { do: "asks"; name: string; claims: number }
  /** So many connected workers, for so long by their clock. Answers `Idle`. */
  | { do: "idle"; workers: number; forMs: number };

/** What so many claims cost. */
export interface Claims {
  rowsRead: number;
  rowsWritten: number;
}

/** What connected idle workers cost. */
export interface Idle {
  /** Events that reached the registry, by handler. */
  wakes: Record<string, number>;
  pings: number;
  pongs: number;
  rowsWritten: number;
  /** When its alarm is next due, in ms from the end; null for never. */
  nextAlarmMs: number | null;
}
