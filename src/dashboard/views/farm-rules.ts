/** Order, search and names in lists of tasks and workers. Pure. */
import { isEnded } from "../../protocol/constants.ts";
import type { HistoryFailure } from "../../protocol/history.ts";
import type { LiveWorker } from "../../protocol/live.ts";
import type { TaskSummary } from "../../protocol/task.ts";
import { wordsOf } from "../../protocol/task-search.ts";
import { text } from "../text.ts";

export function isOpen(task: Pick<TaskSummary, "status">): boolean {
  return !isEnded(task.status);
}

export function nameOfTask(task: Pick<TaskSummary, "id" | "name" | "type">): string {
  return task.name === "" ? text.task.untitled(task.type, task.id) : task.name;
}

/** When a task ended. One of 0.1 does not say: then when it changed last. */
function endOf({ ended_ms, updated_ms }: TaskSummary): number {
  return ended_ms ?? updated_ms;
}

/** Open tasks first, in the order in which they get workers; then ended tasks, the last ended first. */
export function byDispatch(a: TaskSummary, b: TaskSummary): number {
  const open = Number(isOpen(b)) - Number(isOpen(a));
  if (open !== 0) return open;
  return isOpen(a) ? b.priority - a.priority || a.id - b.id : endOf(b) - endOf(a) || b.id - a.id;
}

/** Online before offline, then by name, so that rows keep their places while workers work. */
export function workersFirst(a: LiveWorker, b: LiveWorker): number {
  const online = Number(b.connection === "online") - Number(a.connection === "online");
  return online || collator.compare(a.name || a.hostname, b.name || b.hostname) || a.id - b.id;
}

/** Sorts `node-2` before `node-10`. */
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * Frames per hour at the present pace: the frames that are left, by the middle of the estimate.
 * Null without an estimate.
 */
export function framesPerHour(task: Pick<TaskSummary, "frames" | "eta" | "updated_ms" | "status">): number | null {
  if (!task.eta || !isOpen(task)) return null;
  const left = task.frames.pending + task.frames.leased;
  const ms = (task.eta.low_ms + task.eta.high_ms) / 2 - task.updated_ms;
  return left > 0 && ms > 0 ? (left * 3_600_000) / ms : null;
}

/**
 * What is wrong with the history of these tasks together: the earliest failure, and all events that
 * were lost. Null when nothing is.
 */
export function historyFailureOf(tasks: Iterable<Pick<TaskSummary, "history_failure">>): HistoryFailure | null {
  const failures = [...tasks].flatMap(({ history_failure }) => history_failure ?? []);
  if (failures.length === 0) return null;
  const first = failures.reduce((a, b) => ((b.since_ms ?? Infinity) < (a.since_ms ?? Infinity) ? b : a));
  return { ...first, dropped: failures.reduce((sum, { dropped }) => sum + dropped, 0) };
}

export function matchesWorker(
  worker: Pick<LiveWorker, "id" | "name" | "hostname" | "tags" | "system">,
  search: string,
): boolean {
  const about =
    `#${worker.id} ${worker.name} ${worker.hostname} ${worker.tags.join(" ")} ${worker.system}`.toLowerCase();
  return wordsOf(search).every((word) => about.includes(word));
}
