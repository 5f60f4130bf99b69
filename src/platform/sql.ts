/**
 * SQLite of a Durable Object: schema migrations, and short forms of statements. All of it is
 * synchronous: statements without an `await` between them commit together, and rows that are read
 * without an `await` between the reads are those of one instant.
 */

import { newerSchema } from "./newer-schema.ts";

/** The type of a bound parameter. The caller turns booleans into 0 and 1. */
export type SqlParam = string | number | null | ArrayBuffer;

/** A row as SQLite returns it. Each store maps its rows to domain values in one place. */
export type SqlRow = Record<string, SqlStorageValue>;

/**
 * The last migration step that was applied to a database; 0 when it has no tables. It writes
 * nothing, so that an object can be read while the platform refuses writes.
 */
export function schemaStep(sql: SqlStorage): number {
  if (!first(sql, "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'migrations'")) return 0;
  return first<{ id: number }>(sql, "SELECT coalesce(max(id), 0) AS id FROM migrations")!.id;
}

/**
 * Bring a database up to date; call it first in the constructor. `steps[0]` is step 1.
 *
 * - Append to the list. Never edit or reorder steps that were deployed.
 * - Each step commits together with its number, so a kill between steps repeats none.
 * - A table holds the number, because a Durable Object refuses `PRAGMA user_version`.
 * - A database that is up to date is only read: on the free plan the platform refuses every write
 *   when the day's quota of written rows is used up, also one that would change nothing.
 *
 * Throws `newerSchema` when the database is newer than the code: an older deployment must not write
 * to a schema that it does not know. The caller refuses its calls, and loses nothing.
 */
export function migrate(storage: DurableObjectStorage, steps: readonly string[]): void {
  const { sql } = storage;
  const done = schemaStep(sql);
  if (done > steps.length) throw newerSchema(done, steps.length);
  for (let id = done + 1; id <= steps.length; id++) {
    storage.transactionSync(() => {
      if (id === 1)
        run(sql, "CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL)");
      run(sql, steps[id - 1]!);
      run(sql, "INSERT INTO migrations (id, applied_ms) VALUES (?, ?)", id, Date.now());
    });
  }
}

/** All rows of a statement. Throws when SQLite refuses the statement, as the next two do. */
export function all<T extends SqlRow>(sql: SqlStorage, statement: string, ...params: SqlParam[]): T[] {
  return sql.exec<T>(statement, ...params).toArray();
}

/**
 * The first row of a statement; undefined when it has none. It reads all rows, so give a query a
 * LIMIT. It must read them all: a `RETURNING` statement that is not read to its end is a write in
 * progress, and its transaction cannot commit.
 */
// The statement decides the row's type, as in `exec`.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function first<T extends SqlRow>(sql: SqlStorage, statement: string, ...params: SqlParam[]): T | undefined {
  return all<T>(sql, statement, ...params)[0];
}

/**
 * Run a statement for its effect. Returns how many rows it wrote, index entries included; 0 when
 * its WHERE matched none.
 */
export function run(sql: SqlStorage, statement: string, ...params: SqlParam[]): number {
  return sql.exec(statement, ...params).rowsWritten;
}
