/**
 * Lists of tasks for people: pages by filter and search, and what a farm snapshot holds. A page reads
 * a bounded number of rows, so that a search over a farm of any size never holds the registry.
 */
import { ENDED, isEnded, TASK_STATUSES, type TaskStatus } from "../protocol/constants.ts";
import { ok, type Result } from "../lib/result.ts";
import { all, first, type SqlParam } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { withExpiry, type FarmRetention } from "../protocol/retention.ts";
import { hasWords, wordsOf, type Searched } from "../protocol/task-search.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { TaskPage, TaskQuery } from "../rpc/registry.ts";

/** The longest page of a list: summaries are read and sent whole. */
const MAX_PAGE = 500;
/**
 * Rows that one page reads at most, however few of them match: they take the registry 4 ms, one page in
 * a hundred 8 ms (the case `search` of the benchmarks). More: it serves nobody else for longer than 10 ms.
 */
export const MAX_ROWS_READ = 1_000;
/** Rows of one statement, where a filter must look at rows: a page that is full early reads no more. */
const BATCH = 250;

const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));
const LIST = { open: OPEN, ended: ENDED } as const;
const CURSORS = { id: /^[1-9]\d{0,14}$/, ended: /^\d{1,15}\.[1-9]\d{0,14}$/ } as const;

/**
 * What filters and search look at. The summary of a row is parsed only when the row matches: to parse
 * all of them takes a page a fifth longer.
 */
type ListRow = Searched & { ended_ms: number | null };
type Columns = [id: number, ended_ms: number | null, status: string, type: string, owner: string, name: string];

/** The order of a list, and how its rows are read from an index, in order. */
interface Walk {
  order: "id" | "ended";
  statement: string;
  params: SqlParam[];
}

export class TaskList {
  readonly #sql: SqlStorage;
  readonly #retention: () => FarmRetention;

  /** `retention`: the farm's rule, by which summaries say when their task is deleted. */
  constructor(sql: SqlStorage, retention: () => FarmRetention) {
    this.#sql = sql;
    this.#retention = retention;
  }

