/**
 * The registry's part in a restore: it begins only in an empty manager, and its end keeps ids from
 * being used twice.
 */
import { countRows } from "../platform/dump.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { first, run } from "../platform/sql.ts";
import type { RestoreAbandoned } from "../protocol/backup.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";

/**
 * Tables that are not backed up. The first are derived from the reports of tasks and workers, and each of them
 * reports again. The archives of builds are in no backup, because anybody can get them again: without
 * them their rows would promise what workers cannot fetch.
 */
export const DERIVED_TABLES: readonly string[] = [
  "tasks",
  "needs",
  "removed_tasks",
  "unreported_tasks",
  "worker_programs",
  "blender_builds",
];

/** Key under which the id of the backup that is being restored is stored. */
const RESTORING = "restoring";

/** The tables whose rows mean that a manager is in use, and what people call such a row. */
const NOUNS: Record<string, string> = {
  tasks: "task",
  tokens: "token",
  workers: "worker",
  settings: "setting",
  submitted_ids: "submission",
};

/**
 * Begin to restore this backup, or go on with it. Refusal: `conflict`, when another restore has
 * begun, or when the manager is not empty; it names what is there. Rows that the restore itself has
 * written do not count.
 */
export function startRestore({ kv, sql }: DurableObjectStorage, backup: string): Result<null, Refusal> {
  const underWay = kv.get<string>(RESTORING);
  if (underWay === backup) return ok(null);
  const counts = countRows(sql, []);
  // A start of a local manager makes a join token for its first worker: that is no use of the
  // manager yet.
  counts["tokens"] = first<{ n: number }>(sql, "SELECT count(*) AS n FROM tokens WHERE role <> 'join'")!.n;
  const there = Object.entries(NOUNS).flatMap(([table, noun]) => {
    const n = counts[table] ?? 0;
    return n === 0 ? [] : [`${n} ${noun}${n === 1 ? "" : "s"}`];
  });
  if (underWay !== undefined)
    return refuse("conflict", "another backup is being restored here; to end that: tablao restore --abandon");
  if (there.length > 0)
    return refuse("conflict", `a backup goes into an empty manager only, and here are ${there.join(", ")}`);
  kv.put(RESTORING, backup);
  return ok(null);
}

/** Ok while this backup is being restored; else `conflict`. */
export function checkRestoring({ kv }: DurableObjectStorage, backup: string): Result<null, Refusal> {
  if (kv.get<string>(RESTORING) === backup) return ok(null);
  return err({ code: "conflict", detail: "this backup is not being restored here: begin with POST /restore" });
}

/**
 * End the restore that is under way without completing it. Answers with the number of tasks that have
 * arrived: they stay, and so does every other row, because a manager does not delete what nobody named
 * (P14). Refusal: `conflict`, when none is under way.
 */
export function abandonRestore(storage: DurableObjectStorage): Result<RestoreAbandoned, Refusal> {
  if (!isRestoring(storage)) return refuse("conflict", "no backup is being restored here");
  const { n } = first<{ n: number }>(storage.sql, "SELECT count(*) AS n FROM tasks")!;
  // Rows that have arrived hold ids, which must not be given out again.
  endRestore(storage);
  return ok({ tasks: n });
}

/** Whether a backup is being restored. */
export function isRestoring({ kv }: DurableObjectStorage): boolean {
  return kv.get<string>(RESTORING) !== undefined;
}

/**
 * All rows are written. The counters are raised above every id in the rows, because the page with
 * the counters may be older than pages with newer ids: no id is given out twice.
 */
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
