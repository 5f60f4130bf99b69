/** The state of the farm. One socket keeps it up to date for all views. */
import { batch, computed, signal } from "@preact/signals";
import { isEnded } from "../../protocol/constants.ts";
import type { FarmDelta, FarmMessage, FarmSnapshot, LiveWorker, Today } from "../../protocol/live.ts";
import type { TaskSummary } from "../../protocol/task.ts";
import { now } from "./clock.ts";
import { LiveSocket } from "./live.ts";
import { session } from "./session.ts";

export const tasks = signal<ReadonlyMap<number, TaskSummary>>(new Map());
export const workers = signal<ReadonlyMap<number, LiveWorker>>(new Map());
export const today = signal<Today | null>(null);
/** How many tasks have not ended, those that are not in `tasks` included. */
export const openTasks = signal(0);
/** How many of them are not in `tasks`. */
export const tasksLeftOut = computed(() => {
  let listed = 0;
  for (const task of tasks.value.values()) if (!isEnded(task.status)) listed++;
  return Math.max(0, openTasks.value - listed);
});
/** Whether tasks have ended that are not in `tasks`. */
export const endedLeftOut = signal(false);
/** Rises with each snapshot: `tasks` is then what the snapshot has, without what was added. */
export const snapshots = signal(0);
/**
 * Whether a snapshot has arrived. Before that, an empty list of tasks does not mean that there are
 * none.
 */
export const known = signal(false);

const socket = signal<LiveSocket<FarmMessage> | null>(null);
export const farmState = computed(() => socket.value?.state.value ?? "connecting");
/** The time by the manager's clock. */
export const managerNow = computed(() => now.value + (socket.value?.skewMs ?? 0));

/** Names of workers that answers about the history gave: those of removed workers are nowhere else. */
const pastNames = signal<ReadonlyMap<number, string>>(new Map());

/** Keep the names of workers, by id, that an answer gave. */
export function rememberNames(names: Record<string, string> | undefined): void {
  const known = Object.entries(names ?? {}).filter(([, name]) => name !== "");
  if (known.length > 0)
    pastNames.value = new Map([...pastNames.peek(), ...known.map(([id, name]) => [Number(id), name] as const)]);
}

/** A worker's name for people; its number where no answer has named it. */
export function workerName(id: number): string {
  const worker = workers.value.get(id);
  return worker ? worker.name || worker.hostname : (pastNames.value.get(id) ?? `worker ${id}`);
}

/**
 * The items of `before` with changes applied. It is a new map, because signals compare by identity.
 */
function merged<T extends { id: number }>(
  before: ReadonlyMap<number, T>,
  changed: readonly T[] | undefined,
  gone: readonly number[] | undefined,
): ReadonlyMap<number, T> {
  if (!changed?.length && !gone?.length) return before;
  const after = new Map(before);
  for (const id of gone ?? []) after.delete(id);
  for (const item of changed ?? []) after.set(item.id, item);
  return after;
}

function takeDelta(delta: FarmDelta): void {
  tasks.value = merged(tasks.value, delta.tasks, delta.tasks_gone);
  workers.value = merged(workers.value, delta.workers, delta.workers_gone);
  if (delta.today) today.value = delta.today;
  if (delta.open_tasks !== undefined) openTasks.value = delta.open_tasks;
}

/**
 * Add tasks that the snapshot has left out; deltas keep them up to date. Those that are there already
 * are as new or newer, and stay. Answers how many were added.
 */
export function addTasks(more: readonly TaskSummary[]): number {
  const added = more.filter(({ id }) => !tasks.value.has(id));
  tasks.value = merged(tasks.value, added, []);
  return added.length;
}

function take(message: FarmMessage): void {
  batch(() => (message.type === "delta" ? takeDelta(message) : takeSnapshot(message)));
}

function takeSnapshot(message: FarmSnapshot): void {
  tasks.value = new Map(message.tasks.map((task) => [task.id, task]));
  workers.value = new Map(message.workers.map((worker) => [worker.id, worker]));
  today.value = message.today;
  openTasks.value = message.open_tasks ?? message.tasks.filter((task) => !isEnded(task.status)).length;
  endedLeftOut.value = message.ended_left_out ?? false;
  snapshots.value++;
  known.value = true;
}

/** Connect, for a viewer who may see the farm. A second call does nothing. */
export function openFarm(): void {
  if (socket.value) return;
  const live = new LiveSocket<FarmMessage>("/live", "/auth/session", take);
  socket.value = live;
  const stop = live.state.subscribe((state) => {
    if (state === "signed out") {
      queueMicrotask(() => stop());
      session.value = null;
    }
  });
}

/** Disconnect and delete all data, when the viewer signs out. */
export function closeFarm(): void {
  socket.value?.close();
  socket.value = null;
  tasks.value = new Map();
  workers.value = new Map();
  today.value = null;
  openTasks.value = 0;
  endedLeftOut.value = false;
  known.value = false;
}
