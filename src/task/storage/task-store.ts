/**
 * SQL of one task's object. Its tables:
 *   definition  one row: the submission, compiled (`definition-store.ts`)
 *   definition_parts  the settings of a submission that is too long for one row
 *   record      one row: the ledger, the deferred work, and the recent history events that are not
 *               in D1 yet
 *   leases      live leases for which the record's row has no room, many to a row; empty with less
 *               than thousands of leases
 *   pages       entries of frames, several to a row (`frame-pages.ts`)
 *   journal     the write-ahead log: what changed since record and pages were written
 *               (`write-ahead-log.ts`)
 *   outbox      older history events, many to a row, while D1 cannot be reached
 *   dependents  tasks that wait for this one
 *   log         what the task's processes printed (`log-store.ts`)
 * A complete-and-claim call writes one row of the write-ahead log, or shares one with other calls
 * (`transactor.ts`). After WAL_ROWS of them a checkpoint writes the record, and the pages that
 * changed since the last one. The cost of a call does not depend on the size of the task: a record
 * that is large because of many leases is written after proportionally more rows.
 */
import { usedUpQuota } from "../../platform/quota.ts";
import { all, first, migrate, run, schemaStep } from "../../platform/sql.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import { deleteDefinition, makePartsTable, readDefinition, saveDefinition } from "./definition-store.ts";
import { apply, DirtyTracker, type Delta } from "./write-ahead-log.ts";
import { termsOf, type FrameTable, type FrameEntry } from "../rules/ledger.ts";
import { PAGE_FRAMES, FramePages } from "./frame-pages.ts";
import { inRows, MAX_ROW_CHARS } from "./long-values.ts";
import { recordFrom } from "./record.ts";
import { countOf } from "../rules/stored-bytes.ts";
import type { TaskRecord } from "../rules/record.ts";
import type { TaskDefinition } from "../../rpc/task.ts";

export interface Dependent {
  task: number;
  frames: "all" | "same";
  since_ms: number;
}

/**
 * A checkpoint is written after so many rows of the write-ahead log, or more when the record is
 * large. More: waking reads as many rows; fewer: checkpoints become a large part of what is
 * written.
 */
const WAL_ROWS = 64;
const MAX_WAL_ROWS = 1_024;
/**
 * The most characters in the log: waking reads and parses as many. Rows are long when many
 * transitions share one.
 */
const MAX_WAL_CHARS = 4_000_000;
/**
 * About the length of a row of the log. With one row for so many characters of the record, a
 * checkpoint costs what they cost.
 */
const WAL_ROW_CHARS = 2_048;
/**
 * Above so many changed frames per transition, a checkpoint is written: a delta would write the
 * same entries twice.
 */
const WAL_ENTRIES = 4 * PAGE_FRAMES;
/** The length of a row of the log is a multiple of this: see `padded`. */
const WAL_PAD = 512;
/**
 * With more recent events than this in the record, they are moved to the outbox. More: every
 * checkpoint rewrites them.
 */
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

/** Key under which the id of the backup is stored whose rows come, or came last. */
const RESTORING = "restoring";
/** Tables that a restore fills, the definition's aside. */
const RESTORED_TABLES = ["record", "pages", "outbox", "dependents", "log", "journal", "leases"];

