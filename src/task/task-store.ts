/**
 * SQL of one task's object. Four things are kept:
 *   definition  one row: what was submitted, compiled
 *   record      one row: the ledger, the chores, and the newest history events not yet written to D1
 *   pages       frames that have been touched, PAGE_FRAMES to a row, so that a chunk costs one or two rows
 *   outbox      older history events, many to a row, while D1 cannot be reached
 * A claim-complete cycle rewrites `record` and one page: two rows, whatever the size of the task.
 */
import { all, first, migrate, run } from "../platform/sql.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import type { FrameSet } from "./frame-set.ts";
import { NO_TALLY, termsOf, type FrameBook, type FrameEntry, type Ledger } from "./ledger.ts";
import type { TaskDefinition } from "./rpc.ts";

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

export interface Dependent {
  task: number;
  frames: "all" | "same";
  since_ms: number;
}

/** Frames to a page: one row of a few kilobytes, and a chunk of 10 touches one or two. */
export const PAGE_FRAMES = 16;
/** The record keeps this many events; more are moved to a row of the outbox. */
const TAIL_EVENTS = 100;

const SCHEMA = [
  `CREATE TABLE definition (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
   CREATE TABLE record (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
   CREATE TABLE pages (page INTEGER PRIMARY KEY, failed INTEGER NOT NULL, json TEXT NOT NULL);
   CREATE TABLE outbox (seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, json TEXT NOT NULL);
   CREATE TABLE dependents (task INTEGER PRIMARY KEY, frames TEXT NOT NULL, since_ms INTEGER NOT NULL);
   CREATE TABLE log (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, worker_id INTEGER, attempt INTEGER, text TEXT NOT NULL);`,
];

type Page = Record<string, FrameEntry>;

/** Pages kept in memory; a hot task works on one or two at a time. */
const CACHED_PAGES = 64;

