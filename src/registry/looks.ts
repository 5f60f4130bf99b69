/** What people ask of the farm as a whole: why something waits, and how many there are of what. */
import { ok, type Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { TaskWhy, WorkerWhy } from "../protocol/why.ts";
import type { RegistryContext } from "./context.ts";
import type { FarmMetrics } from "../rpc/registry.ts";
import { whyTask, whyWorker, type WorkerStanding } from "./why.ts";

function standingOf({ fleet, dispatcher }: RegistryContext, id: number, nowMs: number): WorkerStanding {
  return {
    ...dispatcher.asker(id),
    ...fleet.business(id),
    hostname: fleet.get(id)!.hostname,
    online: fleet.online(id, nowMs),
    whyNoWork: fleet.whyNoWork(id),
  };
}

/** Why a task waits. Reads the heads of the open groups once, however many workers there are. */
export function lookAtTask(
  parts: RegistryContext,
  id: number,
  waitsFor: number[],
  nowMs: number,
): Result<TaskWhy, Refusal> {
  const { tasks, fleet, dispatcher } = parts;
  const found = tasks.standing(id);
  if (!found) return refuse("not_found", "there is no such task");
  const { summary, state } = found;
  const standing = {
    summary,
    needs: tasks.needsOf(state.needsId),
    candidate: { id, priority: state.priority, kept_off: state.kept_off },
    claimable: state.claimable,
    waitsFor: waitsFor.map((task_id) => ({ task_id, status: tasks.summary(task_id)?.status ?? null })),
  };
  const workers = [...fleet.ids()].map((worker) => standingOf(parts, worker, nowMs));
  const why = whyTask(standing, workers, dispatcher.groups(), nowMs);
  return ok({ ...why, workers: why.workers.map((hold) => ({ ...hold, name: fleet.nameOf(hold.worker_id) })) });
}

/** Why a worker is idle, or what it gets. */
export function lookAtWorker(parts: RegistryContext, id: number, nowMs: number): Result<WorkerWhy, Refusal> {
  if (!parts.fleet.get(id)) return refuse("not_found", "there is no such worker");
  const why = whyWorker(standingOf(parts, id, nowMs), parts.dispatcher.groups(), nowMs);
  return ok({ ...why, name: parts.fleet.nameOf(id) });
}

export function measure({ tasks, fleet, totals, farmLive }: RegistryContext, nowMs: number): FarmMetrics {
  const workers = new Map<string, number>();
  for (const id of fleet.ids()) {
    const key = `${fleet.online(id, nowMs) ? "online" : "offline"} ${fleet.status(id)}`;
    workers.set(key, (workers.get(key) ?? 0) + 1);
  }
  return {
    ...tasks.census(),
    workers: [...workers].map(([key, count]) => {
      const [connection = "", status = ""] = key.split(" ");
      return { connection, status, count };
    }),
    ever: totals.ever(),
    watchers: farmLive.feed.count,
  };
}
