/** The farm as the page knows it: one socket for all views that need it. */
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
/** Whether a snapshot has come: until then nothing is known, which is not the same as nothing being there. */
export const known = signal(false);

const socket = signal<LiveSocket<FarmMessage> | null>(null);
export const farmState = computed(() => socket.value?.state.value ?? "connecting");
/** The manager's clock. */
export const managerNow = computed(() => now.value + (socket.value?.skewMs ?? 0));

/** A worker's name for people; its number where it is not known (removed, or not in the snapshot). */
export function workerName(id: number): string {
  const worker = workers.value.get(id);
  return worker ? worker.name || worker.hostname : `worker ${id}`;
}

/** Lay what changed over what is known. New maps, so that those who look see a change. */
export function merged<T extends { id: number }>(
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

/** Connect when someone is signed in who may see the farm. Idempotent. */
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

/** Forget everything: someone signed out. */
export function closeFarm(): void {
  socket.value?.close();
  socket.value = null;
  tasks.value = new Map();
  workers.value = new Map();
  today.value = null;
  known.value = false;
}