  /**
   * A page of the tasks that have reported: the newest first, or the last ended first. `cursor` is
   * where to go on: the last row that was read, whether it matched or not; null after the last row.
   */
  page(query: TaskQuery): Result<TaskPage, Refusal> {
    const refusal = refusalOf(query);
    if (refusal) return refusal;
    const walk = walkOf(query);
    const words = wordsOf(query.search ?? "");
    const found: number[] = [];
    let after = query.cursor;
    for (let read = 0; read < MAX_ROWS_READ;) {
      const limit = Math.min(BATCH, MAX_ROWS_READ - read);
      const rows = this.#rowsAfter(walk, after, limit);
      for (const [index, row] of rows.entries()) {
        if (!passes(row, query) || !hasWords(row, words)) continue;
        found.push(row.id);
        if (found.length < query.limit) continue;
        const isLast = index === rows.length - 1 && rows.length < limit;
        const cursor = cursorOf(walk, row);
        return ok({ tasks: this.#summaries(found), cursor: isLast || !this.#anyAfter(walk, cursor) ? null : cursor });
      }
      if (rows.length < limit) return ok({ tasks: this.#summaries(found), cursor: null });
      read += rows.length;
      after = cursorOf(walk, rows.at(-1)!);
    }
    return ok({ tasks: this.#summaries(found), cursor: this.#anyAfter(walk, after!) ? after! : null });
  }

  /** The summaries of these tasks, in this order. */
  #summaries(ids: readonly number[]): TaskSummary[] {
    if (ids.length === 0) return [];
    const rows = all<{ id: number; summary: string }>(
      this.#sql,
      "SELECT id, summary FROM tasks WHERE id IN (SELECT value FROM json_each(?))",
      JSON.stringify(ids),
    );
    const byId = new Map(rows.map(({ id, summary }) => [id, summary]));
    const retention = this.#retention();
    return ids.map((id) => withExpiry(JSON.parse(byId.get(id)!) as TaskSummary, retention));
  }

  #anyAfter(walk: Walk, cursor: string): boolean {
    return this.#rowsAfter(walk, cursor, 1).length > 0;
  }

  #rowsAfter(walk: Walk, cursor: string | undefined, limit: number): ListRow[] {
    const [ms, id] =
      walk.order === "id"
        ? [0, cursor ?? Number.MAX_SAFE_INTEGER]
        : (cursor?.split(".") ?? [Number.MAX_SAFE_INTEGER, 0]);
    // As arrays, which take the platform half the time of objects.
    const rows = this.#sql.exec(walk.statement, Number(ms), Number(id), limit, ...walk.params).raw<Columns>();
    return Array.from(rows, ([at, endedMs, status, type, owner, name]) => {
      return { id: at, ended_ms: endedMs, status: status as TaskStatus, type, owner, name };
    });
  }

  /** The tasks that have not ended, in the order of dispatch; at most `limit`. */
  openSummaries(limit: number): TaskSummary[] {
    return this.#shown(
      `SELECT summary FROM tasks WHERE status IN (${textsOf(OPEN)}) ORDER BY priority DESC, id LIMIT ?`,
      limit,
    );
  }

  /** How many tasks have not ended. Reads as many entries of an index. */
  countOpen(): number {
    return first<{ n: number }>(this.#sql, `SELECT count(*) AS n FROM tasks WHERE status IN (${textsOf(OPEN)})`)!.n;
  }

  /** The tasks that ended last, and whether there are more than `limit`. */
  endedSummaries(limit: number): { summaries: TaskSummary[]; more: boolean } {
    const summaries = this.#shown(
      "SELECT summary FROM tasks WHERE ended_ms IS NOT NULL ORDER BY ended_ms DESC, id DESC LIMIT ?",
      limit + 1,
    );
    return { summaries: summaries.slice(0, limit), more: summaries.length > limit };
  }

  #shown(statement: string, limit: number): TaskSummary[] {
    const rows = all<{ summary: string }>(this.#sql, statement, limit);
    const retention = this.#retention();
    return rows.map(({ summary }) => withExpiry(JSON.parse(summary) as TaskSummary, retention));
  }
}

/** When a task ended, as its row says; null while it has not. A task of 0.1 does not say when. */
export function endedMs(task: TaskSummary): number | null {
  return isEnded(task.status) ? (task.ended_ms ?? task.updated_ms) : null;
}

function textsOf(statuses: readonly string[]): string {
  return statuses.map((status) => `'${status}'`).join(", ");
}

function refusalOf({ limit, cursor, order = "id", state, status }: TaskQuery): Result<never, Refusal> | null {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE)
    return refuse("invalid", `must be a whole number from 1 to ${MAX_PAGE}`, "limit");
  if (order === "ended" && (state === "open" || OPEN.some((open) => open === status)))
    return refuse("invalid", "`ended` is an order of tasks that have ended", "order");
  if (cursor !== undefined && !CURSORS[order].test(cursor))
    return refuse("invalid", "is not a cursor of this list", "cursor");
  return null;
}

/**
 * The rows of a list in its order, from one index: `?1` and `?2` are the place after which it begins,
 * `?3` is the limit. A filter that has no part here is checked for each row that is read.
 */
function walkOf({ order = "id", state, status, owner }: TaskQuery): Walk {
  const columns = "SELECT id, ended_ms, status, type, owner, summary ->> '$.name' AS name FROM tasks";
  if (order === "ended") {
    // `?1 >= ended_ms` alone bounds the walk of the index; the pair decides.
    const after = "ended_ms IS NOT NULL AND ended_ms <= ?1 AND (ended_ms < ?1 OR id < ?2)";
    return { order, statement: `${columns} WHERE ${after} ORDER BY ended_ms DESC, id DESC LIMIT ?3`, params: [] };
  }
  const statuses = status !== undefined ? [status] : state !== undefined ? LIST[state] : [];
  const after = "id < ?2";
  if (owner !== undefined)
    return { order, statement: `${columns} WHERE owner = ?4 AND ${after} ORDER BY id DESC LIMIT ?3`, params: [owner] };
  if (statuses.length === 0)
    return { order, statement: `${columns} WHERE ${after} ORDER BY id DESC LIMIT ?3`, params: [] };
  // An arm for each status, each in the order of its index: SQLite merges them, and sorts nothing.
  const arms = statuses.map((_, index) => `${columns} WHERE status = ?${index + 4} AND ${after}`);
  return { order, statement: `${arms.join(" UNION ALL ")} ORDER BY id DESC LIMIT ?3`, params: [...statuses] };
}

function cursorOf({ order }: Walk, { id, ended_ms }: ListRow): string {
  return order === "id" ? String(id) : `${ended_ms}.${id}`;
}

/** Whether a task passes the filters. */
function passes(task: Searched, { status, state, type, owner }: TaskQuery): boolean {
  return (
    (status === undefined || task.status === status) &&
    (state === undefined || isEnded(task.status) === (state === "ended")) &&
    (type === undefined || task.type === type) &&
    (owner === undefined || task.owner === owner)
  );
}
