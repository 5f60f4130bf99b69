/** The state of the farm. One socket keeps it up to date for all views. */
import { computed, signal } from "@preact/signals";
import type { FarmDelta, FarmMessage, LiveWorker, Today } from "../../protocol/live.ts";
import type { TaskSummary } from "../../protocol/task.ts";
import { now } from "./clock.ts";
import { LiveSocket } from "./live.ts";
import { session } from "./session.ts";

export const tasks = signal<ReadonlyMap<number, TaskSummary>>(new Map());
export const workers = signal<ReadonlyMap<number, LiveWorker>>(new Map());
export const today = signal<Today | null>(null);
export const tasksLeftOut = signal(0);
/**
 * Whether a snapshot has arrived. Before that, an empty list of tasks does not mean that there are
 * none.
 */
export const known = signal(false);

const socket = signal<LiveSocket<FarmMessage> | null>(null);
export const farmState = computed(() => socket.value?.state.value ?? "connecting");
/** The time by the manager's clock. */
export const managerNow = computed(() => now.value + (socket.value?.skewMs ?? 0));

/**
 * A worker's name for people; its number for a worker that was removed or is not in the snapshot.
 */
export function workerName(id: number): string {
  const worker = workers.value.get(id);
  return worker ? worker.name || worker.hostname : `worker ${id}`;
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
}

function take(message: FarmMessage): void {
  if (message.type === "delta") return takeDelta(message);
  tasks.value = new Map(message.tasks.map((task) => [task.id, task]));
  workers.value = new Map(message.workers.map((worker) => [worker.id, worker]));
  today.value = message.today;
  tasksLeftOut.value = message.tasks_left_out;
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
  known.value = false;
}
