/**
 * SQL of the sweep of unused inputs (`schema/0005_input_sweep.sql`; decision 021). All of these
 * reject when D1 does. A statement that D1 carries out late does no harm: each has the condition
 * under which it is right.
 */
import { CLOCK_MS, markings, type StoredInput } from "./input-index.ts";
import type { Queryable } from "./query-budget.ts";
import { KEEP_ROWS_MS } from "./sweep-times.ts";

/** Rows that one statement looks at: D1 runs one at a time, and uploads wait for it. */
const SCANNED_ROWS = 50_000;
/**
 * Inputs that are given up together. Each such slice takes five queries: with smaller ones, a night would delete
 * fewer (SWEEP_QUERIES in `input-sweep.ts`). With larger ones, deleting the objects might take longer than the lease.
 */
export const SLICE_INPUTS = 5_000;
/**
 * An input in parts takes four calls of R2, of which an invocation has 1,000 on the free plan
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests), so a slice has few of them.
 */
const SLICE_LARGE = 25;
/** Larger inputs of earlier releases are in parts. */
export const LARGE_BYTES = 32 * 1024 * 1024;

export type SweepPhase = "idle" | "mark" | "delete";

/** The row of `input_sweep`. */
export interface SweepState {
  deletes_after_ms: number;
  run: number;
  phase: SweepPhase;
  started_ms: number;
  asked_task: number;
  seen_input: string;
  seen_before_ms: number;
  deleted: number;
  deleted_bytes: number;
  ended_ms: number | null;
}

/** Inputs, and their bytes. */
export interface InputSum {
  inputs: number;
  bytes: number;
}

const READ = "SELECT * FROM input_sweep WHERE id = 1";

// `used_ms` and `deleted` of a row that is being deleted say nothing of its use.
const IS_OLD = "deleting_until_ms IS NULL AND used_ms < ?1";
const IS_HALF_DELETED = "deleting_until_ms IS NOT NULL AND deleted = 0";

const COUNT_OLD = `SELECT count(*) AS inputs, coalesce(sum(size), 0) AS bytes FROM inputs WHERE ${IS_OLD}`;
const ANY_OLD = `SELECT 1 FROM inputs WHERE (${IS_OLD}) OR (${IS_HALF_DELETED}) LIMIT 1`;
const ANY_LIST = `SELECT 1 FROM inputs WHERE pieces IS NOT NULL AND ((${IS_OLD}) OR (${IS_HALF_DELETED})) LIMIT 1`;
const ANY_HALF_DELETED = `SELECT 1 FROM inputs WHERE ${IS_HALF_DELETED} LIMIT 1`;

const BEGIN = `
  UPDATE input_sweep SET run = run + 1, phase = 'mark', started_ms = ?2, asked_task = 0, seen_input = '',
    deleted = 0, deleted_bytes = 0
  WHERE run = ?1 AND phase = 'idle' RETURNING *`;
const MOVE_ASKED = "UPDATE input_sweep SET asked_task = ?3 WHERE run = ?1 AND phase = 'mark' AND asked_task = ?2";
const ALL_ASKED = "UPDATE input_sweep SET phase = 'delete' WHERE run = ?1 AND phase = 'mark' AND asked_task = ?2";
const MOVE_SEEN = "UPDATE input_sweep SET seen_input = ?2, seen_before_ms = ?3 WHERE run = ?1 AND phase = 'delete'";
const COUNT_DELETED = `
  UPDATE input_sweep SET deleted = deleted + ?2, deleted_bytes = deleted_bytes + ?3 WHERE run = ?1`;
const END = "UPDATE input_sweep SET phase = 'idle', ended_ms = ?2 WHERE run = ?1 AND phase <> 'idle'";

// Old rows, and those whose deletion was given up. ?2: the lease. ?3: now.
const TAKE = `
  UPDATE inputs SET deleting_until_ms = ?2, deleted = 0 WHERE sha256 IN (
    SELECT sha256 FROM (
      SELECT sha256, sum(size > ${LARGE_BYTES}) OVER (ORDER BY sha256) AS large FROM (
        SELECT * FROM inputs WHERE /* which */ ORDER BY sha256 LIMIT ${SCANNED_ROWS}
      ) WHERE (${IS_OLD}) OR (${IS_HALF_DELETED} AND deleting_until_ms < ?3 - ${CLOCK_MS})
    ) WHERE large <= ${SLICE_LARGE} ORDER BY sha256 LIMIT ${SLICE_INPUTS}
  ) RETURNING sha256, size`;
// Only those that may be old: a farm may have more lists in use than a statement looks at.
const TAKE_LISTS = TAKE.replace("/* which */", `pieces IS NOT NULL AND ((${IS_OLD}) OR (${IS_HALF_DELETED}))`);
const TAKE_INPUTS = TAKE.replace("/* which */", "sha256 > ?4");
const SCAN_END = `
  SELECT count(*) AS rows, max(sha256) AS last FROM (
    SELECT sha256 FROM inputs WHERE sha256 > ?1 ORDER BY sha256 LIMIT ${SCANNED_ROWS})`;

// A row that an upload has taken over, or another run, has another lease or none.
const NOTE_DELETED = `
  UPDATE inputs SET deleting_until_ms = ?3, deleted = 1
  WHERE deleting_until_ms = ?2 AND sha256 IN (SELECT value FROM json_each(?1)) RETURNING size`;
const FORGET_DELETED = `
  DELETE FROM inputs WHERE sha256 IN (
    SELECT sha256 FROM inputs WHERE deleted = 1 AND deleting_until_ms < ?1 LIMIT 20000)`;

