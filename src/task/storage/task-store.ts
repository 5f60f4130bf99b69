/**
 * SQL of one task's object. Six things are kept:
 *   definition  one row: what was submitted, compiled
 *   record      one row: the ledger, the chores, and the newest history events not yet written to D1
 *   leases      live leases that a row of the record would not hold, many to a row: there are none with less than thousands
 *   pages       frames that have been touched, several to a row (`page-store.ts`)
 *   journal     what changed since record and pages were last written: a ring of rows (`journal.ts`)
 *   outbox      older history events, many to a row, while D1 cannot be reached
 * A claim-complete cycle writes one row of the journal, or shares one with others that come at the same time (`held-task.ts`);
 * after JOURNAL_ROWS of them a checkpoint writes the record and the pages that changed since the last one. Neither depends on the
 * size of the task: a record that is large for its many leases is written after as many more.
 */
import { all, first, migrate, run } from "../../platform/sql.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import { apply, DirtyTracker, type Delta } from "./write-ahead-log.ts";
import { termsOf, type FrameTable, type FrameEntry } from "../rules/ledger.ts";
import { PAGE_FRAMES, FramePages } from "./frame-pages.ts";
import { recordFrom } from "./record.ts";
import type { TaskRecord } from "../rules/record.ts";
import type { TaskDefinition } from "../../rpc/task.ts";

export interface Dependent {
  task: number;
  frames: "all" | "same";
  since_ms: number;
}

/** So many rows of the journal share a checkpoint, or more where the record is large; waking reads as many. */
const JOURNAL_ROWS = 64;
const MAX_JOURNAL_ROWS = 1_024;
/** Waking reads no more than this: rows are longer where many transitions share one. */
const MAX_JOURNAL_CHARS = 4_000_000;
/** About as long as a row of the journal: with a row for each so many of the record's characters, a checkpoint writes no more than they. */
const JOURNAL_ROW_CHARS = 2_048;
/** A row may hold 2 MB on Cloudflare; what is longer than this goes into several. */
const MAX_ROW_CHARS = 500_000;
/** Transitions that change more frames than this, each, make a checkpoint: else their pages' worth would be written twice. */
const JOURNAL_ENTRIES = 4 * PAGE_FRAMES;
/** Rows of the journal are made this many characters long, or twice, and so on. */
const JOURNAL_PAD = 512;
/** The record keeps this many events; more are moved to a row of the outbox. */
const TAIL_EVENTS = 100;

const SCHEMA = [
  `CREATE TABLE definition (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
   CREATE TABLE record (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
   CREATE TABLE pages (page INTEGER PRIMARY KEY, failed INTEGER NOT NULL, json TEXT NOT NULL);
   CREATE TABLE outbox (seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, json TEXT NOT NULL);
   CREATE TABLE dependents (task INTEGER PRIMARY KEY, frames TEXT NOT NULL, since_ms INTEGER NOT NULL);
   CREATE TABLE log (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, worker_id INTEGER, attempt INTEGER, text TEXT NOT NULL);`,
  "CREATE TABLE journal (slot INTEGER PRIMARY KEY, version INTEGER NOT NULL, json TEXT NOT NULL);",
  "CREATE TABLE leases (part INTEGER PRIMARY KEY, json TEXT NOT NULL);",
];

