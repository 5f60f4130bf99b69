/**
 * Why a task waits, and why a worker is idle. Pure. Works on the data and the predicates of
 * dispatch itself, and calls `chooseTask` instead of imitating it, so that the answer is what
 * dispatch would do.
 */
import { isEnded } from "../protocol/constants.ts";
import type { BlenderBuild } from "../protocol/blender-build.ts";
import { missingFor, versionsOffered } from "../protocol/needs.ts";
import type { AboutTask } from "../rpc/registry.ts";
import type { TaskSummary } from "../protocol/task.ts";
import { compareVersions, meetsNeed, minorOf } from "../protocol/blender-version.ts";
import type { BlenderWhy, Missing, TaskWhy, WorkerHold, WorkerWhy } from "../protocol/why.ts";
import { excludedUntilMs, chooseTask, goesFirst, type WorkerView, type Candidate, type Group } from "./dispatch.ts";
import { taskText, workerText, type WorkerRule } from "./why-text.ts";

/**
 * The most workers, and the most passed-over tasks, in one answer: a farm may have ten thousand of
 * each.
 */
const MAX_WORKERS = 200;
const MAX_PASSED = 50;
/**
 * Tasks read in each group to find those that a worker passes over. Without it, a group is read
 * whole.
 */
const SCAN_LIMIT = 50;

/** The reason of a worker that is paused at its machine. */
const PAUSED = "paused on the machine";

/** A worker as dispatch sees it, with what keeps it from all work. */
export interface WorkerDispatchState extends WorkerView {
  hostname: string;
  online: boolean;
  whyNoWork: "offline" | "disabled" | "draining" | "paused" | null;
  /** The tasks it renders, newest last; `full` when no slot is free. */
  tasks: readonly number[];
  full: boolean;
}

/** Without the worker's name: that is stored apart, and read only for the workers in the answer. */
type Hold = Omit<WorkerHold, "name">;
type Held = Pick<WorkerHold, "rule" | "missing" | "until_ms" | "task_id" | "reason">;

function held(rule: WorkerRule, more: Partial<Held> = {}): Held {
  return { rule, missing: [], until_ms: null, task_id: null, ...more };
}

/**
 * What keeps a worker from one task, whatever other tasks there are: missing needs, or an
 * exclusion.
 */
function exclusion(worker: WorkerView, needs: Group["needs"], task: Candidate, nowMs: number): Held | null {
  const missing: Missing[] = [...missingFor(needs, worker.offer)];
  if (missing.length > 0) return held("cannot", { missing });
  const untilMs = excludedUntilMs(worker, task, nowMs);
  if (untilMs === 0) return null;
  const rule = exclusionRule(worker, task.id, untilMs);
  const entry = rule === "kept_off" ? task.blocklist.find(({ worker_id }) => worker_id === worker.id) : undefined;
  return held(rule, { until_ms: untilMs, ...(entry?.reason !== undefined && { reason: entry.reason }) });
}

/**
 * On the wire: `refused` when the task declined the worker, `kept_off` when the worker is on its
 * blocklist.
 */
function exclusionRule(worker: WorkerView, task: number, untilMs: number): "refused" | "kept_off" {
  return worker.declined.get(task) === untilMs ? "refused" : "kept_off";
}

/**
 * What keeps a worker from all work. A pause at the machine is `draining` on the wire, with the reason:
 * command lines up to 0.1 refuse an answer with a rule that they do not know.
 */
function noWork({ whyNoWork, online }: WorkerDispatchState): Held | null {
  if (whyNoWork === "paused") return online ? held("draining", { reason: PAUSED }) : held("offline");
  if (whyNoWork !== null) return held(whyNoWork);
  return online ? null : held("offline");
}

/**
 * What keeps a worker from this task; `groups` contain it. `none` exactly when `chooseTask` gives
 * it that task.
 */
function holdOn(
  worker: WorkerDispatchState,
  task: Candidate,
  needs: Group["needs"],
  groups: Iterable<Group>,
  nowMs: number,
): Held {
  const none = noWork(worker);
  if (none !== null) return none;
  const excluded = exclusion(worker, needs, task, nowMs);
  if (excluded) return excluded;
  const chosen = chooseTask(worker, groups, nowMs).task;
  if (chosen !== null && chosen.id !== task.id) return held("outranked", { task_id: chosen.id });
  if (worker.full) return held("busy", { task_id: worker.tasks.at(-1) ?? null });
  return held("none");
}

