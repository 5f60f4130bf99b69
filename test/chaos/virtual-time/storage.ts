/**
 * The storage of one Durable Object on SQLite in memory, as far as the product uses it. It outlives
 * the object's instances.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** The message of a refused write. */
export const FULL = "chaos: the database is full";

type Row = Record<string, unknown>;

interface Cursor {
  toArray(): Row[];
  one(): Row;
  /** The rows as arrays, in the order of the columns of the statement. */
  raw(): unknown[][];
  rowsWritten: number;
  [Symbol.iterator](): Iterator<Row>;
}

export class Stored {
  readonly db = new DatabaseSync(":memory:");
  readonly kv = new Map<string, unknown>();
  readonly #statements = new Map<string, StatementSync>();
  /** When the alarm is set for, on the manager's clock. */
  alarmMs: number | null = null;
  onAlarm: () => void = () => undefined;
  /**
   * Writes that still succeed before one throws, as SQLite does when a disk or a row is full; null:
   * all do.
   */
  writesLeft: number | null = null;
  refusedWrites = 0;
  /** How many of the next calls of `setAlarm` are refused. */
  alarmsToRefuse = 0;

  exec(query: string, params: SQLInputValue[]): Cursor {
    if (this.writesLeft !== null && /^\s*(INSERT|UPDATE|DELETE)/i.test(query) && this.writesLeft-- <= 0) {
      this.writesLeft = null;
      this.refusedWrites++;
      // The caller is told to try again, as for an object that was reset.
      throw Object.assign(new Error(FULL), { retryable: true });
    }
    if (params.length === 0 && /;\s*\S/.test(query)) {
      this.db.exec(query);
      return cursorOf([], 0);
    }
    let statement = this.#statements.get(query);
    if (!statement) this.#statements.set(query, (statement = this.db.prepare(query)));
    if (statement.columns().length > 0) return cursorOf(statement.all(...params), 1);
    return cursorOf([], Number(statement.run(...params).changes));
  }

  setAlarm(at: number | null): void {
    this.alarmMs = at;
    this.onAlarm();
  }

  deleteAll(): void {
    this.#statements.clear();
    this.kv.clear();
    const tables = this.db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name } of tables) this.db.exec(`DROP TABLE "${String(name)}"`);
    this.setAlarm(null);
  }

  rows(table: string): Row[] {
    const there = this.db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?").get(table);
    return there ? this.db.prepare(`SELECT * FROM "${table}"`).all() : [];
  }
}

function cursorOf(rows: Row[], rowsWritten: number): Cursor {
  return {
    toArray: () => rows,
    one: () => {
      if (rows.length !== 1) throw new Error(`expected one row, found ${rows.length}`);
      return rows[0]!;
    },
    raw: () => rows.map((row) => Object.values(row)),
    rowsWritten,
    [Symbol.iterator]: () => rows[Symbol.iterator](),
  };
}

/** One instance's access to the storage. After the instance has ended, its calls have no effect. */
export class Access {
  readonly #stored: Stored;
  #depth = 0;
  ended = false;
  readonly sql = { exec: (query: string, ...params: SQLInputValue[]): Cursor => this.#exec(query, params) };

  readonly kv = {
    get: (key: string): unknown => structuredClone(this.#kv().get(key)),
    put: (key: string, value: unknown): void => void this.#kv().set(key, structuredClone(value)),
    delete: (key: string): boolean => this.#kv().delete(key),
  };

  readonly #busy: () => Promise<void>;

  /** `busy`: settles when pending writes are on the disk. */
  constructor(stored: Stored, busy: () => Promise<void>) {
    this.#stored = stored;
    this.#busy = busy;
  }

  async sync(): Promise<void> {
    await this.#busy();
  }

  #kv(): Map<string, unknown> {
    if (this.ended) throw new Error("this instance has ended");
    return this.#stored.kv;
  }

  #exec(query: string, params: SQLInputValue[]): Cursor {
    if (this.ended) throw new Error("this instance has ended");
    return this.#stored.exec(query, params);
  }

  transactionSync<T>(work: () => T): T {
    if (this.ended) throw new Error("this instance has ended");
    const { db } = this.#stored;
    const name = `t${this.#depth++}`;
    db.exec(`SAVEPOINT ${name}`);
    try {
      const value = work();
      db.exec(`RELEASE ${name}`);
      return value;
    } catch (error) {
      db.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    } finally {
      this.#depth--;
    }
  }

  async setAlarm(at: number): Promise<void> {
    if (this.#stored.alarmsToRefuse > 0) {
      this.#stored.alarmsToRefuse--;
      throw new Error(FULL);
    }
    if (!this.ended) this.#stored.setAlarm(at);
  }

  async getAlarm(): Promise<number | null> {
    return this.#stored.alarmMs;
  }

  async deleteAlarm(): Promise<void> {
    if (!this.ended) this.#stored.setAlarm(null);
  }

  async deleteAll(): Promise<void> {
    if (!this.ended) this.#stored.deleteAll();
  }
}
