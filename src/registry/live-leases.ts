/**
 * Which workers have live leases on which tasks, as the tasks last reported. In memory, rebuilt
 * from the rows of those tasks.
 */
import type { LiveTask } from "./epoch.ts";
import type { TaskChange, ReportedState, TaskIndex } from "./task-index.ts";

export class LiveLeases {
  readonly #tasks = new Map<number, ReportedState>();
  /** Worker → task → since when it has a live lease there. */
  readonly #workers = new Map<number, Map<number, number>>();

  constructor(store: TaskIndex) {
    for (const { id, state } of store.liveTasks()) this.#add(id, state);
  }

  /** Apply a report. Answers the workers that have a live lease on the task and had none before. */
  apply({ id, before, after }: TaskChange): number[] {
    for (const worker of before?.live.keys() ?? []) {
      const tasks = this.#workers.get(worker);
      tasks?.delete(id);
      if (tasks?.size === 0) this.#workers.delete(worker);
    }
    this.#tasks.delete(id);
    if (!after || after.live.size === 0) return [];
    this.#add(id, after);
    return [...after.live.keys()].filter((worker) => !before?.live.has(worker));
  }

  /** How many tasks this worker has live leases on. */
  countOf(worker: number): number {
    return this.#workers.get(worker)?.size ?? 0;
  }

  /** The task on which it got its newest live lease; null when it has none. */
  newestOf(worker: number): number | null {
    let newest: [number, number] | null = null;
    for (const entry of this.#workers.get(worker) ?? []) if (newest === null || entry[1] >= newest[1]) newest = entry;
    return newest?.[0] ?? null;
  }

  /** The tasks on which this worker has live leases. */
  tasksOf(worker: number): LiveTask[] {
    return [...(this.#workers.get(worker)?.keys() ?? [])].map((id) => this.#liveTask(id, this.#tasks.get(id)!));
  }

  *tasks(): Generator<LiveTask> {
    for (const [id, state] of this.#tasks) yield this.#liveTask(id, state);
  }

  #liveTask(id: number, state: ReportedState): LiveTask {
    return { id, priority: state.priority, workers: state.live.keys() };
  }

  #add(id: number, state: ReportedState): void {
    this.#tasks.set(id, state);
    for (const [worker, sinceMs] of state.live) {
      const tasks = this.#workers.get(worker) ?? new Map<number, number>();
      this.#workers.set(worker, tasks.set(id, sinceMs));
    }
  }
}