export interface TaskDispatchState {
  summary: TaskSummary;
  needs: Group["needs"];
  candidate: Candidate;
  claimable: number;
  waitsFor: TaskWhy["waits_for"];
  about: AboutTask;
}

type Build = Pick<BlenderBuild, "version" | "platform">;

/**
 * Why this task waits. `groups`: all claimable tasks; each is read once, and walked for each
 * worker. `builds`: those of Blender that the farm keeps.
 */
export function whyTaskWaits(
  task: TaskDispatchState,
  workers: Iterable<WorkerDispatchState>,
  groups: Iterable<Group>,
  nowMs: number,
  builds: readonly Build[] = [],
): Omit<TaskWhy, "workers"> & { workers: Hold[] } {
  const { summary, needs, candidate } = task;
  const all = replayable(withTask(groups, candidate, needs));
  const fleet = [...workers];
  const blender = needs.blender === undefined ? undefined : blendersFor(needs.blender, fleet, builds);
  const holds = fleet.map((worker): Hold => {
    const hold = holdOn(worker, candidate, needs, all, nowMs);
    const { id: worker_id, hostname } = worker;
    return { worker_id, hostname, ...hold, text: workerText(hold, candidate.id, nowMs) };
  });
  const counts = new Map<WorkerRule, number>();
  for (const { rule } of holds) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  const rule = taskRule(task, counts, holds);
  const would_fit = counts.get("none") ?? 0;
  return {
    task_id: summary.id,
    status: summary.status,
    rule,
    text: taskText(rule, summary, { counts, waitsFor: task.waitsFor, wouldFit: would_fit, about: task.about, blender }),
    would_fit,
    waits_for: task.waitsFor,
    ...(blender && { blender }),
    counts: [...counts].map(([of, n]) => ({ rule: of, workers: n })).sort((a, b) => b.workers - a.workers),
    workers: holds.sort((a, b) => NEARNESS.indexOf(a.rule) - NEARNESS.indexOf(b.rule)).slice(0, MAX_WORKERS),
  };
}

/** The most versions in one answer: a hostile worker may make some up. */
const MAX_VERSIONS = 50;

/** The Blenders of the farm, by minor version, and how many workers have one that a task needs, or would fetch it. */
function blendersFor(need: string, workers: readonly WorkerDispatchState[], builds: readonly Build[]): BlenderWhy {
  const byMinor = new Map<string, number>();
  const meets = (version: string): boolean => meetsNeed(need, version);
  let have = 0;
  let fetch = 0;
  for (const { offer } of workers) {
    const versions = versionsOffered(offer, "blender");
    if (versions.some(meets)) have++;
    else if (offer.fetchable?.some(meets)) fetch++;
    for (const minor of new Set(versions.flatMap((version) => minorOf(version) ?? [])))
      byMinor.set(minor, (byMinor.get(minor) ?? 0) + 1);
  }
  const farm = [...byMinor].map(([version, count]) => ({ version, workers: count }));
  farm.sort((a, b) => compareVersions(b.version, a.version));
  const kept = builds.filter(({ version }) => meets(version)).map(({ version, platform }) => ({ version, platform }));
  return {
    needs: need,
    workers: have + fetch,
    ...(fetch > 0 && { fetch }),
    ...(kept.length > 0 && { builds: kept.slice(0, MAX_VERSIONS) }),
    farm: farm.slice(0, MAX_VERSIONS),
  };
}

/** The order of workers in an answer: those nearest to getting the task first. */
const NEARNESS: readonly WorkerRule[] = [
  "none",
  "busy",
  "outranked",
  "refused",
  "kept_off",
  "cannot",
  "draining",
  "disabled",
  "offline",
];

