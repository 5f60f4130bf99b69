/**
 * Watches the SQL statements of an object from inside it: counts their rows, or refuses some of
 * them.
 */
export interface Rows {
  read: number;
  written: number;
}

/** The message that a refused statement throws. */
export const FULL = "the database is full";

/** Rows that the object's statements read and write until `work` has ended. */
export async function rowsWhile(storage: DurableObjectStorage, work: () => unknown): Promise<Rows> {
  const cursors: Pick<SqlStorageCursor<Record<string, SqlStorageValue>>, "rowsRead" | "rowsWritten">[] = [];
  await replacing(
    storage,
    (exec) =>
      (...args) => {
        const cursor = exec(...args);
        cursors.push(cursor);
        return cursor;
      },
    work,
  );
  // A cursor counts rows while it is read, so they are added up only now.
  return {
    read: cursors.reduce((rows, { rowsRead }) => rows + rowsRead, 0),
    written: cursors.reduce((rows, { rowsWritten }) => rows + rowsWritten, 0),
  };
}

/**
 * Until `work` has ended, the object's statements that `match` are not carried out: they throw
 * `message`.
 */
export async function refusing<T>(
  storage: DurableObjectStorage,
  match: RegExp,
  work: () => Promise<T>,
  message = FULL,
): Promise<T> {
  return await replacing(
    storage,
    (exec) =>
      (...args) => {
        if (match.test(args[0])) throw new Error(message);
        return exec(...args);
      },
    work,
  );
}

type Exec = (...args: Parameters<SqlStorage["exec"]>) => ReturnType<SqlStorage["exec"]>;

async function replacing<T>(
  { sql }: DurableObjectStorage,
  replace: (exec: Exec) => Exec,
  work: () => T,
): Promise<Awaited<T>> {
  const { exec } = sql;
  sql.exec = replace((...args) => exec.apply(sql, args)) as typeof exec;
  try {
    return await work();
  } finally {
    sql.exec = exec;
  }
}

/** A statement that the platform counts as a write, whether it changes a row or not. */
const WRITES = /^\s*(?:--[^\n]*\n\s*)*(?:CREATE|INSERT|UPDATE|DELETE|DROP|ALTER|REPLACE)\b/i;

/**
 * Until `work` has ended, no object of this isolate may write a row: each statement that would
 * throws `message`. Answers with the refused statements. Also objects that are constructed meanwhile
 * are refused, because the prototype of all databases is patched: that of `database`, any of them.
 */
export async function writesRefused(
  database: SqlStorage,
  message: string,
  work: () => Promise<void>,
): Promise<string[]> {
  let holder: object = database;
  while (!Object.hasOwn(holder, "exec")) holder = Object.getPrototypeOf(holder) as object;
  const sql = holder as { exec: (this: SqlStorage, ...args: Parameters<Exec>) => ReturnType<Exec> };
  const { exec } = sql;
  const refused: string[] = [];
  sql.exec = function (...args) {
    if (!WRITES.test(args[0])) return exec.apply(this, args);
    refused.push(args[0].trim());
    throw new Error(message);
  };
  try {
    await work();
  } finally {
    sql.exec = exec;
  }
  return refused;
}
