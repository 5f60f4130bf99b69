/**
 * SQLite of a Durable Object: schema migrations, and short forms of statements. All of it is
 * synchronous: statements without an `await` between them commit together, and rows that are read
 * without an `await` between the reads are those of one instant.
 */

/** The type of a bound parameter. The caller turns booleans into 0 and 1. */
export type SqlParam = string | number | null | ArrayBuffer;

/** A row as SQLite returns it. Each store maps its rows to domain values in one place. */
export type SqlRow = Record<string, SqlStorageValue>;

/**
 * Bring a database up to date; call it first in the constructor. `steps[0]` is step 1.
 *
 * - Append to the list. Never edit or reorder steps that were deployed.
 * - Each step commits together with its number, so a kill between steps repeats none.
 * - A table holds the number, because a Durable Object refuses `PRAGMA user_version`.
 *
 * Throws when the database is newer than the code: an older deployment must not write to a schema
 * that it does not know.
 */
export function migrate(storage: DurableObjectStorage, steps: readonly string[]): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL)");
  const done = sql.exec<{ id: number }>("SELECT coalesce(max(id), 0) AS id FROM migrations").one().id;
  if (done > steps.length)
    throw new Error(`the database is at schema step ${done}, this code knows only ${steps.length}`);
  for (let id = done + 1; id <= steps.length; id++) {
    storage.transactionSync(() => {
      sql.exec(steps[id - 1]!);
      sql.exec("INSERT INTO migrations (id, applied_ms) VALUES (?, ?)", id, Date.now());
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