function taskRule(
  { summary, claimable, waitsFor }: TaskDispatchState,
  counts: ReadonlyMap<WorkerRule, number>,
  holds: readonly Hold[],
): TaskWhy["rule"] {
  if (isEnded(summary.status)) return "ended";
  if (summary.status === "paused") return "paused";
  if (claimable === 0) {
    if (summary.frames.pending === 0) return "all_leased";
    return waitsFor.length > 0 ? "depends" : "paused";
  }
  if (holds.length === 0) return "no_workers";
  const serving = holds.some((hold) => hold.rule === "busy" && hold.task_id === summary.id);
  return (counts.get("none") ?? 0) > 0 || serving ? "none" : "workers_held";
}

/** Why this worker is idle, or what it gets when it asks. */
export function whyWorkerWaits(
  worker: WorkerDispatchState,
  groups: Iterable<Group>,
  nowMs: number,
): Omit<WorkerWhy, "name"> {
  const all = replayable(groups);
  const { task, excluded } = chooseTask(worker, all, nowMs);
  const passed = passedOver(worker, all, task, nowMs);
  const hold = workerRule(worker, task, excluded, passed[0]);
  return {
    worker_id: worker.id,
    hostname: worker.hostname,
    rule: hold.rule,
    text: workerText(hold, null, nowMs),
    task_id: hold.task_id,
    until_ms: hold.until_ms,
    passed_over: passed.slice(0, MAX_PASSED),
  };
}

function workerRule(
  worker: WorkerDispatchState,
  task: Candidate | null,
  excluded: { id: number; untilMs: number } | null,
  passed: WorkerWhy["passed_over"][number] | undefined,
): Held {
  const none = noWork(worker);
  if (none !== null) return none;
  if (worker.full) return held("busy", { task_id: worker.tasks.at(-1) ?? null });
  if (task) return held("none", { task_id: task.id });
  if (excluded) {
    const { id, untilMs } = excluded;
    return held(exclusionRule(worker, id, untilMs), { task_id: id, until_ms: untilMs });
  }
  if (passed) return held(passed.rule, { task_id: passed.task_id, missing: passed.missing, until_ms: passed.until_ms });
  return held("nothing_pending");
}

/**
 * Claimable tasks that go before the chosen one but are not for this worker, with the reason, in
 * the order of dispatch.
 */
function passedOver(
  worker: WorkerDispatchState,
  groups: readonly Group[],
  chosen: Candidate | null,
  nowMs: number,
): WorkerWhy["passed_over"] {
  const passed: { task: Candidate; hold: Held }[] = [];
  for (const { needs, candidates } of groups) {
    let scanned = 0;
    for (const task of candidates) {
      if (scanned++ >= SCAN_LIMIT || (chosen !== null && !goesFirst(task, chosen))) break;
      const hold = exclusion(worker, needs, task, nowMs);
      if (hold) passed.push({ task, hold });
    }
  }
  passed.sort((a, b) => (goesFirst(a.task, b.task) ? -1 : 1));
  return passed.map(({ task, hold: { rule, missing, until_ms } }) => ({
    task_id: task.id,
    rule,
    text: workerText({ rule, missing, until_ms, task_id: null }, task.id, nowMs),
    missing,
    until_ms,
  }));
}

/**
 * The groups, and this task as a group of its own: a task that is paused, for example, is in none
 * of them.
 */
function* withTask(groups: Iterable<Group>, task: Candidate, needs: Group["needs"]): Generator<Group> {
  yield { needs, candidates: [task] };
  yield* groups;
}

/**
 * Groups that can be walked several times: what was read is kept, and nothing is read before a walk
 * asks for it.
 */
function replayable(groups: Iterable<Group>): Group[] {
  return [...groups].map(({ needs, candidates }) => ({ needs, candidates: new Replayable(candidates) }));
}

class Replayable implements Iterable<Candidate> {
  readonly #read: Candidate[] = [];
  #rest: Iterator<Candidate> | null;

  constructor(source: Iterable<Candidate>) {
    this.#rest = source[Symbol.iterator]();
  }

  *[Symbol.iterator](): Generator<Candidate> {
    for (let i = 0; ; i++) {
      if (i === this.#read.length) {
        const next = this.#rest?.next();
        if (!next || next.done) {
          this.#rest = null;
          return;
        }
        this.#read.push(next.value);
      }
      yield this.#read[i]!;
    }
  }
}
