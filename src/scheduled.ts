/**
 * The cron triggers (`triggers` in wrangler.toml): the daily jobs, the sweep of unused inputs
 * (`sweep-job.ts`), and the watchdog.
 *
 * The watchdog is for alarms that were lost: nothing else may ever call an object whose alarm is
 * gone. It calls the registry, which sets its own alarm anew, and says which tasks should have woken
 * and have not. It calls each of these, which does the same (decision 016).
 */
import { runDailyJobs } from "./daily-jobs.ts";
import { forgetUnreported, isMarkedOpen, markOpen, unreportedTasks } from "./files/open-marker.ts";
import { messageOf } from "./lib/errors.ts";
import { SWEEP_CRON, WATCH_CRON } from "./protocol/constants.ts";
import type { Env } from "./rpc/env.ts";
import { callRegistry } from "./rpc/stubs.ts";
import { sweepUnusedInputs } from "./sweep-job.ts";
import { wakeTasks } from "./wake-tasks.ts";

/** Rejects when the trigger's work failed as a whole; the platform shows it as a failed run. */
export async function scheduled(
  { cron, scheduledTime }: Pick<ScheduledController, "cron" | "scheduledTime">,
  env: Env,
): Promise<void> {
  if (cron === WATCH_CRON) await watch(env);
  else if (cron === SWEEP_CRON) await sweepUnusedInputs(env);
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
  const answers = await wakeTasks(
    env,
    overdue.map(({ id }) => id),
    "watchdog",
  );
  // One that did not answer is overdue from now on, so that it comes after the others next time.
  const woken = overdue.map((task, i) => ({ ...task, next_ms: answers[i] === undefined ? Date.now() : answers[i] }));
  await callRegistry(env, (registry) => registry.tasksWoken(woken));
}

/** The tasks that the registry has not heard of. */
async function watchUnreported(env: Env): Promise<void> {
  const noted = await unreportedTasks(env.FILES);
  const answers = await wakeTasks(env, noted, "watchdog");
  const woken = noted.filter((_, i) => answers[i] !== undefined);
  if (woken.length > 0) await forgetUnreported(env.FILES, woken);
  // The registry may have removed the marker, because it knows of nothing.
  if (woken.length < noted.length) await markOpen(env.FILES);
}
