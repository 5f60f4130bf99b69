/** The SQL statements of an object, watched from within it: how many rows they cost, and having some refused. */
export interface Rows {
  read: number;
  written: number;
}

/** What a refused statement throws. */
export const FULL = "the database is full";

/** Rows that the object's statements read and write until `work` is over. */
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
  // A cursor counts while it is read: only now.
  return {
    read: cursors.reduce((rows, { rowsRead }) => rows + rowsRead, 0),
    written: cursors.reduce((rows, { rowsWritten }) => rows + rowsWritten, 0),
  };
}

/** The object's statements that `match` are not made until `work` is over: they throw `FULL`. */
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
