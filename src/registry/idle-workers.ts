/**
 * Waking idle workers, and the registry's one alarm. Pure.
 *
 * A task with three free frames wakes three idle workers, not a thousand. A woken worker has some seconds to come; while it
 * has, nobody else is woken in its place, and afterwards the alarm looks again. So no able worker sleeps for long while work waits.
 */
import { canDo } from "../protocol/needs.ts";
import type { Needs } from "../protocol/needs.ts";
import { barredUntilMs, type Asker, type Candidate } from "./dispatch.ts";

/** A woken agent asks within a second; five allow for a slow line. */
export const WAKE_GRACE_MS = 5_000;
/** One that does not come (all its slots are busy, its line is down) is called less and less often, at least this often. */
export const WAKE_GRACE_MAX_MS = 60_000;

/** How long a worker that has been woken `tries` times in a row has to come. */
export function graceMs(tries: number): number {
  return Math.min(WAKE_GRACE_MAX_MS, WAKE_GRACE_MS * 2 ** Math.min(tries - 1, 10));
}

/** A worker that waits on its socket for a push. */
export interface Idler extends Asker {
  /** Its socket shows life. A silent one is told as well (it may only be asleep), but not counted on. */
  online: boolean;
  /** When it has been woken and has time to come: for which task, until when. */
  wokenFor: number;
  wokenUntilMs: number;
}

export interface WakePlan {
  /** Workers to push `work` to. */
  wake: number[];
  /** When to look again: somebody barred or already woken could take this work then; null when nobody could. */
  againMs: number | null;
  /** Somebody else could be woken for another task of the same needs. */
  left: boolean;
}

/** Whom to wake for one task with `claimable` free frames. `idlers` may be lazy. */
export function planWake(
  task: Candidate & { claimable: number },
  needs: Needs,
  idlers: Iterable<Idler>,
  nowMs: number,
): WakePlan {
  const fresh: number[] = [];
  const silent: number[] = [];
  let coming = 0;
  let passed = 0;
  let againMs: number | null = null;
  const again = (atMs: number) => (againMs = againMs === null ? atMs : Math.min(againMs, atMs));
  for (const idler of idlers) {
    if (!idler.takesWork || !canDo(needs, idler.offer)) continue;
    const barred = barredUntilMs(idler, task, nowMs);
    if (barred > 0) {
      again(barred);
      if (idler.wokenUntilMs <= nowMs) passed++;
      continue;
    }
    if (idler.wokenUntilMs > nowMs) {
      if (idler.online && idler.wokenFor === task.id) coming++;
      if (idler.online) again(idler.wokenUntilMs);
      continue;
    }
    (idler.online ? fresh : silent).push(idler.id);
  }
  const wanted = Math.max(0, task.claimable - coming);
  return { wake: [...fresh.slice(0, wanted), ...silent], againMs, left: passed > 0 || fresh.length > wanted };
}
