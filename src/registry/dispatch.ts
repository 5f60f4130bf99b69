/**
 * Dispatch: which task a free worker gets (P8). Pure; time is an argument.
 *
 * Claimable tasks come grouped by their needs, each group in order (priority falling, then id rising). One look at each able
 * group's head decides, so the cost is the number of *different* needs, whether ten tasks wait or a hundred thousand, and
 * a head that a worker cannot do hides nothing behind it: it is another group's.
 */
import { canDo, type Offer } from "../protocol/needs.ts";
import type { Needs } from "../protocol/needs.ts";

/** A task with frames that can be claimed now. */
export interface Candidate {
  id: number;
  priority: number;
  kept_off: readonly { worker_id: number; until_ms: number }[];
}

/** All claimable tasks of the same needs: priority falling, then id rising. May be lazy; it is walked no further than necessary. */
export interface Group<C extends Candidate = Candidate> {
  needs: Needs;
  candidates: Iterable<C>;
}

/** The worker that asks. */
export interface Asker {
  id: number;
  offer: Offer;
  /** Enabled and not draining. */
  takesWork: boolean;
  /** Tasks it was sent away from, and until when not to offer them again. */
  refused: ReadonlyMap<number, number>;
}

export interface Choice<C extends Candidate = Candidate> {
  task: C | null;
  /** Of the tasks that would have gone first, had this worker not been barred from them: the one that it may have soonest. */
  barred: { id: number; untilMs: number } | null;
}

/** Whether `a` goes before `b`: higher priority first, the older task (lower id) on a tie. */
export function goesFirst(a: Pick<Candidate, "id" | "priority">, b: Pick<Candidate, "id" | "priority">): boolean {
  return a.priority === b.priority ? a.id < b.id : a.priority > b.priority;
}

/** Until when this worker must not be offered this task: kept off it for failing, or sent away from it. 0 when it may. */
export function barredUntilMs(worker: Pick<Asker, "id" | "refused">, task: Candidate, nowMs: number): number {
  let until = worker.refused.get(task.id) ?? 0;
  for (const kept of task.kept_off) if (kept.worker_id === worker.id) until = Math.max(until, kept.until_ms);
  return until > nowMs ? until : 0;
}

/** The task this worker gets: of all it can do and is not barred from, the one that goes first. */
export function chooseTask<C extends Candidate>(asker: Asker, groups: Iterable<Group<C>>, nowMs: number): Choice<C> {
  let best: C | null = null;
  const barred: { task: C; untilMs: number }[] = [];
  if (!asker.takesWork) return { task: null, barred: null };
  for (const group of groups) {
    if (!canDo(group.needs, asker.offer)) continue;
    for (const task of group.candidates) {
      if (best !== null && !goesFirst(task, best)) break;
      const untilMs = barredUntilMs(asker, task, nowMs);
      if (untilMs === 0) {
        best = task;
        break;
      }
      barred.push({ task, untilMs });
    }
  }
  let soonest: Choice["barred"] = null;
  for (const { task, untilMs } of barred) {
    const counts = best === null || goesFirst(task, best);
    if (counts && (soonest === null || untilMs < soonest.untilMs)) soonest = { id: task.id, untilMs };
  }
  return { task: best, barred: soonest };
}

/** One text for equal needs, whatever the order of their lists: the key of a group. It reads back as the needs. */
export function needsSignature(needs: Needs): string {
  const { type, allow_exec, allow_autoexec } = needs;
  return JSON.stringify({
    type,
    programs: [...new Set(needs.programs)].sort(),
    tags: [...new Set(needs.tags)].sort(),
    allow_exec,
    allow_autoexec,
  } satisfies Needs);
}
