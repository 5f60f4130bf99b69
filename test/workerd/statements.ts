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
 * `FULL`.
 */
export async function refusing<T>(storage: DurableObjectStorage, match: RegExp, work: () => Promise<T>): Promise<T> {
  return await replacing(
    storage,
    (exec) =>
      (...args) => {
        if (match.test(args[0])) throw new Error(FULL);
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
