/**
 * Adds up the totals that D1 holds: rows of days that are packed, and rows of one task and day that
 * are not packed yet. Pure; `totals-store.ts` reads and writes the rows.
 *
 * Workers and tasks are counted once however many rows name them, so a day of which both kinds of
 * rows exist cannot be added up from counts: its rows are unfolded.
 */
import type { DayTotal, WorkerTotal } from "../protocol/history.ts";

/** What one worker did in one task on one day; worker 0 stands for events about the task itself. */
type OpenEntry = readonly [
  worker: number,
  frames: number,
  errors: number,
  lost: number,
  seconds: number,
  lastMs: number,
];
/** What one worker did on one day, and in which tasks. */
type PackedEntry = readonly [...OpenEntry, tasks: readonly number[]];

/** A row of `history_open_days`. `day` counts from 1970 (UTC). */
export interface OpenDay {
  day: number;
  task_id: number;
  /** JSON of OpenEntry[]. */
  entries: string;
}

/** A row of `history_days`. */
export interface PackedDay extends Omit<DayTotal, "day"> {
  day: number;
  /** JSON of PackedEntry[]; null when it was not asked for. */
  entries: string | null;
}

const DAY_MS = 86_400_000;

/** The day of an instant, counted from 1970 (UTC). */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / DAY_MS);
}

/** The instant at which a day begins. */
export function startOfDay(day: number): number {
  return day * DAY_MS;
}

/**
 * The totals of each day that has rows, oldest first. A packed row of a day that has open rows,
 * too, must come with its entries.
 */
export function dayTotals(packed: readonly PackedDay[], open: readonly OpenDay[]): DayTotal[] {
  const days = new Map<number, DaySum>();
  const sumOf = (day: number): DaySum => {
    const sum = days.get(day) ?? new DaySum();
    days.set(day, sum);
    return sum;
  };
  for (const { day, task_id, entries } of open) {
    const sum = sumOf(day);
    for (const entry of parseOpen(entries)) sum.add(entry, [task_id]);
  }
  const whole = packed.map((row): [number, DayTotal] => {
    const { day, entries, ...counted } = row;
    const sum = days.get(day);
    if (!sum) return [day, { day: nameOf(day), ...counted }];
    for (const entry of parsePacked(entries ?? "[]")) sum.add(entry, entry[6]);
    return [day, sum.total(day)];
  });
  const all = new Map<number, DayTotal>([...days].map(([day, sum]) => [day, sum.total(day)]));
  for (const [day, total] of whole) all.set(day, total);
  return [...all].toSorted(([a], [b]) => a - b).map(([, total]) => total);
}

class DaySum {
  readonly #sum = { frames: 0, errors: 0, lost: 0, seconds: 0 };
  readonly #workers = new Set<number>();
  readonly #tasks = new Set<number>();

  add([worker, frames, errors, lost, seconds]: OpenEntry | PackedEntry, tasks: readonly number[]): void {
    this.#sum.frames += frames;
    this.#sum.errors += errors;
    this.#sum.lost += lost;
    this.#sum.seconds += seconds;
    if (worker !== 0) this.#workers.add(worker);
    for (const task of tasks) this.#tasks.add(task);
  }

  total(day: number): DayTotal {
    return { day: nameOf(day), ...this.#sum, workers: this.#workers.size, tasks: this.#tasks.size };
  }
}

/** `YYYY-MM-DD`. */
function nameOf(day: number): string {
  return new Date(startOfDay(day)).toISOString().slice(0, 10);
}

interface WorkerSum {
  frames: number;
  errors: number;
  lost: number;
  seconds: number;
  last_ms: number;
  tasks: Set<number>;
}

/** Adds up what each worker did, over rows that come in pages. */
export class WorkerTotals {
  readonly #workers = new Map<number, WorkerSum>();

  /** Packed rows need their entries. */
  add(packed: readonly Pick<PackedDay, "entries">[], open: readonly OpenDay[]): void {
    for (const { entries } of packed) for (const entry of parsePacked(entries ?? "[]")) this.#add(entry, entry[6]);
    for (const { task_id, entries } of open) for (const entry of parseOpen(entries)) this.#add(entry, [task_id]);
  }

  #add([worker, frames, errors, lost, seconds, lastMs]: OpenEntry | PackedEntry, tasks: readonly number[]): void {
    if (worker === 0) return;
    let sum = this.#workers.get(worker);
    if (!sum) {
      sum = { frames: 0, errors: 0, lost: 0, seconds: 0, last_ms: 0, tasks: new Set() };
      this.#workers.set(worker, sum);
    }
    sum.frames += frames;
    sum.errors += errors;
    sum.lost += lost;
    sum.seconds += seconds;
    sum.last_ms = Math.max(sum.last_ms, lastMs);
    for (const task of tasks) sum.tasks.add(task);
  }

  /** At most `limit` workers, those with the most frames first. */
  list(limit: number): WorkerTotal[] {
    return [...this.#workers]
      .toSorted(([a, one], [b, other]) => other.frames - one.frames || a - b)
      .slice(0, limit)
      .map(([worker_id, { tasks, last_ms, ...sum }]) => ({
        worker_id,
        ...sum,
        frames_per_hour: sum.seconds > 0 ? Math.round((sum.frames / sum.seconds) * 360_000) / 100 : null,
        tasks: tasks.size,
        last_ms,
      }));
  }
}

function parseOpen(json: string): OpenEntry[] {
  return JSON.parse(json) as OpenEntry[];
}

function parsePacked(json: string): PackedEntry[] {
  return JSON.parse(json) as PackedEntry[];
}
