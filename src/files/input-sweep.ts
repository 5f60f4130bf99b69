/**
 * Deletes inputs that nothing uses, by mark and sweep (decision 021). A run asks every task which
 * inputs it names, and notes their use; then it deletes the inputs that were not used for long.
 *
 * Each call does a bounded part of a run, and may break off at any point: the next call goes on. Two
 * at once do no harm. What is deleted is decided by three conditions together:
 *
 * - All tasks of the farm were asked after the run had begun, and
 * - the row says, in the statement that gives it up, that nothing used the input from long before
 *   the run, and
 * - checks that could not say so to the row have left a note, which was read before, and none has been
 *   able to go on without since (`sweep-times.ts`).
 */
import { chunksOf } from "../lib/chunks.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { listsWithoutPieces, NOTED_AT_ONCE, readFill, type InputStorage, type StoredInput } from "./input-index.ts";
import { recordNotes } from "./fill-input-index.ts";
import {
  allAsked,
  beginRun,
  countUnused,
  endRun,
  forgetDeleted,
  hasHalfDeleted,
  hasUnused,
  hasUnusedLists,
  LARGE_BYTES,
  moveSeen,
  noteAsked,
  noteDeleted,
  readSweep,
  SLICE_INPUTS,
  takeInputs,
  takeLists,
  type InputSum,
  type SweepPhase,
  type SweepState,
} from "./input-sweep-store.ts";
import { assetKey } from "./keys.ts";
import { readPieceLists } from "./piece-lists.ts";
import { QueryBudget, type Queryable } from "./query-budget.ts";
import { DELETED_AT_ONCE, deleteKeys } from "./store.ts";
import { sweepOldParts } from "./sweep.ts";
import { putSweepMarker, readSweepMarker } from "./sweep-marker.ts";
import { leaseUntilMs, mayDelete, WAIT_MS, waitMs } from "./sweep-times.ts";

const DAY_MS = 86_400_000;
/**
 * Tasks that one call asks: with what else the cron does, more would not fit into the 1,000 calls of
 * an invocation on the free plan
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests).
 */
const TASKS_A_CALL = 400;
/**
 * Hashes that one call notes, if that is fewer tasks: D1 reads three rows for each, and the free plan
 * has 5 million a day.
 */
const HASHES_A_CALL = 200_000;
/**
 * Hashes after which the place is stored. Six tasks more are asked at once, of 10,000 inputs each, and memory
 * holds 120,000 hashes (some 20 MB) and their text.
 */
const HASHES_A_GROUP = 60_000;
/** A Worker may wait for six answers; more would only queue. */
const ASKED_AT_ONCE = 6;
/**
 * Inputs that one call deletes at most. An input costs three written rows of D1 in
 * all, and the free plan has 100,000 a day, which the history needs as well.
 */
const INPUTS_A_CALL = 10_000;
/** Inputs in parts after which a call ends: each takes four calls of R2. */
const LARGE_A_CALL = 75;
/**
 * Queries to D1 of one run, of the 50 that the free plan allows (`query-budget.ts`): of a call of
 * `sweepInputs`, or of both calls of a night. The route that answers how far a call got makes two more.
 * Each step below is begun only when all of its queries are left; the next run goes on. A first call
 * always gets through one group of tasks:
 * - to begin: 5 (forgotten rows, how far the index is, the run, whether anything is old, the new run)
 * - a group of at most 120,000 hashes, all of them lists: 6 questions, 6 statements, the place: 13
 * - that all are asked, the run, whether anything is old or its end: 4
 * What is left, 23, is for pieces of lists whose rows do not name them, 20,000 in each.
 *
 * A usual night of 400 tasks with 40,000 hashes: 5; a group of 4; 3; 4 to begin again; 2 for notes; 2 for
 * lists; 2 slices of inputs with 5 each; 2 for the end: 32.
 */
const SWEEP_QUERIES = 45;
const BEGIN_QUERIES = 5;
/** See above. */
const ALL_ASKED_QUERIES = 4;
/** Rows are taken, noted, and counted. */
const LISTS_SLICE_QUERIES = 3;
/** The end of the scan is found, the rows are taken, noted, and counted, and the place is stored. */
const SLICE_QUERIES = 5;
/** Whether somebody else is deleting, and the end. */
const END_QUERIES = 2;