export class TaskStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #pages: FramePages;
  readonly #dirty = new DirtyTracker();
  /** Version of the record's row; null when the next transition must write it. */
  #checkpointed: number | null = null;
  /** Version that the rows have. */
  #flushedVersion = 0;
  /** Rows of the journal since the checkpoint, and their characters. */
  #rows = 0;
  #chars = 0;
  /** Rows until the next checkpoint. */
  #journalRows = JOURNAL_ROWS;
  /** Rows of leases. */
  #leaseParts = 0;
  readonly frameTable: FrameTable;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#pages = new FramePages(storage.sql);
    this.frameTable = this.#pages.frameTable;
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
      for (const table of ["definition", "record", "leases", "pages", "journal"])
        run(this.#sql, `DELETE FROM ${table}`);
      return false;
    }
  }

  migrate(): void {
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

  /** The record as of the last transition. What the journal knows of pages is in memory from then on. */
  record(): TaskRecord {
    const { json } = first<{ json: string }>(this.#sql, "SELECT json FROM record")!;
    const parts = all<{ json: string }>(this.#sql, "SELECT json FROM leases ORDER BY part").map((part) => part.json);
    const record = recordFrom(json, parts);
    this.#leaseParts = parts.length;
    this.#setJournalRows([json, ...parts]);
    const { version } = record.ledger;
    const rows = all<{ slot: number; version: number; json: string }>(
      this.#sql,
      "SELECT slot, version, json FROM journal WHERE version > ? ORDER BY version",
      version,
    );
    for (const row of rows) apply(record, this.frameTable, JSON.parse(row.json) as Delta);
    // Rows of an earlier release may lie where the next ones are to go.
    this.#checkpointed = rows.every((row, i) => row.slot === i + 1) ? version : null;
    this.#flushedVersion = record.ledger.version;
    this.#rows = rows.length;
    this.#chars = rows.reduce((sum, row) => sum + row.json.length, 0);
    this.#pages.flushed();
    this.#dirty.flushed(record);
    return record;
  }

  /** Write what transitions have changed since the last time, all or nothing; each has raised the record's version. */
  flush(record: TaskRecord): void {
    const { version } = record.ledger;
    const { changed } = this.#pages;
    const due = this.#checkpointed === null || this.#rows >= this.#journalRows || this.#chars >= MAX_JOURNAL_CHARS;
    const json =
      due || changed.size > JOURNAL_ENTRIES * (version - this.#flushedVersion)
        ? null
        : JSON.stringify(this.#dirty.drainDelta(record, changed));
    if (json === null || json.length > MAX_ROW_CHARS) {
      this.#storage.transactionSync(() => this.checkpoint(record));
      return;
    }
    const row = padded(json);
    const slot = this.#rows + 1;
    run(this.#sql, "INSERT OR REPLACE INTO journal (slot, version, json) VALUES (?, ?, ?)", slot, version, row);
    this.#rows = slot;
    this.#chars += row.length;
    this.#flushedVersion = version;
    this.#pages.flushed();
  }

  /** A checkpoint: write the record and every changed page. Call inside one `transactionSync`. */
  checkpoint(record: TaskRecord): void {
    if (record.tail.length > TAIL_EVENTS) {
      for (const { items, json } of inRows(record.tail)) {
        run(
          this.#sql,
          "INSERT INTO outbox (seq, last_seq, json) VALUES (?, ?, ?)",
          items[0]!.seq,
          items.at(-1)!.seq,
          json,
        );
      }
      record.tail = [];
    }
    this.#dirty.flushed(record);
    const whole = JSON.stringify(record);
    const [json, parts] = whole.length > MAX_ROW_CHARS ? inParts(record) : [whole, []];
    run(
      this.#sql,
      "INSERT INTO record (id, json) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
      json,
    );
    this.#saveLeases(parts);
    this.#pages.save();
    this.#setJournalRows([json, ...parts]);
    this.#checkpointed = record.ledger.version;
    this.#flushedVersion = record.ledger.version;
    this.#rows = 0;
    this.#chars = 0;
  }

  #saveLeases(parts: readonly string[]): void {
    for (const [part, json] of parts.entries())
      run(this.#sql, "INSERT OR REPLACE INTO leases (part, json) VALUES (?, ?)", part, json);
    if (parts.length < this.#leaseParts) run(this.#sql, "DELETE FROM leases WHERE part >= ?", parts.length);
    this.#leaseParts = parts.length;
  }

  #setJournalRows(record: readonly string[]): void {
    const chars = record.reduce((sum, json) => sum + json.length, 0);
    this.#journalRows = Math.min(MAX_JOURNAL_ROWS, Math.max(JOURNAL_ROWS, Math.ceil(chars / JOURNAL_ROW_CHARS)));
  }

  /** Whether the record's row is as new as the record, so that no row of the write-ahead log is newer. */
  isCheckpointed(record: TaskRecord): boolean {
    return this.#checkpointed === record.ledger.version;
  }

  /** Forget everything held in memory: a transition that threw may have left it half-changed. */
  forget(): void {
    this.#pages.forget();
  }

  /** Touched frames from `from` on, ascending, page by page; consume before the next `await`. */
  entries(from?: number): Generator<[number, FrameEntry]> {
    return this.#pages.entries(from);
  }

  failedFrames(): number[] {
    return this.#pages.failedFrames();
  }

  clearPages(): void {
    this.#pages.clear();
    // The journal cannot say this: the transition is a checkpoint.
    this.#checkpointed = null;
  }

  /** The oldest events waiting for D1. */
  waitingEvents(tail: readonly HistoryEvent[], limit: number): HistoryEvent[] {
    const events: HistoryEvent[] = [];
    while (events.length < limit) {
      const after = events.at(-1)?.seq ?? 0;
      const row = first<{ json: string }>(
        this.#sql,
        "SELECT json FROM outbox WHERE seq > ? ORDER BY seq LIMIT 1",
        after,
      );
      if (!row) return [...events, ...tail].slice(0, limit);
      events.push(...(JSON.parse(row.json) as HistoryEvent[]));
    }
    return events.slice(0, limit);
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

/** The record without its leases, and rows of them. */
function inParts({ ledger, ...rest }: TaskRecord): [string, string[]] {
  const parts = inRows(ledger.leases).map(({ json }) => json);
  return [JSON.stringify({ ...rest, ledger: { ...ledger, leases: [] } }), parts];
}

/** Items in their order, as JSON lists that a row can hold. */
function inRows<T>(items: Iterable<T>): { items: T[]; json: string }[] {
  const rows: { items: T[]; texts: string[]; chars: number }[] = [];
  for (const item of items) {
    const text = JSON.stringify(item);
    let row = rows.at(-1);
    if (!row || row.chars + text.length > MAX_ROW_CHARS) rows.push((row = { items: [], texts: [], chars: 0 }));
    row.items.push(item);
    row.texts.push(text);
    row.chars += text.length + 1;
  }
  return rows.map((row) => ({ items: row.items, json: `[${row.texts.join()}]` }));
}

/** SQLite overwrites a row of the same length where it lies; any other is cut out, and the page put in order: twice the time. */
function padded(json: string): string {
  return json.padEnd(Math.ceil(json.length / JOURNAL_PAD) * JOURNAL_PAD);
}
