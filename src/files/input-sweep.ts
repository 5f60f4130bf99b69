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
import { listsWithoutPieces, readFill, type InputStorage, type StoredInput } from "./input-index.ts";
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
  takeInputs,
  takeLists,
  type InputSum,
  type SweepPhase,
  type SweepState,
} from "./input-sweep-store.ts";
import { assetKey } from "./keys.ts";
import { readPieceLists } from "./piece-lists.ts";
import { deleteKeys } from "./store.ts";
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
/** Tasks after which the place is stored. Of more, with 10,000 inputs each, memory would not hold the answers. */
const TASKS_A_GROUP = 24;
/** A Worker may wait for six answers; more would only queue. */
const ASKED_AT_ONCE = 6;
/**
 * Slices of 1,000 inputs that one call deletes. An input costs three written rows of D1 in all, and
 * the free plan has 100,000 a day, which the history needs as well.
 */
const SLICES_A_CALL = 10;

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

/** Do a bounded part of a run. Throws when D1, R2 or a task does; the next call goes on. */
export async function sweepInputs(dependencies: SweepDependencies, order: SweepOrder): Promise<SweepProgress> {
  const { storage, now } = dependencies;
  const db = storage.HISTORY;
  await forgetDeleted(db, now());
  if (!(await readFill(db)).complete)
    return held("idle", "not all inputs are in the index yet; the next night goes on");
  let state = await readSweep(db);
  if (order.deletes && now() < state.deletes_after_ms)
    return held(state.phase, `nothing is deleted before ${new Date(state.deletes_after_ms).toISOString()}`);
  if (state.phase === "idle") {
    const startedMs = now();
    if (!(await hasUnused(db, cutoffMs(startedMs, order)))) return progress("idle", { done: true });
    await beginRun(db, state, startedMs);
    state = await readSweep(db);
  }
  let asked = 0;
  if (state.phase === "mark") {
    asked = await askTasks(dependencies, state);
    state = await readSweep(db);
    if (state.phase === "mark") return progress("mark", { asked });
  }
  if (state.phase === "idle" || !order.deletes) return progress(state.phase, { done: true, asked });
  return { ...(await deleteUnused(dependencies, state, order)), asked };
}

/** Inputs that were used later than this are kept by the run that began then. */
function cutoffMs(startedMs: number, { days }: Pick<SweepOrder, "days">): number {
  return startedMs - days * DAY_MS;
}

/** Ask the next tasks what they name, and note that it is used. Answers how many were asked. */
async function askTasks(dependencies: SweepDependencies, state: SweepState): Promise<number> {
  const { storage, now } = dependencies;
  const ids = await dependencies.taskIds(state.asked_task, TASKS_A_CALL);
  let place = state;
  let [asked, noted] = [0, 0];
  for (const group of chunksOf(ids, TASKS_A_GROUP)) {
    if (noted >= HASHES_A_CALL) return asked;
    const named = await mapConcurrent(group, ASKED_AT_ONCE, async (id) => await dependencies.inputsNamed(id));
    const lists = [...new Set(named.flatMap((task) => task?.lists ?? []))];
    const pieces = await piecesUnnamed(storage, lists);
    const hashes = [...new Set([...named.flatMap((task) => task?.inputs ?? []), ...pieces])];
    const last = group.at(-1)!;
    if (!(await noteAsked(storage.HISTORY, place, last, hashes, now()))) return asked;
    const gone = group.filter((_, i) => named[i] === null);
    if (gone.length > 0) await dependencies.notThere(gone);
    place = { ...place, asked_task: last };
    asked += group.length;
    noted += hashes.length;
  }
  // Fewer than were asked for: these are all.
  if (ids.length < TASKS_A_CALL) await allAsked(storage.HISTORY, place);
  return asked;
}

/**
 * The pieces of those of these lists of which no live row names them, which the statement that notes
 * the lists would miss: D1 did not take the row when a list was stored. Throws when D1 or R2 does.
 */
async function piecesUnnamed({ FILES, HISTORY }: InputStorage, lists: readonly string[]): Promise<string[]> {
  const read = await readPieceLists(FILES, await listsWithoutPieces(HISTORY, lists));
  return [...read.values()].flat().map(({ sha256 }) => sha256);
}

/** Delete a bounded part of what nothing uses. */
async function deleteUnused(
  dependencies: SweepDependencies,
  state: SweepState,
  order: SweepOrder,
): Promise<SweepProgress> {
  const { storage, now } = dependencies;
  const { HISTORY: db, FILES: bucket } = storage;
  const beforeMs = cutoffMs(state.started_ms, order);
  if (!(await hasUnused(db, beforeMs))) {
    await endRun(db, state, now());
    return progress("idle", { done: true });
  }
  let marker = await readSweepMarker(bucket);
  if (waitMs(marker, now()) === null) marker = await putSweepMarker(bucket, now());
  const wait = waitMs(marker, now());
  if (wait !== 0) return progress("delete", { wait_ms: wait ?? 0 });
  if (!(await recordNotes(storage, now()))) return progress("delete", {});
  const deleted = { ...NOTHING };
  const mayGoOn = (): boolean => waitMs(marker, now()) === 0;
  const deleteSlice = async (inputs: readonly StoredInput[], leaseMs: number): Promise<void> => {
    const sum = await deleteInputs(dependencies, state, inputs, leaseMs);
    deleted.inputs += sum.inputs;
    deleted.bytes += sum.bytes;
  };
  let slices = 0;
  // A list goes before its pieces: so no list that is there lacks one.
  for (; slices < SLICES_A_CALL && mayGoOn(); slices++) {
    const leaseMs = leaseUntilMs(now());
    const lists = await takeLists(db, beforeMs, leaseMs, now());
    if (lists.length === 0) break;
    await deleteSlice(lists, leaseMs);
  }
  if (await hasUnusedLists(db, beforeMs)) return progress("delete", { deleted, wait_ms: leaseUntilMs(0) });
  let seen = state.seen_before_ms === beforeMs ? state.seen_input : "";
  for (; slices < SLICES_A_CALL && mayGoOn(); slices++) {
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

/** Delete the objects of inputs that were given up until `leaseMs`. Answers what this deleted. */
async function deleteInputs(
  { storage: { FILES, HISTORY }, now }: SweepDependencies,
  state: SweepState,
  inputs: readonly StoredInput[],
  leaseMs: number,
): Promise<InputSum> {
  // D1 may have been slow. The next run takes these rows up.
  if (!mayDelete(leaseMs, now())) return NOTHING;
  await deleteKeys(
    FILES,
    inputs.map(({ sha256 }) => assetKey(sha256)),
  );
  const large = inputs.filter(({ size }) => size > LARGE_BYTES);
  for (const { sha256 } of large) await sweepOldParts(FILES, assetKey(sha256), now());
  return await noteDeleted(HISTORY, state, inputs, leaseMs, now());
}

/** The work of a night: a call, and one more when it is only the marker that must be waited for. */
export async function sweepAtNight(
  dependencies: SweepDependencies,
  order: SweepOrder,
  sleep: (ms: number) => Promise<void>,
): Promise<SweepProgress> {
  const first = await sweepInputs(dependencies, order);
  // A little more than WAIT_MS where R2's clock is ahead.
  if (first.done || first.wait_ms === 0 || first.wait_ms > 2 * WAIT_MS || first.deleted.inputs > 0) return first;
  await sleep(first.wait_ms);
  const second = await sweepInputs(dependencies, order);
  return { ...second, asked: first.asked + second.asked };
}

/** What would be deleted now, as far as is known; exact when all tasks were asked. */
export async function unusedNow(
  db: D1Database,
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
