/**
 * The epoch: how work of higher priority calls workers away from what they serve (P8), without the registry on the per-frame path.
 *
 * Every assignment carries the present epoch, and the worker's claims carry it on. When work appears that some worker could
 * leave its task for, the epoch rises and that task is told: claims with an older epoch are sent back here, and those
 * that come back get the best task for them with the new epoch, be it the same one. Pure.
 */

/** What a task's report says to dispatch. */
export interface Standing {
  priority: number;
  /** Frames a worker could claim now. */
  claimable: number;
  needsId: number;
  kept_off: readonly { worker_id: number; until_ms: number }[];
}

/** Whether some worker may have work now that had none of this task before: a reason to wake and to outrank. */
export function workAppeared(before: Standing | null, after: Standing): boolean {
  if (after.claimable === 0) return false;
  if (before === null || before.claimable === 0) return true;
  if (after.priority > before.priority || after.needsId !== before.needsId) return true;
  // Forgiven workers: for them the work is new. (One whose time has merely run out would be news in every report.)
  const barred = new Set(after.kept_off.map((kept) => kept.worker_id));
  return before.kept_off.some((kept) => !barred.has(kept.worker_id));
}

/** A task with live leases. */
export interface LiveTask {
  id: number;
  priority: number;
  workers: Iterable<number>;
}

/** The tasks that new work outranks: of lower priority, and some live worker of theirs could do the new work. */
export function outrankedBy(
  work: { id: number; priority: number },
  live: Iterable<LiveTask>,
  couldDo: (worker: number) => boolean,
): number[] {
  const outranked = [];
  for (const task of live) {
    if (task.id === work.id || task.priority >= work.priority) continue;
    for (const worker of task.workers) {
      if (!couldDo(worker)) continue;
      outranked.push(task.id);
      break;
    }
  }
  return outranked;
}
