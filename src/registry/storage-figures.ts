/**
 * What the tasks of the farm store, from what they last reported. The reports are added up when
 * somebody asks, and not when they come, because people ask rarely: each question reads the rows of
 * all tasks, and an index on the bytes would be one more written row for each report.
 */
import { ok, type Result } from "../lib/result.ts";
import { all } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { withExpiry, type FarmRetention } from "../protocol/retention.ts";
import type { OwnerStorage } from "../protocol/storage.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { LargestQuery, StorageFigures } from "../rpc/registry.ts";

/** Owners in one answer: each artist's token is one. More: the answer becomes long. */
const MAX_OWNERS = 500;
/**
 * Uncounted tasks that one answer names: each is called by the daily cron. More: the run would need
 * more processor time than a Worker of the free plan has.
 */
const MAX_UNCOUNTED = 100;

const CURSOR = /^(\d{1,16})-([1-9]\d{0,14})$/;

/** Null where the task has not counted its files yet. */
const BYTES = "summary ->> '$.stored_bytes'";

/** What is stored, by owner; `owner`: only this one. */
export function storageFigures(sql: SqlStorage, owner: string | null): StorageFigures {
  const where = owner === null ? "" : "WHERE owner = ?";
  const owners = all<OwnerStorage & Record<string, string | number>>(
    sql,
    `SELECT owner, count(*) AS tasks, coalesce(sum(${BYTES}), 0) AS bytes, count(*) - count(${BYTES}) AS uncounted_tasks
     FROM tasks ${where} GROUP BY owner ORDER BY bytes DESC, owner`,
    ...(owner === null ? [] : [owner]),
  );
  const sum = (of: "tasks" | "bytes" | "uncounted_tasks"): number => owners.reduce((all, row) => all + row[of], 0);
  return {
    outputs: { tasks: sum("tasks"), bytes: sum("bytes"), uncounted_tasks: sum("uncounted_tasks") },
    owners: owners.slice(0, MAX_OWNERS).map((row) => ({ ...row })),
    owners_left_out: Math.max(0, owners.length - MAX_OWNERS),
  };
}

/**
 * A page of the tasks that store something, the largest first. The cursor names the last of the page
 * before. `retention`: the farm's rule, by which summaries say when their task is deleted.
 */
export function largestTasks(
  sql: SqlStorage,
  { owner, limit, cursor }: LargestQuery,
  retention: FarmRetention,
): Result<{ tasks: TaskSummary[]; cursor: string | null }, Refusal> {
  const [, bytes, id] = (cursor === undefined ? null : CURSOR.exec(cursor)) ?? [];
  if (cursor !== undefined && id === undefined) return refuse("invalid", "is not a cursor of this list", "cursor");
  const rows = all<{ summary: string }>(
    sql,
    `SELECT summary FROM (SELECT id, summary, ${BYTES} AS bytes FROM tasks WHERE ?1 IS NULL OR owner = ?1)
     WHERE bytes > 0 AND (?2 IS NULL OR bytes < ?2 OR (bytes = ?2 AND id < ?3))
     ORDER BY bytes DESC, id DESC LIMIT ?4`,
    owner ?? null,
    bytes === undefined ? null : Number(bytes),
    id === undefined ? null : Number(id),
    limit + 1,
  );
  const tasks = rows.slice(0, limit).map((row) => withExpiry(JSON.parse(row.summary) as TaskSummary, retention));
  const last = tasks.at(-1);
  return ok({ tasks, cursor: rows.length > limit && last ? `${last.stored_bytes}-${last.id}` : null });
}

/**
 * Tasks that have not said what they store. Drawn by lot where there are more than an answer names, so
 * that tasks that do not answer hold back no others.
 */
export function uncountedTasks(sql: SqlStorage): number[] {
  const rows = all<{ id: number }>(
    sql,
    `SELECT id FROM tasks WHERE ${BYTES} IS NULL ORDER BY random() LIMIT ?`,
    MAX_UNCOUNTED,
  );
  return rows.map(({ id }) => id);
}
