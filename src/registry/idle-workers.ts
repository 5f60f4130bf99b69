/**
 * Which idle workers are woken for a task. Pure.
 *
 * A task with three claimable frames wakes three idle workers, not a thousand. A woken worker has
 * some seconds to ask for work; until they are over, no other worker is woken in its place, and
 * then the alarm scans again. So no able worker sleeps for long while work waits.
 */
import { canDo, mustFetch, type Needs } from "../protocol/needs.ts";
import { excludedUntilMs, type Candidate, type WorkerView } from "./dispatch.ts";

/**
 * A woken agent asks within a second; five seconds allow for a slow network. Less would wake a
 * second worker for nothing.
 */
const WAKE_GRACE_MS = 5_000;
/**
 * A worker that does not come (its slots are all busy, its network is down) is woken less and less
 * often, but at least this often: without a bound, a worker that becomes free would sleep for hours
 * beside waiting work.
 */
const WAKE_GRACE_MAX_MS = 60_000;

/** How long a worker has to come after it has been woken `tries` times in a row. */
export function graceMs(tries: number): number {
  return Math.min(WAKE_GRACE_MAX_MS, WAKE_GRACE_MS * 2 ** Math.min(tries - 1, 10));
}

/** A worker that waits on its socket for a push. */
export interface IdleWorker extends WorkerView {
  /**
   * Its socket shows life. A silent one is pushed to as well (the machine may be asleep), but is
   * not counted on.
   */
  online: boolean;
  /** The task it was last woken for, and until when it has time to come. */
  wokenFor: number;
  wokenUntilMs: number;
}

export interface WakePlan {
  /** Workers to push `work` to. */
  wake: number[];
  /**
   * When to scan again: a worker that is excluded or woken now could take this work then. Null when
   * there is no such worker.
   */
  rescanMs: number | null;
  /** An idle worker is left that could be woken for another task of the same needs. */
  left: boolean;
}

/** Which workers to wake for one task with `claimable` frames. `idleWorkers` may be lazy. */
export function planWake(
  task: Candidate & { claimable: number },
  needs: Needs,
  idleWorkers: Iterable<IdleWorker>,
  nowMs: number,
): WakePlan {
  const online: number[] = [];
  /** Of those, the ones that must fetch a Blender first: they come after those that have it. */
  const fetching: number[] = [];
  const silent: number[] = [];
  let coming = 0;
  let excludedHere = 0;
  let rescanMs: number | null = null;
  const rescanAt = (atMs: number) => (rescanMs = rescanMs === null ? atMs : Math.min(rescanMs, atMs));
  for (const worker of idleWorkers) {
    if (!worker.takesWork || !canDo(needs, worker.offer)) continue;
    const excludedMs = excludedUntilMs(worker, task, nowMs);
    if (excludedMs > 0) {
      rescanAt(excludedMs);
      if (worker.wokenUntilMs <= nowMs) excludedHere++;
      continue;
    }
    if (worker.wokenUntilMs > nowMs) {
      if (worker.online && worker.wokenFor === task.id) coming++;
      if (worker.online) rescanAt(worker.wokenUntilMs);
      continue;
    }
    if (!worker.online) silent.push(worker.id);
    else if (mustFetch(needs, worker.offer)) fetching.push(worker.id);
    else online.push(worker.id);
  }
  online.push(...fetching);
  const wanted = Math.max(0, task.claimable - coming);
  return { wake: [...online.slice(0, wanted), ...silent], rescanMs, left: excludedHere > 0 || online.length > wanted };
}