export class TaskStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #pages = new Map<number, Page>();
  readonly #dirty = new Set<number>();
  readonly book: FrameBook = {
    get: (frame) => this.#page(pageOf(frame))[frame],
    set: (frame, entry) => this.#set(frame, entry),
  };

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /**
   * Whether this object holds a task. An object that was only asked about writes nothing: a look at a wrong id must not
   * leave a database behind.
   */
  open(): boolean {
    if (!first(this.#sql, "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'migrations'")) return false;
    migrate(this.#storage, SCHEMA);
    return first(this.#sql, "SELECT id FROM definition") !== undefined;
  }

  /** Whether what was restored is a task. What is not is forgotten, so that nothing ever has to live with it. */
  readable(): boolean {
    try {
      termsOf(this.definition());
      this.record();
      return true;
    } catch {
      for (const table of ["definition", "record", "pages"]) run(this.#sql, `DELETE FROM ${table}`);
      return false;
    }
  }

  prepare(): void {
    migrate(this.#storage, SCHEMA);
  }

  definition(): TaskDefinition {
    return JSON.parse(first<{ json: string }>(this.#sql, "SELECT json FROM definition")!.json) as TaskDefinition;
  }

  saveDefinition(definition: TaskDefinition): void {
    run(
      this.#sql,
      "INSERT INTO definition (id, json) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
      JSON.stringify(definition),
    );
  }

  record(): TaskRecord {
    const record = JSON.parse(first<{ json: string }>(this.#sql, "SELECT json FROM record")!.json) as TaskRecord;
    // Records from before there was a tally have none.
    record.ledger.tally = { ...NO_TALLY, ...record.ledger.tally };
    return record;
  }

  /** Write the record and every changed page. Call inside one `transactionSync`. */
  save(record: TaskRecord): void {
    if (record.tail.length > TAIL_EVENTS) {
      run(
        this.#sql,
        "INSERT INTO outbox (seq, last_seq, json) VALUES (?, ?, ?)",
        record.tail[0]!.seq,
        record.tail.at(-1)!.seq,
        JSON.stringify(record.tail),
      );
      record.tail = [];
    }
    for (const lease of record.ledger.leases) lease.stored_ms = lease.until_ms;
    run(
      this.#sql,
      "INSERT INTO record (id, json) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
      JSON.stringify(record),
    );
    for (const number of this.#dirty) this.#savePage(number);
    this.#dirty.clear();
  }

  #savePage(number: number): void {
    const page = this.#page(number);
    const entries = Object.values(page);
    if (entries.length === 0) run(this.#sql, "DELETE FROM pages WHERE page = ?", number);
    else {
      const failed = entries.filter((entry) => entry.state === "failed").length;
      run(
        this.#sql,
        "INSERT INTO pages (page, failed, json) VALUES (?, ?, ?) ON CONFLICT (page) DO UPDATE SET failed = excluded.failed, json = excluded.json",
        number,
        failed,
        JSON.stringify(page),
      );
    }
  }

  /** Forget everything held in memory: a transition that threw may have left it half-changed. */
  forget(): void {
    this.#pages.clear();
    this.#dirty.clear();
  }

  #page(number: number): Page {
    const cached = this.#pages.get(number);
    if (cached) return cached;
    const row = first<{ json: string }>(this.#sql, "SELECT json FROM pages WHERE page = ?", number);
    const page = row ? (JSON.parse(row.json) as Page) : {};
    if (this.#pages.size >= CACHED_PAGES) this.#evict();
    this.#pages.set(number, page);
    return page;
  }

  #evict(): void {
    for (const number of this.#pages.keys()) {
      if (this.#pages.size < CACHED_PAGES) return;
      if (!this.#dirty.has(number)) this.#pages.delete(number);
    }
  }

  #set(frame: number, entry: FrameEntry | undefined): void {
    const number = pageOf(frame);
    const page = this.#page(number);
    if (entry) page[frame] = entry;
    else if (frame in page) delete page[frame];
    else return;
    this.#dirty.add(number);
  }

  /** Touched frames from `from` on, ascending, page by page; consume before the next `await`. */
  *entries(from = -Infinity): Generator<[number, FrameEntry]> {
    const firstPage = from === -Infinity ? -(2 ** 40) : pageOf(from);
    for (const row of this.#sql.exec<{ json: string }>(
      "SELECT json FROM pages WHERE page >= ? ORDER BY page",
      firstPage,
    )) {
      const page = Object.entries(JSON.parse(row.json) as Page).map(
        ([frame, entry]) => [Number(frame), entry] as [number, FrameEntry],
      );
      for (const item of page.sort((a, b) => a[0] - b[0])) if (item[0] >= from) yield item;
    }
  }

  failedFrames(): number[] {
    const frames: number[] = [];
    for (const { json } of all<{ json: string }>(this.#sql, "SELECT json FROM pages WHERE failed > 0 ORDER BY page")) {
      for (const [frame, entry] of Object.entries(JSON.parse(json) as Page))
        if (entry.state === "failed") frames.push(Number(frame));
    }
    return frames;
  }

  clearPages(): void {
    run(this.#sql, "DELETE FROM pages");
    this.forget();
  }

  /** The oldest events waiting for D1. */
  waitingEvents(tail: readonly HistoryEvent[], limit: number): HistoryEvent[] {
    const events: HistoryEvent[] = [];
    for (const { json } of this.#sql.exec<{ json: string }>("SELECT json FROM outbox ORDER BY seq")) {
      events.push(...(JSON.parse(json) as HistoryEvent[]));
      if (events.length >= limit) return events.slice(0, limit);
    }
    return [...events, ...tail].slice(0, limit);
  }

  /** Drop events up to `throughSeq`; answers what is left of the tail. */
  dropEvents(tail: readonly HistoryEvent[], throughSeq: number): HistoryEvent[] {
    run(this.#sql, "DELETE FROM outbox WHERE last_seq <= ?", throughSeq);
    for (const { seq, json } of all<{ seq: number; json: string }>(
      this.#sql,
      "SELECT seq, json FROM outbox WHERE seq <= ?",
      throughSeq,
    )) {
      const left = (JSON.parse(json) as HistoryEvent[]).filter((event) => event.seq > throughSeq);
      run(this.#sql, "DELETE FROM outbox WHERE seq = ?", seq);
      run(
        this.#sql,
        "INSERT INTO outbox (seq, last_seq, json) VALUES (?, ?, ?)",
        left[0]!.seq,
        left.at(-1)!.seq,
        JSON.stringify(left),
      );
    }
    return tail.filter((event) => event.seq > throughSeq);
  }

  dependents(): Dependent[] {
    return all<{ task: number; frames: "all" | "same"; since_ms: number }>(
      this.#sql,
      "SELECT task, frames, since_ms FROM dependents",
    );
  }

  addDependent(dependent: Dependent): void {
    run(
      this.#sql,
      "INSERT INTO dependents (task, frames, since_ms) VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE SET frames = excluded.frames",
      dependent.task,
      dependent.frames,
      dependent.since_ms,
    );
  }

  removeDependent(task: number): void {
    run(this.#sql, "DELETE FROM dependents WHERE task = ?", task);
  }
}

function pageOf(frame: number): number {
  return Math.floor(frame / PAGE_FRAMES);
}