/** Hashes of inputs; `lists`: those of them that are piece lists. */
export interface NamedInputs {
  inputs: readonly string[];
  lists: readonly string[];
}

export interface SweepDependencies {
  storage: InputStorage;
  /** Ids of tasks after this one, ascending: all that exist, and any others. Throws to end the work. */
  taskIds: (after: number, limit: number) => Promise<number[]>;
  /** The inputs that a task names; null when there is no such task. Throws when it cannot be asked. */
  inputsNamed: (task: number) => Promise<NamedInputs | null>;
  /** Called with tasks that do not exist. */
  notThere: (tasks: readonly number[]) => Promise<void>;
  now: () => number;
}

export interface SweepOrder {
  /** Inputs are deleted that nothing has used for so many days. */
  days: number;
  /** False: ask the tasks, so that it is known what would be deleted, and delete nothing. */
  deletes: boolean;
}

/** Where a run is, after a call. */
export interface SweepProgress {
  phase: SweepPhase;
  /** Nothing is left to do; of a call that does not delete: to find out. */
  done: boolean;
  /** Call again so many milliseconds later, where `done` is false. */
  wait_ms: number;
  /** Why it does not go on by itself; null when it does. */
  held: string | null;
  /** Tasks that this call asked. */
  asked: number;
  /** What this call deleted. */
  deleted: InputSum;
}

const NOTHING: InputSum = { inputs: 0, bytes: 0 };

/**
 * Do a bounded part of a run, with at most SWEEP_QUERIES queries to D1, or those that are left. Throws when
 * D1, R2 or a task does; the next call goes on.
 */
export async function sweepInputs(
  dependencies: SweepDependencies,
  order: SweepOrder,
  queries = new QueryBudget(dependencies.storage.HISTORY, SWEEP_QUERIES),
): Promise<SweepProgress> {
  const { now } = dependencies;
  const { db } = queries;
  await forgetDeleted(db, now());
  if (!(await readFill(db)).complete)
    return held("idle", "not all inputs are in the index yet; the next night goes on");
  let state = await readSweep(db);
  if (order.deletes && now() < state.deletes_after_ms)
    return held(
      state.phase,
      `the first week of this farm or release ends at ${new Date(state.deletes_after_ms).toISOString()}`,
    );
  if (state.phase === "idle") {
    const startedMs = now();
    if (!(await hasUnused(db, cutoffMs(startedMs, order)))) return progress("idle", { done: true });
    const begun = await beginRun(db, state, startedMs);
    // Somebody else has begun it.
    if (!begun) return progress("mark", {});
    state = begun;
  }
  let asked = 0;
  if (state.phase === "mark") {
    asked = await askTasks(dependencies, state, queries);
    state = await readSweep(db);
    if (state.phase === "mark") return progress("mark", { asked });
  }
  if (state.phase === "idle" || !order.deletes) return progress(state.phase, { done: true, asked });
  return { ...(await deleteUnused(dependencies, state, order, queries)), asked };
}

/** Inputs that were used later than this are kept by the run that began then. */
function cutoffMs(startedMs: number, { days }: Pick<SweepOrder, "days">): number {
  return startedMs - days * DAY_MS;
}

/** Ask the next tasks what they name, and note that it is used. Answers how many were asked. */
async function askTasks(dependencies: SweepDependencies, state: SweepState, queries: QueryBudget): Promise<number> {
  const { storage, now } = dependencies;
  const ids = await dependencies.taskIds(state.asked_task, TASKS_A_CALL);
  let place = state;
  let [asked, noted] = [0, 0];
  while (asked < ids.length) {
    if (noted >= HASHES_A_CALL) return asked;
    const group = await askGroup(dependencies, ids.slice(asked));
    if (!queries.has(queriesFor(group.lists) + ALL_ASKED_QUERIES)) return asked;
    const pieces = await piecesUnnamed(storage.FILES, queries, group.lists);
    const hashes = [...new Set([...group.inputs, ...pieces])];
    const needed = queriesFor(hashes) + 1 + ALL_ASKED_QUERIES;
    if (!queries.has(needed)) {
      if (BEGIN_QUERIES + queriesFor(group.lists) + needed <= SWEEP_QUERIES) return asked;
      throw new Error(`tasks up to ${group.last} name ${hashes.length} inputs and pieces: more than a run can note`);
    }
    if (!(await noteAsked(queries.db, place, group.last, hashes, now()))) return asked;
    if (group.gone.length > 0) await dependencies.notThere(group.gone);
    place = { ...place, asked_task: group.last };
    asked += group.asked;
    noted += hashes.length;
  }
  // Fewer than were asked for: these are all.
  if (ids.length < TASKS_A_CALL) await allAsked(queries.db, place);
  return asked;
}

