/**
 * The tasks as they last reported: rows, and the SQL index that dispatch walks. The tasks
 * themselves are in their objects.
 */
import { ENDED, isEnded } from "../protocol/constants.ts";
import { all, first, run, type SqlParam } from "../platform/sql.ts";
import { FOREVER, RETENTION_SETTINGS, withExpiry, type FarmRetention } from "../protocol/retention.ts";
import type { TaskStatus, TaskSummary } from "../protocol/task.ts";
import type { Needs } from "../protocol/needs.ts";
import { needsSignature, type BlocklistEntry, type Candidate } from "./dispatch.ts";
import type { DispatchState } from "./epoch.ts";
import type { FarmMetrics, OverdueTask, TaskTotals, TaskReport, WokenTask } from "../rpc/registry.ts";
import { difference, NOTHING } from "./daily-totals.ts";
import { endedMs } from "./task-list.ts";

/** Workers with a live lease on the task, and since when. */
export type Live = Map<number, number>;

export interface ReportedState extends DispatchState {
  live: Live;
}

/** What a report changed. `after` is null when the task is gone. */
export interface TaskChange {
  id: number;
  before: ReportedState | null;
  after: ReportedState | null;
  /** Its summary before and after. */
  was: TaskSummary | null;
  is: TaskSummary;
  /** What the task has done since its last report. */
  did: TaskTotals;
}

export interface OpenTask extends Candidate {
  claimable: number;
}

/** The statuses of tasks that have ended, as SQL texts. */
const ENDED_TEXTS = ENDED.map((status) => `'${status}'`).join(", ");

type StateRow = {
  version: number;
  status: string;
  needs_id: number;
  priority: number;
  claimable: number;
  open: number;
  kept_off: string;
  live: string;
  busy: number;
  owes: number;
  ended_ms: number | null;
  tally: string;
  summary: string;
};

const STATE_COLUMNS =
  "version, status, needs_id, priority, claimable, open, kept_off, live, busy, owes, ended_ms, tally, summary";

export class TaskIndex {
  readonly #sql: SqlStorage;
  readonly #needsIds = new Map<string, number>();
  readonly #retention: () => FarmRetention;

  /** `retention`: the farm's rule, by which summaries say when their task is deleted. */
  constructor(sql: SqlStorage, retention: () => FarmRetention) {
    this.#sql = sql;
    this.#retention = retention;
  }

  /** A stored summary as lists show it. */
  #shown({ summary }: { summary: string }): TaskSummary {
    return withExpiry(JSON.parse(summary) as TaskSummary, this.#retention());
  }

