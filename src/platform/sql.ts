/**
 * SQLite of a Durable Object: schema migrations and two ways to read rows. Synchronous throughout: statements without an
 * `await` between them commit together, and a cursor that is consumed at once is never seen half-changed.
 */

/** What a bound parameter may be. Booleans are the caller's to turn into 0 and 1. */
export type SqlParam = string | number | null | ArrayBuffer;

/** A row as SQLite gives it back; callers map it to a domain value in one place. */
export type SqlRow = Record<string, SqlStorageValue>;

/**
 * Bring a database up to date; call it first thing in the constructor. `steps[0]` is step 1: append to the list, never edit
 * or reorder what has been deployed. Each step commits with its own number or not at all, so a kill in between repeats
 * nothing. A table holds the number because `PRAGMA user_version` is refused in a Durable Object.
 *
 * Throws when the database is newer than the code: an older deployment must not write to a schema it does not know.
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

/** All rows of a statement. */
export function all<T extends SqlRow>(sql: SqlStorage, statement: string, ...params: SqlParam[]): T[] {
  return sql.exec<T>(statement, ...params).toArray();
}

/**
 * The first row of a statement, or undefined when it has none. Reads to the end, so give a query a LIMIT: a `RETURNING` that
 * is left half-read is still a write in progress, and its transaction could not commit.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the statement decides the row's type, as in `exec`
export function first<T extends SqlRow>(sql: SqlStorage, statement: string, ...params: SqlParam[]): T | undefined {
  return all<T>(sql, statement, ...params)[0];
}

/** Run a statement for its effect; how many rows it wrote (index entries included), 0 when its guard matched nothing. */
export function run(sql: SqlStorage, statement: string, ...params: SqlParam[]): number {
  return sql.exec(statement, ...params).rowsWritten;
}
