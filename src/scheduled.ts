/**
 * The cron triggers (`triggers` in wrangler.toml): the daily jobs, and the watchdog.
 *
 * The watchdog is for alarms that were lost: nothing else may ever call an object whose alarm is
 * gone. It calls the registry, which sets its own alarm anew, and says which tasks should have woken
 * and have not. It calls each of these, which does the same (decision 016).
 */
import { runDailyJobs } from "./daily-jobs.ts";
import { forgetUnreported, isMarkedOpen, markOpen, unreportedTasks } from "./files/open-marker.ts";
import { mapConcurrent } from "./lib/concurrency.ts";
import { messageOf } from "./lib/errors.ts";
import { within } from "./lib/within.ts";
import { WATCH_CRON } from "./protocol/constants.ts";
import type { Env } from "./rpc/env.ts";
import { callRegistry, callTask } from "./rpc/stubs.ts";

/** Tasks that are called at once: a Worker may wait for six answers. More would queue. */
const AT_ONCE = 6;
/**
 * A task that does not answer within this is called again in the next run. Without it, one that hangs
 * would hold back the others.
 */
const ANSWER_MS = 10_000;

/** Rejects when the trigger's work failed as a whole; the platform shows it as a failed run. */
export async function scheduled(
  { cron, scheduledTime }: Pick<ScheduledController, "cron" | "scheduledTime">,
  env: Env,
): Promise<void> {
  if (cron === WATCH_CRON) await watch(env);
  else await runDailyJobs(env, scheduledTime);
}

/**
 * One run of the watchdog. On an idle farm it calls no object. Rejects when the registry or R2 does;
 * then the next run does the rest.
 */
async function watch(env: Env): Promise<void> {
  if (!(await isOpen(env))) return;
  await watchOverdue(env);
  await watchUnreported(env);
}

/** When R2 cannot say, the registry is asked. */
async function isOpen(env: Env): Promise<boolean> {
  try {
    return await isMarkedOpen(env.FILES);
  } catch (error) {
    console.warn(JSON.stringify({ at: "watchdog", chore: "open marker", error: messageOf(error) }));
    return true;
  }
}

/** The tasks that the registry expected to hear of. */
async function watchOverdue(env: Env): Promise<void> {
  const overdue = await callRegistry(env, (registry) => registry.overdueTasks());
  if (overdue.length === 0) return;
  const woken = await mapConcurrent(overdue, AT_ONCE, async (task) => {
    const next_ms = await wake(env, task.id);
    // One that did not answer is overdue from now on, so that it comes after the others next time.
    return { ...task, next_ms: next_ms === undefined ? Date.now() : next_ms };
  });
  await callRegistry(env, (registry) => registry.tasksWoken(woken));
}

/** The tasks that the registry has not heard of. */
async function watchUnreported(env: Env): Promise<void> {
  const noted = await unreportedTasks(env.FILES);
  const answers = await mapConcurrent(noted, AT_ONCE, (id) => wake(env, id));
  const woken = noted.filter((_, i) => answers[i] !== undefined);
  if (woken.length > 0) await forgetUnreported(env.FILES, woken);
  // The registry may have removed the marker, because it knows of nothing.
  if (woken.length < noted.length) await markOpen(env.FILES);
}

/**
 * Call one task, so that it sets its alarm anew. Undefined when it does not answer: the others must
 * be called all the same.
 */
async function wake(env: Env, id: number): Promise<number | null | undefined> {
  try {
    return await within(
      ANSWER_MS,
      callTask(env, id, (task) => task.nextWake()),
    );
  } catch (error) {
    console.error(JSON.stringify({ at: "watchdog", task: id, error: messageOf(error) }));
    return undefined;
  }
}
