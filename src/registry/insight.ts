/**
 * What people ask of the farm as a whole: why a task or a worker waits, and how many there are of
 * what.
 */
import { ok, type Result } from "../lib/result.ts";
import { compareVersions, meetsNeed } from "../protocol/blender-version.ts";
import { versionsOffered } from "../protocol/needs.ts";
import { isFetching, MAX_NAMED, MAX_NAMED_NEEDS, type BlenderNeed } from "../protocol/blender-build.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { TaskWhy, WorkerHold, WorkerWhy } from "../protocol/why.ts";
import type { AboutTask, FarmMetrics } from "../rpc/registry.ts";
import type { RegistryContext } from "./context.ts";
import { OVERDUE_MS } from "./task-service.ts";
import { whyTaskWaits, whyWorkerWaits, type WorkerDispatchState } from "./why.ts";

function dispatchStateOf({ fleet, dispatcher }: RegistryContext, id: number, nowMs: number): WorkerDispatchState {
  return {
    ...dispatcher.view(id),
    ...fleet.load(id),
    hostname: fleet.get(id)!.hostname,
    online: fleet.online(id, nowMs),
    whyNoWork: fleet.whyNoWork(id),
  };
}

/**
 * Why a task waits; `waitsFor`: the tasks it waits for, and what is wrong with them (`about`), as its object says. The heads of the open
 * groups are read once, however many workers there are. Refusal: `not_found`.
 */
export function explainTask(
  registry: RegistryContext,
  id: number,
  waitsFor: number[],
  about: AboutTask,
  nowMs: number,
): Result<TaskWhy, Refusal> {
  const { tasks, fleet, dispatcher } = registry;
  const found = tasks.get(id);
  if (!found) return refuse("not_found", "there is no such task");
  const { summary, state } = found;
  const task = {
    summary,
    needs: tasks.needsOf(state.needsId),
    candidate: { id, priority: state.priority, blocklist: state.blocklist },
    claimable: state.claimable,
    waitsFor: waitsFor.map((task_id) => ({ task_id, status: tasks.summary(task_id)?.status ?? null })),
    about,
  };
  const workers = [...fleet.ids()].map((worker) => dispatchStateOf(registry, worker, nowMs));
  const why = whyTaskWaits(task, workers, dispatcher.groups(), nowMs, registry.builds.list());
  const named = why.workers.map((hold) => {
    const activity = hold.rule === "busy" && hold.task_id === id ? fleet.activityOf(hold.worker_id) : null;
    const fetching = isFetching(activity) ? activity : null;
    const text = fetching === null ? hold.text : `It has frames of this task, and is ${fetching}.`;
    return { hold: { ...hold, text, name: fleet.nameOf(hold.worker_id) }, fetching };
  });
  return ok({ ...why, text: why.text + fetchingTexts(named), workers: named.map(({ hold }) => hold) });
}

/** Workers that get a Blender for the task; a text names so many of them. */
const MAX_FETCHING = 3;

function fetchingTexts(workers: readonly { hold: Pick<WorkerHold, "name">; fetching: string | null }[]): string {
  const fetching = workers.filter((worker) => worker.fetching !== null);
  const each = fetching.slice(0, MAX_FETCHING).map(({ hold, fetching: what }) => ` ${hold.name} is ${what}.`);
  const more = fetching.length - each.length;
  return each.join("") + (more > 0 ? ` ${more} more ${more === 1 ? "worker does" : "workers do"} so.` : "");
}

/** Why a worker is idle, or what it gets when it asks. Refusal: `not_found`. */
export function explainWorker(registry: RegistryContext, id: number, nowMs: number): Result<WorkerWhy, Refusal> {
  const { fleet, dispatcher } = registry;
  if (!fleet.get(id)) return refuse("not_found", "there is no such worker");
  const why = whyWorkerWaits(dispatchStateOf(registry, id, nowMs), dispatcher.groups(), nowMs);
  return ok({ ...why, name: fleet.nameOf(id) });
}

/** Which versions of Blender tasks with frames to give out need, and who has them, the newest first. */
export function blenderNeeds({ fleet, dispatcher }: RegistryContext): BlenderNeed[] {
  const tasks = new Map<string, { ids: number[]; more: boolean }>();
  for (const { needs, candidates } of dispatcher.groups((of) => of.blender !== undefined)) {
    const known = tasks.get(needs.blender!) ?? { ids: [], more: false };
    for (const { id } of candidates) {
      known.more = known.ids.length === MAX_NAMED;
      if (known.more) break;
      known.ids.push(id);
    }
    tasks.set(needs.blender!, known);
  }
  const wanted = [...tasks].toSorted(([a], [b]) => compareVersions(b, a)).slice(0, MAX_NAMED_NEEDS);
  return wanted.map(([needs, { ids, more }]) => {
    let [have, fetch] = [0, 0];
    const cannot: number[] = [];
    for (const id of fleet.ids()) {
      const offer = fleet.offer(id)!;
      if (versionsOffered(offer, "blender").some((version) => meetsNeed(needs, version))) have++;
      else if (offer.fetchable?.some((version) => meetsNeed(needs, version))) fetch++;
      else cannot.push(id);
    }
    const cannot_names = cannot.slice(0, MAX_NAMED).map((id) => fleet.nameOf(id));
    return { needs, tasks: ids, more_tasks: more, have, fetch, cannot: cannot.length, cannot_names };
  });
}

/** The numbers of `GET /metrics`. */
export function farmMetrics({ tasks, fleet, totals, farmLive }: RegistryContext, nowMs: number): FarmMetrics {
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
    overdue: tasks.countOverdue(nowMs - OVERDUE_MS),
  };
}
