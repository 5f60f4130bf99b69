/**
 * The farm's live sockets: a snapshot of tasks, workers and the day's totals, then what changes of
 * them. Costs nothing while no page watches. A worker that falls silent causes no event, so while a
 * page watches, the alarm sweeps over the workers' presence.
 */
import { pick } from "../lib/pick.ts";
import { LiveFeed, type Source } from "../live/feed.ts";
import { viewerOf, type Viewer } from "../live/viewer.ts";
import {
  LIVE_ENDED_TASKS,
  LIVE_OPEN_TASKS,
  LIVE_WORKER_FIELDS,
  LIVE_WORKERS,
  type FarmDelta,
  type FarmSnapshot,
  type LiveWorker,
} from "../protocol/live.ts";
import { isEnded } from "../protocol/constants.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { WorkerInfo } from "../protocol/worker.ts";
import type { Fleet } from "./fleet.ts";
import type { TaskChange, TaskIndex } from "./task-index.ts";
import type { TaskList } from "./task-list.ts";
import type { DailyTotals } from "./daily-totals.ts";

/**
 * How often presence is checked while a page watches: a worker that fell silent is shown as offline
 * this much later at most.
 */
const PRESENCE_SWEEP_MS = 15_000;
/** Above this many changes, send a snapshot: it is shorter than the delta. */
const MAX_CHANGES = 2_000;

type Name = `task ${number}` | `worker ${number}` | "today";

export interface FarmLiveDependencies {
  fleet(): Fleet;
  tasks: TaskIndex;
  taskList: TaskList;
  totals: DailyTotals;
  /** Those of these tokens that still give access. */
  living(ids: number[]): number[];
}

export class FarmLive implements Source<Name> {
  readonly #dependencies: FarmLiveDependencies;
  readonly feed: LiveFeed<Name>;
  /** When this instance woke: what an instance before it has swept is not known. */
  readonly #wokenMs = Date.now();
  #presenceSweepMs = 0;
  /** How many tasks have not ended; null when it is to be counted. */
  #openTasks: number | null = null;

  constructor(ctx: DurableObjectState, dependencies: FarmLiveDependencies) {
    this.#dependencies = dependencies;
    this.feed = new LiveFeed(ctx, this);
  }

  /** The upgrade of a socket; the Worker has checked the viewer. */
  open(request: Request): Response {
    if (this.feed.count === 0) this.#presenceSweepMs = Date.now();
    const after = new URL(request.url).searchParams.get("after");
    return this.feed.open(viewerOf(request), "farm", after === null ? undefined : Number(after));
  }

  /**
   * When to call `presenceSweep`; null while no page watches. After a hibernation the alarm of the
   * instance before it is set, so an instance must not set an earlier one each time it wakes.
   */
  get presenceSweepMs(): number | null {
    if (this.feed.count === 0) return null;
    return Math.max(this.#presenceSweepMs, this.#wokenMs) + PRESENCE_SWEEP_MS;
  }

  /**
   * From the alarm: note the workers that have fallen silent. A worker that comes online causes an
   * event of its own, so only workers count that were online, by the same signs, two sweeps ago. So
   * no state has to outlive a hibernation; noting a worker twice is harmless.
   */
  presenceSweep(nowMs: number): void {
    if (this.feed.count === 0 || nowMs < this.#presenceSweepMs + PRESENCE_SWEEP_MS) return;
    this.#presenceSweepMs = nowMs;
    const fleet = this.#dependencies.fleet();
    for (const id of fleet.ids())
      if (!fleet.online(id, nowMs) && fleet.online(id, nowMs - 2 * PRESENCE_SWEEP_MS)) this.worker(id);
  }

  /** A task has reported. `totalsChanged`: the day's totals changed with it. */
  changed({ id, before, after, was, is }: TaskChange, totalsChanged: boolean): void {
    if (!this.feed.watched) {
      this.#openTasks = null;
      return;
    }
    if (this.#openTasks !== null) this.#openTasks += Number(after !== null && isOpen(is)) - Number(isOpen(was));
    this.feed.note(`task ${id}`);
    if (totalsChanged) this.feed.note("today");
    for (const worker of before?.live.keys() ?? []) if (!after?.live.has(worker)) this.worker(worker);
    for (const worker of after?.live.keys() ?? []) if (!before?.live.has(worker)) this.worker(worker);
  }

  /** A worker has changed. */
  worker(id: number): void {
    this.feed.note(`worker ${id}`);
  }

  /** Counted once, and then kept up to date by what changes: a count reads a row for each open task. */
  #countOpen(): number {
    return (this.#openTasks ??= this.#dependencies.taskList.countOpen());
  }

  snapshot(_kind: string, seq: number, nowMs: number): string {
    const { taskList, totals } = this.#dependencies;
    const open = taskList.openSummaries(LIVE_OPEN_TASKS);
    const ended = taskList.endedSummaries(LIVE_ENDED_TASKS);
    const workers = this.#dependencies.fleet().infos(nowMs, LIVE_WORKERS);
    const snapshot: FarmSnapshot = {
      type: "snapshot",
      seq,
      now_ms: nowMs,
      tasks: [...open, ...ended.summaries],
      tasks_left_out: this.#countOpen() - open.length,
      open_tasks: this.#countOpen(),
      ended_left_out: ended.more,
      workers: workers.map(liveWorker),
      today: totals.today(nowMs),
    };
    return JSON.stringify(snapshot);
  }

  delta(names: readonly Name[], kind: string, seq: number, nowMs: number): string {
    if (names.length > MAX_CHANGES) return this.snapshot(kind, seq, nowMs);
    const { tasks, totals } = this.#dependencies;
    const fleet = this.#dependencies.fleet();
    const delta: Required<FarmDelta> = {
      type: "delta",
      seq,
      now_ms: nowMs,
      tasks: [],
      tasks_gone: [],
      workers: [],
      workers_gone: [],
      today: totals.today(nowMs),
      open_tasks: this.#countOpen(),
    };
    for (const name of names) {
      const [what, text] = name.split(" ");
      const id = Number(text);
      if (what === "task") {
        const summary = tasks.summary(id);
        if (summary) delta.tasks.push(summary);
        else delta.tasks_gone.push(id);
      } else if (what === "worker") {
        if (fleet.get(id)) delta.workers.push(liveWorker(fleet.view(id, nowMs)));
        else delta.workers_gone.push(id);
      }
    }
    return JSON.stringify(delta);
  }

  async living(viewers: readonly Viewer[]): Promise<readonly Viewer[]> {
    const ids = viewers.flatMap(({ token }) => (token === null ? [] : [token]));
    const living = new Set([0, ...this.#dependencies.living([...new Set(ids)].filter((id) => id !== 0))]);
    return viewers.filter(({ token }) => token !== null && living.has(token));
  }
}

function isOpen(task: TaskSummary | null): boolean {
  return task !== null && !isEnded(task.status);
}

function liveWorker(info: WorkerInfo): LiveWorker {
  const { worker_num_cpus, worker_mem_percent } = info.update_less_frequent;
  // A machine has at least one processor: 0 means that the agent has not measured yet.
  const measured = worker_num_cpus > 0;
  return {
    ...pick(info, LIVE_WORKER_FIELDS),
    cpu_percent: measured ? info.update_frequent.worker_cpu_percent : null,
    mem_percent: measured ? worker_mem_percent : null,
    load_1min: measured ? info.update_frequent.load_average["1min"] : null,
  };
}
