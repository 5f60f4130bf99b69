/** `tablao prune`: what is chosen, and what is said of its size. */
import { expect, it } from "vitest";
import type { TaskSummary } from "../protocol/task.ts";
import { chosen, sizeOf, sumText } from "./commands/prune.ts";
import { retentionLines } from "./retention-text.ts";
import type { Task } from "../protocol/task.ts";

const DAY = 86_400_000;
const NOW = 100 * DAY;
const task = (id: number, more: Partial<TaskSummary>): TaskSummary =>
  ({ id, status: "completed", updated_ms: NOW, ended_ms: NOW - 10 * DAY, ...more }) as TaskSummary;

const tasks = [
  task(1, { ended_ms: NOW - 60 * DAY, stored_bytes: 2_000_000 }),
  task(2, { ended_ms: NOW - 60 * DAY + 1, downloaded_ms: NOW - DAY, stored_bytes: 500_000 }),
  task(3, { status: "rendering", ended_ms: null, downloaded_ms: NOW }),
  task(4, { status: "failed", ended_ms: undefined, updated_ms: NOW - 90 * DAY, stored_bytes: null }),
  task(5, { status: "canceled" }),
];
const idsOf = (choice: Parameters<typeof chosen>[1]): number[] => chosen(tasks, choice, NOW).map(({ id }) => id);

it("P14: prune chooses tasks that have ended, by the time since their end and by their download", () => {
  expect(idsOf({})).toEqual([1, 2, 4, 5]);
  expect(idsOf({ olderThan: 60 * 86_400 })).toEqual([1, 4]);
  expect(idsOf({ downloaded: true })).toEqual([2]);
  expect(idsOf({ olderThan: 60 * 86_400, downloaded: true })).toEqual([]);
});

it("prune adds up the sizes that are known, and says of how many tasks they are not", () => {
  expect(sizeOf(tasks)).toEqual({ bytes: 2_500_000, unknown: 3 });
  expect(sumText(tasks.slice(0, 2))).toBe("2 tasks (2.5 MB)");
  expect(sumText(tasks.slice(0, 4))).toBe("4 tasks (2.5 MB, and 2 tasks of unknown size)");
  expect(sumText(tasks.slice(4))).toBe("1 task (size unknown)");
});

it("what the command line says of a task's retention", () => {
  const lines = (more: Partial<Task>): string[] =>
    retentionLines(task(1, more) as Task).map(([key, text]) => `${key}: ${text}`);
  expect(lines({})).toEqual([]);
  expect(lines({ expires_ms: null })).toEqual([]);
  expect(lines({ expires_ms: Date.UTC(2026, 11, 30, 12), expires_by: "farm" })).toEqual([
    "deleted: after 2026-12-30 12:00:00 UTC, by the farm's rule",
  ]);
  expect(lines({ retention_days: "forever", retention_after_download_days: 1, downloaded_ms: 0 })).toEqual([
    "downloaded: 1970-01-01 00:00:00 UTC",
    "retention: not deleted for its age, deleted 1 day after the download",
  ]);
});