interface AskedGroup {
  inputs: Set<string>;
  lists: string[];
  asked: number;
  last: number;
  /** Tasks that do not exist. */
  gone: number[];
}

/** Ask the first of these tasks, until they have named HASHES_A_GROUP inputs. */
async function askGroup({ inputsNamed }: SweepDependencies, ids: readonly number[]): Promise<AskedGroup> {
  const inputs = new Set<string>();
  const lists = new Set<string>();
  const gone: number[] = [];
  let asked = 0;
  for (const some of chunksOf(ids, ASKED_AT_ONCE)) {
    const named = await mapConcurrent(some, ASKED_AT_ONCE, async (id) => await inputsNamed(id));
    for (const [i, task] of named.entries()) {
      if (task === null) gone.push(some[i]!);
      for (const hash of task?.inputs ?? []) inputs.add(hash);
      for (const hash of task?.lists ?? []) lists.add(hash);
    }
    asked += some.length;
    if (inputs.size >= HASHES_A_GROUP) break;
  }
  return { inputs, lists: [...lists], asked, last: ids[asked - 1]!, gone };
}

/** Queries that look so many hashes up, or note them. */
function queriesFor(hashes: readonly string[]): number {
  return Math.ceil(hashes.length / NOTED_AT_ONCE);
}

/**
 * The pieces of those of these lists of which no live row names them, which the statement that notes
 * the lists would miss: D1 did not take the row when a list was stored. Throws when D1 or R2 does.
 */
async function piecesUnnamed(FILES: R2Bucket, { db }: QueryBudget, lists: readonly string[]): Promise<string[]> {
  const read = await readPieceLists(FILES, await listsWithoutPieces(db, lists));
  return [...read.values()].flat().map(({ sha256 }) => sha256);
}

/** Delete a bounded part of what nothing uses. */
async function deleteUnused(
  dependencies: SweepDependencies,
  state: SweepState,
  order: SweepOrder,
  queries: QueryBudget,
): Promise<SweepProgress> {
  const { storage, now } = dependencies;
  const { FILES: bucket } = storage;
  const { db } = queries;
  const beforeMs = cutoffMs(state.started_ms, order);
  if (!(await hasUnused(db, beforeMs))) {
    await endRun(db, state, now());
    return progress("idle", { done: true });
  }
  let marker = await readSweepMarker(bucket);
  if (waitMs(marker, now()) === null) marker = await putSweepMarker(bucket, now());
  const wait = waitMs(marker, now());
  if (wait !== 0) return progress("delete", { wait_ms: wait ?? 0 });
  if (!(await recordNotes(storage, queries, now()))) return progress("delete", {});
  const deleted = { ...NOTHING };
  let [taken, large] = [0, 0];
  const mayGoOn = (needed: number): boolean =>
    taken + SLICE_INPUTS <= INPUTS_A_CALL && large < LARGE_A_CALL && queries.has(needed) && waitMs(marker, now()) === 0;
  const deleteSlice = async (inputs: readonly StoredInput[], leaseMs: number): Promise<void> => {
    taken += inputs.length;
    large += inputs.filter(isLarge).length;
    const sum = await deleteInputs(dependencies, state, inputs, leaseMs, queries);
    deleted.inputs += sum.inputs;
    deleted.bytes += sum.bytes;
  };
  // A list goes before its pieces: so no list that is there lacks one.
  while (mayGoOn(LISTS_SLICE_QUERIES + 1)) {
    const leaseMs = leaseUntilMs(now());
    const lists = await takeLists(db, beforeMs, leaseMs, now());
    if (lists.length === 0) break;
    await deleteSlice(lists, leaseMs);
  }
  if (!queries.has(1)) return progress("delete", { deleted });
  if (await hasUnusedLists(db, beforeMs)) {
    // It may have ended before it took all of them; else another call is deleting, or has died.
    return progress("delete", { deleted, wait_ms: mayGoOn(LISTS_SLICE_QUERIES) ? leaseUntilMs(0) : 0 });
  }
  let seen = state.seen_before_ms === beforeMs ? state.seen_input : "";
  while (mayGoOn(SLICE_QUERIES + END_QUERIES)) {
    const leaseMs = leaseUntilMs(now());
    const slice = await takeInputs(db, beforeMs, leaseMs, now(), seen);
    if (slice.inputs.length > 0) await deleteSlice(slice.inputs, leaseMs);
    seen = slice.seen ?? "";
    await moveSeen(db, state, seen, beforeMs);
    if (slice.seen !== null) continue;
    // Another call may be deleting, or have died.
    if (await hasHalfDeleted(db)) return progress("delete", { deleted, wait_ms: leaseUntilMs(0) });
    await endRun(db, state, now());
    return progress("idle", { deleted, done: true });
  }
  return progress("delete", { deleted });
}