export class TaskStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #pages: FramePages;
  readonly #dirty = new DirtyTracker();
  /** Version of the record's row; null when the next write must be a checkpoint. */
  #checkpointed: number | null = null;
  /** The version that the rows hold, the write-ahead log included. */
  #flushedVersion = 0;
  /** Rows of the write-ahead log since the checkpoint, and their characters. */
  #walRows = 0;
  #walChars = 0;
  /** How many rows of the log make the next write a checkpoint. */
  #checkpointAfterRows = WAL_ROWS;
  /** Rows of the table `leases`. */
  #leaseParts = 0;
  readonly frameTable: FrameTable;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#pages = new FramePages(storage.sql);
    this.frameTable = this.#pages.frameTable;
  }

  /**
   * Whether the rows hold a task; brings its schema up to date. When there are no tables yet, it
   * makes none: a request for a wrong id must not leave a database behind.
   */
  open(): boolean {
    if (schemaStep(this.#sql) === 0) return false;
    migrate(this.#storage, SCHEMA);
    return first(this.#sql, "SELECT id FROM definition") !== undefined;
  }

  /**
   * Whether the restored rows are those of a task. Others are deleted, so that no later call finds
   * them. Throws when a quota of the platform is used up: that says nothing of the rows.
   */
  readable(): boolean {
    try {
      termsOf(this.definition());
      this.record();
      return true;
    } catch (error) {
      if (usedUpQuota(error)) throw error;
      deleteDefinition(this.#sql);
      for (const table of ["record", "leases", "pages", "journal"]) run(this.#sql, `DELETE FROM ${table}`);
      return false;
    }
  }

  /**
   * Rows of this backup come. Those of another one, whose restore was abandoned before the task was
   * complete, are deleted: a task of two backups must not exist.
   */
  restoring(backup: string): void {
    const { kv } = this.#storage;
    const before = kv.get<string>(RESTORING);
    if (before === backup) return;
    this.#storage.transactionSync(() => {
      if (before !== undefined) {
        this.acceptRows();
        deleteDefinition(this.#sql);
        for (const table of RESTORED_TABLES) run(this.#sql, `DELETE FROM ${table}`);
      }
      kv.put(RESTORING, backup);
    });
  }

  /** Make the tables, or bring them up to date. */
  migrate(): void {
    migrate(this.#storage, SCHEMA);
  }

  /** Make every table that a backup may have rows of. */
  acceptRows(): void {
    this.migrate();
    makePartsTable(this.#sql);
  }

  definition(): TaskDefinition {
    return readDefinition(this.#sql);
  }

  /** Call inside one `transactionSync`. */
  saveDefinition(definition: TaskDefinition): void {
    saveDefinition(this.#sql, definition);
  }

  /**
   * The record as of the last write. What the write-ahead log says of pages is in memory from then
   * on.
   */
  record(): TaskRecord {
    const { json } = first<{ json: string }>(this.#sql, "SELECT json FROM record")!;
    const parts = all<{ json: string }>(this.#sql, "SELECT json FROM leases ORDER BY part").map((part) => part.json);
    const record = recordFrom(json, parts);
    this.#leaseParts = parts.length;
    this.#setCheckpointInterval([json, ...parts]);
    const { version } = record.ledger;
    const rows = all<{ slot: number; version: number; json: string }>(
      this.#sql,
      "SELECT slot, version, json FROM journal WHERE version > ? ORDER BY version",
      version,
    );
    for (const row of rows) apply(record, this.frameTable, JSON.parse(row.json) as Delta);
    record.ledger.stored = countOf(record.ledger);
    // An earlier release put rows into other slots; the next rows would overwrite them, so the next
    // write is a checkpoint.
    this.#checkpointed = rows.every((row, i) => row.slot === i + 1) ? version : null;
    this.#flushedVersion = record.ledger.version;
    this.#walRows = rows.length;
    this.#walChars = rows.reduce((sum, row) => sum + row.json.length, 0);
    this.#pages.flushed();
    this.#dirty.flushed(record);
    return record;
  }

  /**
   * Write what transitions have changed since the last write, all or nothing. Each has raised the
   * version of the record.
   */
  flush(record: TaskRecord): void {
    const { version } = record.ledger;
    const { changed } = this.#pages;
    const due =
      this.#checkpointed === null || this.#walRows >= this.#checkpointAfterRows || this.#walChars >= MAX_WAL_CHARS;
    const json =
      due || changed.size > WAL_ENTRIES * (version - this.#flushedVersion)
        ? null
        : JSON.stringify(this.#dirty.drainDelta(record, changed));
    if (json === null || json.length > MAX_ROW_CHARS) {
      this.#storage.transactionSync(() => this.checkpoint(record));
      return;
    }
    const row = padded(json);
    const slot = this.#walRows + 1;
    run(this.#sql, "INSERT OR REPLACE INTO journal (slot, version, json) VALUES (?, ?, ?)", slot, version, row);
    this.#walRows = slot;
    this.#walChars += row.length;
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
    this.#setCheckpointInterval([json, ...parts]);
    this.#checkpointed = record.ledger.version;
    this.#flushedVersion = record.ledger.version;
    this.#walRows = 0;
    this.#walChars = 0;
  }

  #saveLeases(parts: readonly string[]): void {
    for (const [part, json] of parts.entries())
      run(this.#sql, "INSERT OR REPLACE INTO leases (part, json) VALUES (?, ?)", part, json);
    if (parts.length < this.#leaseParts) run(this.#sql, "DELETE FROM leases WHERE part >= ?", parts.length);
    this.#leaseParts = parts.length;
  }

  #setCheckpointInterval(record: readonly string[]): void {
    const chars = record.reduce((sum, json) => sum + json.length, 0);
    this.#checkpointAfterRows = Math.min(MAX_WAL_ROWS, Math.max(WAL_ROWS, Math.ceil(chars / WAL_ROW_CHARS)));
  }

  /**
   * Whether the record's row is as new as the record, so that no row of the write-ahead log is
   * newer.
   */
  isCheckpointed(record: TaskRecord): boolean {
    return this.#checkpointed === record.ledger.version;
  }

  /** Forget everything in memory: a transition that threw may have left it half-changed. */
  forget(): void {
    this.#pages.forget();
  }

  /**
   * Frames from `from` on that have an entry, ascending, read page by page. Consume it before the
   * next `await`.
   */
  entries(from?: number): Generator<[number, FrameEntry]> {
    return this.#pages.entries(from);
  }

  failedFrames(): number[] {
    return this.#pages.failedFrames();
  }

  clearPages(): void {
    this.#pages.clear();
    // A delta cannot say that all entries are gone, so the next write is a checkpoint.
    this.#checkpointed = null;
  }

  /** The oldest events that wait for D1. `tail`: the recent events of the record. */
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

  /**
   * Bytes of the events that wait for D1, without the recent events of the record: of those there
   * are few. Reads every row of the outbox, so ask only after D1 failed.
   */
  waitingBytes(): number {
    return first<{ bytes: number }>(this.#sql, "SELECT coalesce(sum(octet_length(json)), 0) AS bytes FROM outbox")!
      .bytes;
  }

  /** How many events wait for D1. `tail`: the recent events of the record. */
  countWaiting(tail: readonly HistoryEvent[]): number {
    const { n } = first<{ n: number }>(this.#sql, "SELECT coalesce(sum(json_array_length(json)), 0) AS n FROM outbox")!;
    return n + tail.length;
  }

  /** Drop events up to `throughSeq`, and return what is left of the recent events. */
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
      "INSERT INTO dependents (task, frames, since_ms) VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE SET frames = excluded.frames, since_ms = excluded.since_ms",
      dependent.task,
      dependent.frames,
      dependent.since_ms,
    );
  }

  removeDependent(task: number): void {
    run(this.#sql, "DELETE FROM dependents WHERE task = ?", task);
  }
}

/** The record without its leases, and the rows of its leases. */
function inParts({ ledger, ...rest }: TaskRecord): [string, string[]] {
  const parts = inRows(ledger.leases).map(({ json }) => json);
  return [JSON.stringify({ ...rest, ledger: { ...ledger, leases: [] } }), parts];
}

/**
 * Pads a row to a common length. SQLite overwrites a row of the same length in place; any other
 * takes twice the time.
 */
function padded(json: string): string {
  return json.padEnd(Math.ceil(json.length / WAL_PAD) * WAL_PAD);
}