  /** The id of the group with these needs; a new group is stored. */
  needsId(needs: Needs): number {
    const signature = needsSignature(needs);
    let id = this.#needsIds.get(signature);
    if (id === undefined) {
      id =
        first<{ id: number }>(this.#sql, "SELECT id FROM needs WHERE signature = ?", signature)?.id ??
        first<{ id: number }>(this.#sql, "INSERT INTO needs (signature) VALUES (?) RETURNING id", signature)!.id;
      this.#needsIds.set(signature, id);
    }
    return id;
  }

  /** Discard what was read from rows. */
  forget(): void {
    this.#needsIds.clear();
  }

  needsOf(id: number): Needs {
    const row = first<{ signature: string }>(this.#sql, "SELECT signature FROM needs WHERE id = ?", id);
    return JSON.parse(row!.signature) as Needs;
  }

  /**
   * Store a report. Null when a newer one, or the task's removal, was stored before. Call inside a
   * transaction.
   */
  apply(report: TaskReport, nowMs: number): TaskChange | null {
    const { id } = report.summary;
    const row = this.#stateRow(id);
    if (row ? report.version <= row.version : this.#wasRemoved(report)) return null;
    const before = row ? stateOf(row) : null;
    const was = row ? (JSON.parse(row.summary) as TaskSummary) : null;
    // The first report adds nothing to the day: a new task has done nothing, and a restored one did
    // it on another manager.
    const did = row ? difference(JSON.parse(row.tally) as TaskTotals, report.tally) : NOTHING;
    const change = { id, before, was, is: report.summary, did };
    if (report.gone) {
      this.#remove(id, wakeOf(report, nowMs), nowMs);
      return { ...change, after: null };
    }
    const live: Live = new Map(report.live_workers.map((worker) => [worker, before?.live.get(worker) ?? nowMs]));
    const { summary, claimable, kept_off: blocklist } = report;
    const { priority } = summary;
    const after: ReportedState = { priority, claimable, blocklist, needsId: this.needsId(report.needs), live };
    this.#write(report, after, row, wakeOf(report, nowMs));
    return { ...change, after };
  }

  #stateRow(id: number): StateRow | undefined {
    return first<StateRow>(this.#sql, `SELECT ${STATE_COLUMNS} FROM tasks WHERE id = ?`, id);
  }

  /**
   * Whether this is a late report of a removed task. A task that was created after the removal
   * under the same id is not.
   */
  #wasRemoved(report: TaskReport): boolean {
    const row = first<{ at_ms: number }>(this.#sql, "SELECT at_ms FROM removed_tasks WHERE id = ?", report.summary.id);
    return row !== undefined && report.summary.created_ms <= row.at_ms;
  }

  /**
   * Sets only the columns that changed: SQLite rewrites the entries of every index whose columns a
   * statement names.
   */
  #write(report: TaskReport, after: ReportedState, before: StateRow | undefined, wakeMs: number | null): void {
    const { summary } = report;
    const always: Record<string, SqlParam> = {
      version: report.version,
      summary: JSON.stringify(summary),
      claimable: after.claimable,
      kept_off: JSON.stringify(after.blocklist),
      live: JSON.stringify([...after.live].sort(([a], [b]) => a - b)),
      tally: JSON.stringify(report.tally),
      wake_ms: wakeMs,
    };
    const indexed: Record<string, SqlParam> = {
      status: summary.status,
      needs_id: after.needsId,
      priority: after.priority,
      open: Number(after.claimable > 0),
      busy: Number(after.live.size > 0),
      owes: Number(wakeMs !== null),
      ended_ms: endedMs(summary),
    };
    if (!before) {
      const values = { id: summary.id, type: summary.type, owner: summary.owner, ...always, ...indexed };
      const names = Object.keys(values);
      const marks = names.map(() => "?").join(", ");
      run(this.#sql, `INSERT INTO tasks (${names.join(", ")}) VALUES (${marks})`, ...Object.values(values));
      run(this.#sql, "DELETE FROM unreported_tasks WHERE id = ?", summary.id);
      return;
    }
    const changed = { ...always };
    for (const name of ["status", "needs_id", "priority", "open", "busy", "owes", "ended_ms"] as const) {
      if (before[name] !== indexed[name]) changed[name] = indexed[name]!;
    }
    const sets = Object.keys(changed).map((name) => `${name} = ?`);
    run(this.#sql, `UPDATE tasks SET ${sets.join(", ")} WHERE id = ?`, ...Object.values(changed), summary.id);
  }

  #remove(id: number, wakeMs: number | null, nowMs: number): void {
    const row = first<{ summary: string }>(this.#sql, "SELECT summary FROM tasks WHERE id = ?", id);
    if (row) {
      const { owner, task_id } = JSON.parse(row.summary) as TaskSummary;
      if (task_id !== null) run(this.#sql, "DELETE FROM submitted_ids WHERE owner = ? AND task_id = ?", owner, task_id);
    }
    run(this.#sql, "DELETE FROM tasks WHERE id = ?", id);
    run(this.#sql, "DELETE FROM unreported_tasks WHERE id = ?", id);
    // After a removal the same submission makes a new task.
    run(this.#sql, "DELETE FROM submit_keys WHERE id = ?", id);
    run(this.#sql, "INSERT OR REPLACE INTO removed_tasks (id, at_ms, wake_ms) VALUES (?, ?, ?)", id, nowMs, wakeMs);
  }

  /** Ids after this one, ascending, of all tasks that exist, and of others that may be created. */
  ids(after: number, limit: number): number[] {
    const rows = all<{ id: number }>(
      this.#sql,
      `SELECT id FROM (SELECT id FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2)
       UNION SELECT id FROM (SELECT id FROM unreported_tasks WHERE id > ?1 ORDER BY id LIMIT ?2)
       ORDER BY id LIMIT ?2`,
      after,
      limit,
    );
    return rows.map(({ id }) => id);
  }

  /** Whether a task has claimable frames. */
  anyClaimable(): boolean {
    return first(this.#sql, "SELECT id FROM tasks WHERE open = 1 LIMIT 1") !== undefined;
  }

  /** Whether a task, or one that is being removed, has something due. */
  anyOwes(): boolean {
    return (
      first(this.#sql, "SELECT id FROM tasks WHERE owes = 1 LIMIT 1") !== undefined ||
      first(this.#sql, "SELECT id FROM removed_tasks WHERE wake_ms IS NOT NULL LIMIT 1") !== undefined
    );
  }

  /**
   * Tasks that should have woken before this instant and have not reported since, the longest overdue
   * first. Reads the tasks that have something due.
   */
  overdue(beforeMs: number, limit: number): OverdueTask[] {
    return all<OverdueTask & Record<string, number>>(
      this.#sql,
      `SELECT id, wake_ms FROM tasks WHERE owes = 1 AND wake_ms < ?1
       UNION ALL
       SELECT id, wake_ms FROM removed_tasks WHERE wake_ms IS NOT NULL AND wake_ms < ?1
       ORDER BY wake_ms LIMIT ?2`,
      beforeMs,
      limit,
    );
  }

  /** How many tasks `overdue` would list without a limit. */
  countOverdue(beforeMs: number): number {
    return first<{ n: number }>(
      this.#sql,
      `SELECT (SELECT count(*) FROM tasks WHERE owes = 1 AND wake_ms < ?1)
         + (SELECT count(*) FROM removed_tasks WHERE wake_ms IS NOT NULL AND wake_ms < ?1) AS n`,
      beforeMs,
    )!.n;
  }

  /** Store what an overdue task has answered, unless it has reported meanwhile. */
  woken({ id, wake_ms, next_ms }: WokenTask): void {
    const where = "WHERE id = ? AND wake_ms = ?";
    if (next_ms === null) run(this.#sql, `UPDATE tasks SET wake_ms = NULL, owes = 0 ${where}`, id, wake_ms);
    else run(this.#sql, `UPDATE tasks SET wake_ms = ? ${where}`, next_ms, id, wake_ms);
    run(this.#sql, `UPDATE removed_tasks SET wake_ms = ? ${where}`, next_ms, id, wake_ms);
  }

  /** The groups that have claimable tasks; costs one step of the index for each. */
  openGroups(): number[] {
    const rows = all<{ id: number }>(
      this.#sql,
      `WITH RECURSIVE groups (id) AS (
         SELECT min(needs_id) FROM tasks WHERE open = 1
         UNION ALL
         SELECT (SELECT min(needs_id) FROM tasks WHERE open = 1 AND needs_id > groups.id) FROM groups WHERE groups.id IS NOT NULL
       ) SELECT id FROM groups WHERE id IS NOT NULL`,
    );
    return rows.map((row) => row.id);
  }

  /**
   * A group's claimable tasks in the order of dispatch, read as they are asked for: first one row,
   * then four times as many each time. Not one cursor that is read step by step: while a cursor of
   * a statement is open, running the same statement again compiles it anew, at ten times the cost.
   */
  *openTasks(needsId: number): Generator<OpenTask> {
    let after = { priority: Number.MAX_SAFE_INTEGER, id: 0 };
    for (let limit = 1; ; limit *= 4) {
      const rows = all<{ id: number; priority: number; claimable: number; kept_off: string }>(
        this.#sql,
        `SELECT id, priority, claimable, kept_off FROM tasks
         WHERE open = 1 AND needs_id = ?1 AND priority <= ?2 AND (priority < ?2 OR id > ?3)
         ORDER BY priority DESC, id LIMIT ?4`,
        needsId,
        after.priority,
        after.id,
        limit,
      );
      for (const { kept_off, ...row } of rows) yield { ...row, blocklist: JSON.parse(kept_off) as BlocklistEntry[] };
      if (rows.length < limit) return;
      after = rows.at(-1)!;
    }
  }

  /** The tasks with live leases. */
  liveTasks(): { id: number; state: ReportedState }[] {
    const rows = all<StateRow & { id: number }>(this.#sql, `SELECT id, ${STATE_COLUMNS} FROM tasks WHERE busy = 1`);
    return rows.map((row) => ({ id: row.id, state: stateOf(row) }));
  }

  /** Whether the task is completed, failed, canceled or removed. */
  hasEnded(id: number): boolean {
    const row = first<{ status: TaskStatus }>(this.#sql, "SELECT status FROM tasks WHERE id = ?", id);
    return row === undefined || isEnded(row.status);
  }

  summary(id: number): TaskSummary | undefined {
    const row = first<{ summary: string }>(this.#sql, "SELECT summary FROM tasks WHERE id = ?", id);
    return row && this.#shown(row);
  }

  /**
   * A page of the tasks that a rule deletes by now, in the order of their ids. `limit`: how many rows
   * are read, of the tasks that have ended; `next`: where to go on.
   */
  expired(after: number, limit: number, nowMs: number): { tasks: TaskSummary[]; next: number | null } {
    const farm = this.#retention();
    const anyFarmRule = RETENTION_SETTINGS.some((name) => farm[name] !== FOREVER);
    const own = RETENTION_SETTINGS.map((name) => `summary ->> '$.${name}' IS NOT NULL`).join(" OR ");
    const rows = all<{ id: number; summary: string }>(
      this.#sql,
      `SELECT id, summary FROM tasks
       WHERE id > ? AND +status IN (${ENDED_TEXTS}) ${anyFarmRule ? "" : `AND (${own})`} ORDER BY id LIMIT ?`,
      after,
      limit,
    );
    const summaries = rows.map((row) => this.#shown(row));
    return {
      tasks: summaries.filter(({ expires_ms }) => (expires_ms ?? Infinity) <= nowMs),
      next: rows.length === limit ? rows.at(-1)!.id : null,
    };
  }

  /**
   * How many tasks there are by status, how many frames by state those have that have not ended, what
   * is wrong with the history of any, and what they store.
   */
  census(): Required<Pick<FarmMetrics, "tasks" | "frames" | "history" | "stored">> {
    const statuses = all<{ status: string; n: number }>(
      this.#sql,
      "SELECT status, count(*) AS n FROM tasks GROUP BY status",
    );
    const sums = ["pending", "leased", "done", "failed", "skipped"]
      .map((state) => `coalesce(sum(summary ->> '$.frames.${state}'), 0) AS ${state}`)
      .join(", ");
    const frames = first<Record<string, number>>(
      this.#sql,
      `SELECT ${sums} FROM tasks WHERE status IN ('waiting', 'queued', 'rendering', 'paused')`,
    );
    const failure = "summary ->> '$.history_failure";
    const stored = "summary ->> '$.stored_bytes'";
    const { refused, dropped, bytes, uncounted } = first<Record<string, number>>(
      this.#sql,
      `SELECT count(${failure}.since_ms') AS refused, coalesce(sum(${failure}.dropped'), 0) AS dropped,
         coalesce(sum(${stored}), 0) AS bytes, count(*) - count(${stored}) AS uncounted FROM tasks`,
    ) as { refused: number; dropped: number; bytes: number; uncounted: number };
    const tasks = Object.fromEntries(statuses.map(({ status, n }) => [status, n]));
    return { tasks, frames: { ...frames }, history: { refused, dropped }, stored: { bytes, uncounted } };
  }

  /** The last report of one task: its state for dispatch, and its summary. */
  get(id: number): { state: ReportedState; summary: TaskSummary } | undefined {
    const row = this.#stateRow(id);
    return row && { state: stateOf(row), summary: JSON.parse(row.summary) as TaskSummary };
  }
}

/** When the task must wake next. A report of an earlier release does not say: it is to be asked. */
function wakeOf({ wake_ms }: TaskReport, nowMs: number): number | null {
  return wake_ms === undefined ? nowMs : wake_ms;
}

function stateOf(row: StateRow): ReportedState {
  return {
    priority: row.priority,
    claimable: row.claimable,
    needsId: row.needs_id,
    blocklist: JSON.parse(row.kept_off) as BlocklistEntry[],
    live: new Map(JSON.parse(row.live) as [number, number][]),
  };
}
