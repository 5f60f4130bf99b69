/** What a task's object knows besides its definition and its frames: one value, kept as a row and a journal of changes to it. */
import type { HistoryEvent } from "../protocol/history.ts";
import type { FrameSet } from "./frame-set.ts";
import type { Ledger } from "./ledger.ts";

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