export async function readSweep(db: Queryable): Promise<SweepState> {
  return (await firstOf<SweepState>(db, db.prepare(READ)))!;
}

/** Inputs that no check and no task has named since then, as far as is known. */
export async function countUnused(db: Queryable, beforeMs: number): Promise<InputSum> {
  return (await firstOf<InputSum>(db, db.prepare(COUNT_OLD).bind(beforeMs)))!;
}

/** Whether there is something to delete, if no task names it. */
export async function hasUnused(db: Queryable, beforeMs: number): Promise<boolean> {
  return (await firstOf(db, db.prepare(ANY_OLD).bind(beforeMs))) !== undefined;
}

/** Whether piece lists are left that must be deleted before any piece. */
export async function hasUnusedLists(db: Queryable, beforeMs: number): Promise<boolean> {
  return (await firstOf(db, db.prepare(ANY_LIST).bind(beforeMs))) !== undefined;
}

/** Whether there are inputs that somebody has begun to delete. */
export async function hasHalfDeleted(db: Queryable): Promise<boolean> {
  return (await firstOf(db, db.prepare(ANY_HALF_DELETED))) !== undefined;
}

/** Begin the run after this one. Undefined: somebody else has. */
export async function beginRun(db: Queryable, { run }: SweepState, nowMs: number): Promise<SweepState | undefined> {
  return await firstOf<SweepState>(db, db.prepare(BEGIN).bind(run, nowMs));
}

/**
 * The tasks up to this one are asked, and name these inputs: note that they are used. False: somebody
 * else goes on with this run.
 */
export async function noteAsked(
  db: Queryable,
  { run, asked_task }: SweepState,
  task: number,
  hashes: readonly string[],
  nowMs: number,
): Promise<boolean> {
  const moving = db.prepare(MOVE_ASKED).bind(run, asked_task, task);
  const answers = await db.batch([...markings(db, hashes, nowMs), moving]);
  return answers.at(-1)!.meta.changes > 0;
}

/** There is no task after the last one that was asked. False: somebody else goes on with this run. */
export async function allAsked(db: Queryable, { run, asked_task }: SweepState): Promise<boolean> {
  return await changes(db, db.prepare(ALL_ASKED).bind(run, asked_task));
}

/** The run has ended. */
export async function endRun(db: Queryable, { run }: SweepState, nowMs: number): Promise<void> {
  await changes(db, db.prepare(END).bind(run, nowMs));
}

/** Inputs that are given up to deletion, and where the scan ended. */
export interface Slice {
  inputs: StoredInput[];
  /** Inputs up to this one were looked at; null when there are no more. */
  seen: string | null;
}

/** Give old piece lists up to deletion, at most SLICE_INPUTS. */
export async function takeLists(
  db: Queryable,
  beforeMs: number,
  leaseMs: number,
  nowMs: number,
): Promise<StoredInput[]> {
  const [taken] = await db.batch([db.prepare(TAKE_LISTS).bind(beforeMs, leaseMs, nowMs)]);
  return taken!.results as StoredInput[];
}

/** Give old inputs after `seen` up to deletion, at most SLICE_INPUTS. */
export async function takeInputs(
  db: Queryable,
  beforeMs: number,
  leaseMs: number,
  nowMs: number,
  seen: string,
): Promise<Slice> {
  const [end, taken] = await db.batch([
    db.prepare(SCAN_END).bind(seen),
    db.prepare(TAKE_INPUTS).bind(beforeMs, leaseMs, nowMs, seen),
  ]);
  const [{ rows, last }] = end!.results as [{ rows: number; last: string | null }];
  const inputs = (taken!.results as StoredInput[]).toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
  const large = inputs.filter(({ size }) => size > LARGE_BYTES).length;
  // More may have been in what was scanned.
  if (inputs.length === SLICE_INPUTS || large === SLICE_LARGE) return { inputs, seen: inputs.at(-1)!.sha256 };
  return { inputs, seen: rows < SCANNED_ROWS ? null : last };
}

/** How far the scan of this run is. */
export async function moveSeen(db: Queryable, { run }: SweepState, seen: string, beforeMs: number): Promise<void> {
  await changes(db, db.prepare(MOVE_SEEN).bind(run, seen, beforeMs));
}

/** The objects of these rows are gone. Answers how many rows still had this lease. */
export async function noteDeleted(
  db: Queryable,
  { run }: SweepState,
  inputs: readonly StoredInput[],
  leaseMs: number,
  nowMs: number,
): Promise<InputSum> {
  const hashes = JSON.stringify(inputs.map(({ sha256 }) => sha256));
  const [noted] = await db.batch([db.prepare(NOTE_DELETED).bind(hashes, leaseMs, nowMs)]);
  const sizes = noted!.results as { size: number }[];
  const sum = { inputs: sizes.length, bytes: sizes.reduce((bytes, { size }) => bytes + size, 0) };
  await changes(db, db.prepare(COUNT_DELETED).bind(run, sum.inputs, sum.bytes));
  return sum;
}

/** Delete rows of inputs that were deleted so long ago that no upload can remember their objects. */
export async function forgetDeleted(db: Queryable, nowMs: number): Promise<void> {
  await changes(db, db.prepare(FORGET_DELETED).bind(nowMs - KEEP_ROWS_MS));
}

async function firstOf<T>(db: Queryable, statement: D1PreparedStatement): Promise<T | undefined> {
  const [answer] = await db.batch([statement]);
  return answer!.results[0] as T | undefined;
}

async function changes(db: Queryable, statement: D1PreparedStatement): Promise<boolean> {
  const [answer] = await db.batch([statement]);
  return answer!.meta.changes > 0;
}
