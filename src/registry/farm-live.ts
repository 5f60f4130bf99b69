/**
 * The farm's live socket: tasks, workers and the day's totals, and what changes of them. Costs nothing while nobody watches.
 * A worker that falls silent sends nothing that could tell of it, so while somebody watches the alarm looks round.
 */
import { LiveFeed, type Source } from "../live/feed.ts";
import { viewerOf, type Viewer } from "../live/viewer.ts";
import {
  LIVE_ENDED_TASKS,
  LIVE_OPEN_TASKS,
  LIVE_WORKERS,
  type FarmDelta,
  type FarmSnapshot,
  type LiveWorker,
} from "../protocol/live.ts";
import type { WorkerInfo } from "../protocol/worker.ts";
import type { Fleet } from "./fleet.ts";
import type { TaskChange, TaskStore } from "./task-store.ts";
import type { Totals } from "./totals.ts";

/** How often connections are looked over while somebody watches. */
const LOOK_ROUND_MS = 15_000;
/** More changes than this in one message, and a snapshot is shorter. */
const MAX_CHANGES = 2_000;

type Name = `task ${number}` | `worker ${number}` | "today";

export interface FarmParts {
  fleet(): Fleet;
  tasks: TaskStore;
  totals: Totals;
  living(ids: number[]): number[];
}

export class FarmLive implements Source<Name> {
  readonly #parts: FarmParts;
  readonly feed: LiveFeed<Name>;
  #lookMs = 0;

  constructor(ctx: DurableObjectState, parts: FarmParts) {
    this.#parts = parts;
    this.feed = new LiveFeed(ctx, this);
  }

  /** The upgrade of a socket that the Worker has let in. */
  open(request: Request): Response {
    if (this.feed.count === 0) this.#lookMs = Date.now();
    const after = new URL(request.url).searchParams.get("after");
    return this.feed.open(viewerOf(request), "farm", after === null ? undefined : Number(after));
  }

  /** When to look round; null while nobody watches. */
  get lookMs(): number | null {
    return this.feed.count === 0 ? null : this.#lookMs + LOOK_ROUND_MS;
  }

  /**
   * From the alarm: who has fallen silent? Whoever comes sends something, so only those count that were online by the same signs
   * at the round before the last: nothing has to be remembered over a hibernation, and being told twice does no harm.
   */
  lookRound(nowMs: number): void {
    if (this.feed.count === 0 || nowMs < this.#lookMs + LOOK_ROUND_MS) return;
    this.#lookMs = nowMs;
    const fleet = this.#parts.fleet();
    for (const id of fleet.ids())
      if (!fleet.online(id, nowMs) && fleet.online(id, nowMs - 2 * LOOK_ROUND_MS)) this.worker(id);
  }

  /** A task has reported. */
  changed({ id, before, after }: TaskChange, counted: boolean): void {
    if (!this.feed.watched) return;
    this.feed.note(`task ${id}`);
    if (counted) this.feed.note("today");
    for (const worker of before?.live.keys() ?? []) if (!after?.live.has(worker)) this.worker(worker);
    for (const worker of after?.live.keys() ?? []) if (!before?.live.has(worker)) this.worker(worker);
  }

  worker(id: number): void {
    this.feed.note(`worker ${id}`);
  }

  snapshot(_kind: string, seq: number, nowMs: number): string {
    const { tasks, totals } = this.#parts;
    const open = tasks.openSummaries(LIVE_OPEN_TASKS);
    const workers = this.#parts.fleet().infos(nowMs, LIVE_WORKERS);
    const snapshot: FarmSnapshot = {
      type: "snapshot",
      seq,
      now_ms: nowMs,
      tasks: [...open.summaries, ...tasks.endedSummaries(LIVE_ENDED_TASKS)],
      tasks_left_out: open.leftOut,
      workers: workers.map(liveWorker),
      today: totals.today(nowMs),
    };
    return JSON.stringify(snapshot);
  }

  delta(names: readonly Name[], kind: string, seq: number, nowMs: number): string {
    if (names.length > MAX_CHANGES) return this.snapshot(kind, seq, nowMs);
    const { tasks, totals } = this.#parts;
    const fleet = this.#parts.fleet();
    const delta: Required<FarmDelta> = {
      type: "delta",
      seq,
      now_ms: nowMs,
      tasks: [],
      tasks_gone: [],
      workers: [],
      workers_gone: [],
      today: totals.today(nowMs),
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
    const living = new Set([0, ...this.#parts.living([...new Set(ids)].filter((id) => id !== 0))]);
    return viewers.filter(({ token }) => token !== null && living.has(token));
  }
}

function liveWorker(info: WorkerInfo): LiveWorker {
  const { worker_num_cpus, worker_mem_percent } = info.update_less_frequent;
  // An agent always has a processor: without one nothing has been measured.
  const measured = worker_num_cpus > 0;
  return {
    id: info.id,
    hostname: info.hostname,
    name: info.name,
    connection: info.connection,
    status: info.status,
    draining: info.draining,
    current_task: info.current_task,
    slots: info.slots,
    tags: info.tags,
    system: info.system,
    version: info.version,
    activity: info.activity,
    registered_ms: info.registered_ms,
    last_seen_ms: info.last_seen_ms,
    cpu_percent: measured ? info.update_frequent.worker_cpu_percent : null,
    mem_percent: measured ? worker_mem_percent : null,
    load_1min: measured ? info.update_frequent.load_average["1min"] : null,
  };
}
