/**
 * Dispatch: which task a free worker gets (P8). Pure; time is an argument.
 *
 * Claimable tasks come in groups of equal needs, each group in order (priority falling, then id
 * rising). Only the head of each group that the worker can do is compared. So the cost is the
 * number of *different* needs, whether ten tasks wait or a hundred thousand, and a task that the
 * worker cannot do hides no task behind it: those are in other groups.
 */
import { canDo, type Needs, type Offer } from "../protocol/needs.ts";

/**
 * A worker that may not have a task until an instant, because it failed the task again and again.
 */
export interface BlocklistEntry {
  worker_id: number;
  until_ms: number;
  /** What its machine reported; absent when it failed the task again and again. */
  reason?: string;
}

/** A task with frames that can be claimed now. */
export interface Candidate {
  id: number;
  priority: number;
  blocklist: readonly BlocklistEntry[];
}

/**
 * All claimable tasks of the same needs, in order. `candidates` may be lazy: it is read no further
 * than necessary.
 */
export interface Group<C extends Candidate = Candidate> {
  needs: Needs;
  candidates: Iterable<C>;
}

/** A worker as the rules of dispatch see it. */
export interface WorkerView {
  id: number;
  offer: Offer;
  /** It is enabled, not draining, and has not left. */
  takesWork: boolean;
  /** Tasks that had nothing for it, and until when they are not offered to it again. */
  declined: ReadonlyMap<number, number>;
}

export interface Choice<C extends Candidate = Candidate> {
  task: C | null;
  /** Of the better tasks that this worker is excluded from, the one whose exclusion ends first. */
  excluded: { id: number; untilMs: number } | null;
}

/** Whether `a` goes before `b`: higher priority first, the older task (lower id) on a tie. */
export function goesFirst(a: Pick<Candidate, "id" | "priority">, b: Pick<Candidate, "id" | "priority">): boolean {
  return a.priority === b.priority ? a.id < b.id : a.priority > b.priority;
}

/**
 * Until when this worker must not be offered this task, because it is on the task's blocklist or
 * the task declined it; 0 when it may be offered the task.
 */
export function excludedUntilMs(worker: Pick<WorkerView, "id" | "declined">, task: Candidate, nowMs: number): number {
  let until = worker.declined.get(task.id) ?? 0;
  for (const entry of task.blocklist) if (entry.worker_id === worker.id) until = Math.max(until, entry.until_ms);
  return until > nowMs ? until : 0;
}

/**
 * The task this worker gets: of all that it can do and is not excluded from, the one that goes
 * first.
 */
export function chooseTask<C extends Candidate>(
  worker: WorkerView,
  groups: Iterable<Group<C>>,
  nowMs: number,
): Choice<C> {
  let best: C | null = null;
  const excluded: { task: C; untilMs: number }[] = [];
  if (!worker.takesWork) return { task: null, excluded: null };
  for (const group of groups) {
    if (!canDo(group.needs, worker.offer)) continue;
    for (const task of group.candidates) {
      if (best !== null && !goesFirst(task, best)) break;
      const untilMs = excludedUntilMs(worker, task, nowMs);
      if (untilMs === 0) {
        best = task;
        break;
      }
      excluded.push({ task, untilMs });
    }
  }
  let soonest: Choice["excluded"] = null;
  for (const { task, untilMs } of excluded) {
    const isBetter = best === null || goesFirst(task, best);
    if (isBetter && (soonest === null || untilMs < soonest.untilMs)) soonest = { id: task.id, untilMs };
  }
  return { task: best, excluded: soonest };
}

/**
 * The key of a group: one text for equal needs, whatever the order of their lists. Parsed, it gives
 * the needs again.
 */
export function needsSignature(needs: Needs): string {
  const { type, allow_exec, allow_autoexec, agent, blender } = needs;
  return JSON.stringify({
    type,
    programs: [...new Set(needs.programs)].sort(),
    tags: [...new Set(needs.tags)].sort(),
    allow_exec,
    allow_autoexec,
    ...(agent !== undefined && { agent }),
    ...(blender !== undefined && { blender }),
  } satisfies Needs);
}
