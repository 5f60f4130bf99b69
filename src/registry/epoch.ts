/**
 * The dispatch epoch: how work of higher priority preempts work of lower priority (P8) while the
 * registry stays off the per-frame path. Pure.
 *
 * Each assignment carries the current epoch, and the worker's claims carry it to the task. When
 * work appears for which a worker could leave its task, the epoch rises and that task is told the
 * new one. The task sends claims with an older epoch back to the registry. The worker then asks the
 * registry, and gets the best task for it with the new epoch; that may be the same task.
 */
import type { BlocklistEntry } from "./dispatch.ts";

/** What a task's report says to dispatch. */
export interface DispatchState {
  priority: number;
  /** Frames that a worker could claim now. */
  claimable: number;
  needsId: number;
  blocklist: readonly BlocklistEntry[];
}

/**
 * Whether some worker may find work in this task that it did not find before: a reason to wake
 * workers and to preempt.
 */
export function workAppeared(before: DispatchState | null, after: DispatchState): boolean {
  if (after.claimable === 0) return false;
  if (before === null || before.claimable === 0) return true;
  if (after.priority > before.priority || after.needsId !== before.needsId) return true;
  // For a worker that was taken off the blocklist the work is new. An entry that merely expires
  // stays in the report, and the rescan covers it: otherwise every report with such an entry would
  // count as new work.
  const blocked = new Set(after.blocklist.map((entry) => entry.worker_id));
  return before.blocklist.some((entry) => !blocked.has(entry.worker_id));
}

/** A task with live leases. */
export interface LiveTask {
  id: number;
  priority: number;
  workers: Iterable<number>;
}

/**
 * The tasks that new work preempts: their priority is lower, and a worker with a live lease there
 * could do the new work.
 */
export function preemptedBy(
  work: { id: number; priority: number },
  live: Iterable<LiveTask>,
  couldDo: (worker: number) => boolean,
): number[] {
  const preempted = [];
  for (const task of live) {
    if (task.id === work.id || task.priority >= work.priority) continue;
    for (const worker of task.workers) {
      if (!couldDo(worker)) continue;
      preempted.push(task.id);
      break;
    }
  }
  return preempted;
}