/**
 * Delete the objects of inputs that were given up until `leaseMs`. Answers what this deleted. What it does
 * not get to, because R2 or D1 is slow, stays given up: a later call takes it up.
 */
async function deleteInputs(
  { storage: { FILES }, now }: SweepDependencies,
  state: SweepState,
  inputs: readonly StoredInput[],
  leaseMs: number,
  queries: QueryBudget,
): Promise<InputSum> {
  const gone: StoredInput[] = [];
  for (const some of chunksOf(inputs, DELETED_AT_ONCE)) {
    if (!mayDelete(leaseMs, now())) break;
    await deleteKeys(
      FILES,
      some.map(({ sha256 }) => assetKey(sha256)),
    );
    gone.push(...some);
  }
  if (gone.length === 0) return NOTHING;
  for (const { sha256 } of gone.filter(isLarge)) await sweepOldParts(FILES, assetKey(sha256), now());
  return await noteDeleted(queries.db, state, gone, leaseMs, now());
}

function isLarge({ size }: StoredInput): boolean {
  return size > LARGE_BYTES;
}

/**
 * The work of a night: a call, and one more when it is only the marker that must be waited for. Both make
 * at most SWEEP_QUERIES queries to D1.
 */
export async function sweepAtNight(
  dependencies: SweepDependencies,
  order: SweepOrder,
  sleep: (ms: number) => Promise<void>,
): Promise<SweepProgress> {
  const queries = new QueryBudget(dependencies.storage.HISTORY, SWEEP_QUERIES);
  const first = await sweepInputs(dependencies, order, queries);
  // A little more than WAIT_MS where R2's clock is ahead.
  if (first.done || first.wait_ms === 0 || first.wait_ms > 2 * WAIT_MS || first.deleted.inputs > 0) return first;
  if (!queries.has(BEGIN_QUERIES + END_QUERIES)) return first;
  await sleep(first.wait_ms);
  const second = await sweepInputs(dependencies, order, queries);
  return { ...second, asked: first.asked + second.asked };
}

/** What would be deleted now, as far as is known; exact when all tasks were asked. */
export async function unusedNow(
  db: Queryable,
  order: Pick<SweepOrder, "days">,
  nowMs: number,
): Promise<{ state: SweepState; unused: InputSum }> {
  const state = await readSweep(db);
  const unused = await countUnused(db, cutoffMs(state.phase === "idle" ? nowMs : state.started_ms, order));
  return { state, unused };
}

function progress(phase: SweepPhase, more: Partial<SweepProgress>): SweepProgress {
  return { phase, done: false, wait_ms: 0, held: null, asked: 0, deleted: NOTHING, ...more };
}

function held(phase: SweepPhase, why: string): SweepProgress {
  return progress(phase, { done: true, held: why });
}
