/**
 * Groups events into rows of the table `history`, for the outbox that writes them to D1 and for
 * backups. Pure.
 */
import type { EventKind, HistoryEvent } from "./history.ts";

/**
 * One row of the table `history`: events of one worker, or about the task itself, with their counts
 * of frames and render seconds.
 */
export interface HistoryRow {
  task_id: number;
  /** `seq` of the first event: the key of the row within its task. */
  seq: number;
  /** `seq` of the last event. */
  through_seq: number;
  /**
   * The instant of the first event. All others are at most ROW_SPAN_MS later, and on the same UTC
   * day.
   */
  from_ms: number;
  /** Null for events about the task itself: they never share a row with events of frames. */
  worker_id: number | null;
  type: string;
  frames_done: number;
  frames_error: number;
  frames_lost: number;
  seconds: number;
  events: HistoryEvent[];
}

/**
 * The longest time that a row covers. A reader in time order must also read the rows that begin up
 * to this long before the instants that it wants, so a longer time makes reading dearer. With a
 * shorter time, readers would miss events of rows that are stored already.
 */
export const ROW_SPAN_MS = 60_000;
/**
 * The longest array of events in a row, in characters. One event has at most about 5,000, and D1
 * refuses a row above 2 MB.
 */
const ROW_CHARS = 32_768;
const DAY_MS = 86_400_000;

/**
 * Group events (of one task, `seq` ascending) into rows by worker; the rows are in the order of
 * their first events. The row of an event depends on earlier events only (see `history/outbox.ts`).
 */
export function batchRows(events: readonly HistoryEvent[]): HistoryRow[] {
  const rows: HistoryRow[] = [];
  const open = new Map<number | null, { row: HistoryRow; chars: number }>();
  for (const event of events) {
    const chars = JSON.stringify(event).length + 1;
    const worker = isAboutFrames(event.kind) ? event.worker_id : null;
    let group = open.get(worker);
    if (!group || startsRow(group, event, chars)) {
      group = { row: emptyRow(event, worker), chars: 0 };
      open.set(worker, group);
      rows.push(group.row);
    }
    group.chars += chars;
    append(group.row, event);
  }
  return rows;
}

/**
 * Whether an event begins a new row. This rule may not change while outboxes hold events (see
 * `history/outbox.ts`).
 */
function startsRow(group: { row: HistoryRow; chars: number }, event: HistoryEvent, chars: number): boolean {
  const afterMs = event.at_ms - group.row.from_ms;
  return (
    afterMs < 0 ||
    afterMs > ROW_SPAN_MS ||
    Math.floor(event.at_ms / DAY_MS) !== Math.floor(group.row.from_ms / DAY_MS) ||
    group.chars + chars > ROW_CHARS
  );
}

/**
 * Whether an event is about frames of an attempt, and so of a worker. Events of other kinds are
 * about the task.
 */
export function isAboutFrames(kind: EventKind): kind is "done" | "error" | "lost" {
  return kind === "done" || kind === "error" || kind === "lost";
}

function emptyRow(event: HistoryEvent, worker: number | null): HistoryRow {
  return {
    task_id: event.task_id,
    seq: event.seq,
    through_seq: event.seq,
    from_ms: event.at_ms,
    worker_id: worker,
    type: event.type,
    frames_done: 0,
    frames_error: 0,
    frames_lost: 0,
    seconds: 0,
    events: [],
  };
}

function append(row: HistoryRow, event: HistoryEvent): void {
  row.events.push(event);
  row.through_seq = event.seq;
  row.seconds += event.seconds ?? 0;
  if (event.kind === "done") row.frames_done += event.frame_count;
  else if (event.kind === "error") row.frames_error += event.frame_count;
  else if (event.kind === "lost") row.frames_lost += event.frame_count;
}
