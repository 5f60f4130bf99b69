/** Who works on what, as the tasks last reported. In memory; rebuilt from the rows of tasks with live leases. */
import type { LiveTask } from "./epoch.ts";
import type { TaskChange, TaskState, TaskStore } from "./task-store.ts";

export class LiveLeases {
  readonly #tasks = new Map<number, TaskState>();
  /** Worker → task → since when. */
  readonly #workers = new Map<number, Map<number, number>>();

  constructor(store: TaskStore) {
    for (const { id, state } of store.liveTasks()) this.#add(id, state);
  }

  /** Take a report in; the workers that are new on the task. */
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

  /** The task it joined last; null when it has no live lease. */
  newestOf(worker: number): number | null {
    let newest: [number, number] | null = null;
    for (const entry of this.#workers.get(worker) ?? []) if (newest === null || entry[1] >= newest[1]) newest = entry;
    return newest?.[0] ?? null;
  }

  /** Tasks this worker is live on. */
  tasksOf(worker: number): LiveTask[] {
    return [...(this.#workers.get(worker)?.keys() ?? [])].map((id) => this.#liveTask(id, this.#tasks.get(id)!));
  }

  *tasks(): Generator<LiveTask> {
    for (const [id, state] of this.#tasks) yield this.#liveTask(id, state);
  }

  #liveTask(id: number, state: TaskState): LiveTask {
    return { id, priority: state.priority, workers: state.live.keys() };
  }

  #add(id: number, state: TaskState): void {
    this.#tasks.set(id, state);
    for (const [worker, sinceMs] of state.live) {
      const tasks = this.#workers.get(worker) ?? new Map<number, number>();
      this.#workers.set(worker, tasks.set(id, sinceMs));
    }
  }
}
