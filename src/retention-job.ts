/**
 * The daily job of retention: delete the tasks that have expired (decision 022). The registry says which
 * may have; each task's object decides again, and by itself.
 */
import { mapConcurrent } from "./lib/concurrency.ts";
import { messageOf } from "./lib/errors.ts";
import { RandomSample } from "./lib/sample.ts";
import type { FarmRetention } from "./protocol/retention.ts";
import type { TaskSummary } from "./protocol/task.ts";
import type { Env } from "./rpc/env.ts";
import { callRegistry, callTask } from "./rpc/stubs.ts";

/** Who is named in the history as the one who deleted the task. */
const ACTOR = { role: "admin", id: 0, name: "retention" } as const;
/**
 * Tasks that one run asks to go; the others wait for the next day. More: on the free plan, where a run
 * may make 1,000 calls (https://developers.cloudflare.com/workers/platform/limits/#subrequests), the
 * other daily jobs would lack theirs. If more have expired, chance says which: otherwise tasks that
 * something uses would take the turn of the others, day after day.
 */
export const MAX_TASKS = 300;
/** Pages of the registry's index that one run reads: 500,000 tasks that have ended. */
const MAX_PAGES = 100;
/** Tasks that are called at once: a Worker may wait for six answers. */
const AT_ONCE = 6;

/** What a run did. `bytes`: of the tasks that say how much they hold; `unknown`: how many do not. */
export interface RetentionRun {
  deleted: number[];
  bytes: number;
  unknown: number;
  /** Tasks that have expired and stay, with the reason. */
  kept: string[];
  failed: string[];
  /** Tasks that were removed already when they were asked, or whose answer was lost. */
  gone: number[];
  /** There may be more that have expired; the next run goes on. */
  more: boolean;
}

/** One run. Rejects when the registry does not answer; what was deleted until then stays deleted. */
export async function deleteExpired(env: Env): Promise<RetentionRun> {
  const run: RetentionRun = { deleted: [], bytes: 0, unknown: 0, kept: [], failed: [], gone: [], more: false };
  const expired = new RandomSample<{ task: TaskSummary; farm: FarmRetention }>(MAX_TASKS);
  let after: number | null = 0;
  for (let pages = 0; after !== null && pages < MAX_PAGES; pages++) {
    const from: number = after;
    const { tasks, next, farm } = await callRegistry(env, (registry) => registry.expiredTasks(from));
    for (const task of tasks) expired.offer({ task, farm });
    after = next;
  }
  await mapConcurrent(expired.items, AT_ONCE, async ({ task, farm }) => await deleteOne(env, task, farm, run));
  run.more = after !== null || expired.offered > expired.items.length;
  run.deleted.sort((a, b) => a - b);
  return run;
}

async function deleteOne(env: Env, { id, stored_bytes }: TaskSummary, farm: FarmRetention, run: RetentionRun) {
  try {
    const terms = { farm, ended_before_ms: null, ended_for_ms: null, downloaded: false };
    const removed = await callTask(env, id, (task) => task.removeEnded(terms, ACTOR));
    if (removed.ok) {
      run.deleted.push(id);
      run.bytes += stored_bytes ?? 0;
      run.unknown += Number(stored_bytes === undefined || stored_bytes === null);
    } else if (removed.error.code === "not_found") run.gone.push(id);
    else run.kept.push(removed.error.detail);
  } catch (error) {
    run.failed.push(`task ${id}: ${messageOf(error)}`);
  }
}
