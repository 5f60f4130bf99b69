/** The registry's part in backup and restore: when a manager is empty, and what makes rows that were put back whole. */
import { countRows } from "../platform/dump.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { first, run } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";

/** Every task reports its own; what is derived from reports is not backed up. */
export const DERIVED_TABLES: readonly string[] = ["tasks", "needs", "removed_tasks"];

const RESTORING = "restoring";

/** What people call the rows of these tables; rows of the others do not make a manager used. */
const NOUNS: Record<string, string> = {
  tasks: "task",
  tokens: "token",
  workers: "worker",
  settings: "setting",
  submitted_ids: "submission",
};

/**
 * Begin to restore this backup, or go on with it. Refused with what is there when the manager is not empty; what the restore
 * itself has brought does not count.
 */
export function beginRestore({ kv, sql }: DurableObjectStorage, backup: string): Result<null, Refusal> {
  const underWay = kv.get<string>(RESTORING);
  if (underWay === backup) return ok(null);
  const counts = countRows(sql, []);
  // A manager that has just been started made a join token for its first worker: that is no use of it.
  counts["tokens"] = first<{ n: number }>(sql, "SELECT count(*) AS n FROM tokens WHERE role <> 'join'")!.n;
  const there = Object.entries(NOUNS).flatMap(([table, noun]) => {
    const n = counts[table] ?? 0;
    return n === 0 ? [] : [`${n} ${noun}${n === 1 ? "" : "s"}`];
  });
  if (underWay !== undefined) return refuse("conflict", "another backup is being restored here");
  if (there.length > 0)
    return refuse("conflict", `a backup goes into an empty manager only, and here are ${there.join(", ")}`);
  kv.put(RESTORING, backup);
  return ok(null);
}

/** Ok while this backup is being restored. */
export function isRestoring({ kv }: DurableObjectStorage, backup: string): Result<null, Refusal> {
  if (kv.get<string>(RESTORING) === backup) return ok(null);
  return err({ code: "conflict", detail: "this backup is not being restored here: begin with POST /restore" });
}

/** All is in. No id that any row knows is ever given out again, whenever each page of the backup was read. */
export function endRestore({ kv, sql }: DurableObjectStorage): void {
  for (const [name, table] of [
    ["task", "tasks"],
    ["task", "submitted_ids"],
    ["worker", "workers"],
    ["token", "tokens"],
  ] as const) {
    run(
      sql,
      `INSERT INTO counters (name, value) SELECT ?, coalesce(max(id), 0) FROM ${table} WHERE true
       ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
      name,
    );
  }
  kv.delete(RESTORING);
}
