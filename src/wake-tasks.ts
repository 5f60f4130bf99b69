/** Calls tasks from a cron trigger, so that they look after their alarms and what is due. */
import { mapConcurrent } from "./lib/concurrency.ts";
import { messageOf } from "./lib/errors.ts";
import { within } from "./lib/within.ts";
import type { Env } from "./rpc/env.ts";
import { callTask } from "./rpc/stubs.ts";

/** Tasks that are called at once: a Worker may wait for six answers. More would queue. */
const AT_ONCE = 6;
/**
 * A task that does not answer within this is called again in the next run. Without it, one that hangs
 * would hold back the others.
 */
const ANSWER_MS = 10_000;

/**
 * Call these tasks. Answers, in their order, when each wakes next, as of `TaskRpc.nextWake`; undefined
 * for one that does not answer, because the others must be called all the same. `at`: who calls, for
 * the log.
 */
export async function wakeTasks(
  env: Env,
  ids: readonly number[],
  at: "watchdog" | "daily",
): Promise<(number | null | undefined)[]> {
  return await mapConcurrent(ids, AT_ONCE, async (id) => {
    try {
      return await within(
        ANSWER_MS,
        callTask(env, id, (task) => task.nextWake()),
      );
    } catch (error) {
      console.error(JSON.stringify({ at, task: id, error: messageOf(error) }));
      return undefined;
    }
  });
}
