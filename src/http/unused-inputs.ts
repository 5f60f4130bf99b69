/** The sweep of unused inputs on this farm: what it asks the objects, and what is told of it. */
import { type SweepDependencies, type SweepProgress, unusedNow } from "../files/input-sweep.ts";
import { messageOf } from "../lib/errors.ts";
import { within } from "../lib/within.ts";
import { unusedInputsDaysOf } from "../protocol/setting-rules.ts";
import type { UnusedInputs } from "../protocol/unused-inputs.ts";
import type { Env } from "../rpc/env.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";

/** A task that does not answer within this ends the work of this call; without it, it would hang. */
const ANSWER_MS = 30_000;

/** What the sweep needs of the farm. */
export function sweepDependencies(env: Env): SweepDependencies {
  return {
    storage: env,
    taskIds: async (after, limit) => {
      const ids = await callRegistry(env, (registry) => registry.taskIds(after, limit));
      if (!ids.ok) throw new Error(ids.error.detail);
      return ids.value;
    },
    inputsNamed: async (task) => {
      try {
        return await within(
          ANSWER_MS,
          callTask(env, task, (object) => object.inputsNamed()),
        );
      } catch (error) {
        throw new Error(`task ${task} does not say what it uses: ${messageOf(error)}`, { cause: error });
      }
    },
    notThere: async (tasks) => await callRegistry(env, (registry) => registry.tasksNotThere([...tasks])),
    now: Date.now,
  };
}

/** After how many days the farm deletes unused inputs; null: never. */
export async function unusedInputsDays(env: Env): Promise<number | null> {
  const days = await callRegistry(env, (registry) => registry.getSetting("unused_inputs_days"));
  return days.ok ? unusedInputsDaysOf(days.value) : null;
}

const NONE = { inputs: 0, bytes: 0 };

/** What is told of unused inputs; `progress`: of the call that has just worked on them. */
export async function unusedInputsOf(
  env: Env,
  days: number | null,
  progress: SweepProgress | null,
): Promise<UnusedInputs> {
  const { state, unused } = await unusedNow(env.HISTORY, { days: days ?? 0 }, Date.now());
  return {
    days,
    unused: days === null ? NONE : unused,
    exact: days === null || unused.inputs === 0 || state.phase === "delete",
    phase: state.phase,
    asked_task: state.phase === "mark" ? state.asked_task : 0,
    deleted: progress?.deleted ?? NONE,
    run_deleted: { inputs: state.deleted, bytes: state.deleted_bytes },
    ended_ms: state.ended_ms,
    deletes_after_ms: state.deletes_after_ms,
    done: progress ? progress.done : state.phase === "idle",
    wait_ms: progress?.wait_ms ?? 0,
    held: progress?.held ?? null,
  };
}
