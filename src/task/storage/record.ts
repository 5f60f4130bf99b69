/** What a task's object knows besides its definition and its frames: one value, kept as a row and a journal of changes to it. */
import type { HistoryEvent } from "../../protocol/history.ts";
import { EMPTY, type FrameSet } from "../rules/frame-set.ts";
import { newLedger, NO_TALLY, type Ledger } from "../rules/ledger.ts";
import { Leases, type LiveLease } from "../rules/lease-index.ts";
import type { TaskDefinition } from "../../rpc/task.ts";

/** A report that did not arrive is sent again after this. */
export const REPORT_AGAIN_MS = 5_000;

/** Work an object owes others; persisted with the ledger, so that none is forgotten. */
export interface ChoreState {
  created_ms: number;
  /** When the registry must be told again; null when it knows. */
  report_due_ms: number | null;
  /** As the registry last said (P6). */
  able_workers: number;
  /** Frames done since dependents in `same` mode were last told. */
  news: FrameSet;
  news_due_ms: number | null;
  outbox_due_ms: number | null;
  outbox_failures: number;
  /** Set while the task is being removed; the next step is due then, and the files are swept once more at `until_ms`. */
  remove: { due_ms: number; until_ms: number } | null;
}

export interface TaskRecord {
  ledger: Ledger;
  chores: ChoreState;
  tail: HistoryEvent[];
  /** Generation of the task's share links: raised to void them all. Absent: 0. */
  shares?: number;
}

/** Of a task that has just been submitted: the registry must hear of it, whatever becomes of the first report. */
export function newRecord({ depends_on, paused }: TaskDefinition, nowMs: number): TaskRecord {
  return {
    ledger: newLedger(depends_on, paused, nowMs),
    chores: {
      created_ms: nowMs,
      report_due_ms: nowMs + REPORT_AGAIN_MS,
      able_workers: 1,
      news: EMPTY,
      news_due_ms: null,
      outbox_due_ms: null,
      outbox_failures: 0,
      remove: null,
    },
    tail: [],
  };
}

/** A record as its row has it, which may be one from before there was a tally; `parts`: rows with more of its leases. */
export function recordFrom(json: string, parts: readonly string[] = []): TaskRecord {
  const { ledger, ...rest } = JSON.parse(json) as Omit<TaskRecord, "ledger"> & {
    ledger: Omit<Ledger, "leases"> & { leases: LiveLease[] };
  };
  const leases = parts.reduce((all, part) => all.concat(JSON.parse(part) as LiveLease[]), ledger.leases);
  const tally = { ...NO_TALLY, ...ledger.tally };
  return { ...rest, ledger: { ...ledger, leases: new Leases(leases), tally } };
}
