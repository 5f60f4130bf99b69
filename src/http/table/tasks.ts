/** Routes of tasks, their frames and logs. */
import { timingsSchema } from "../../protocol/live.ts";
import {
  framesPageSchema,
  logAppendSchema,
  logPageSchema,
  taskListSchema,
  taskPatchSchema,
  taskSchema,
  taskSubmitSchema,
} from "../../protocol/task.ts";
import { planQuery, taskPlanSchema, taskTypesSchema } from "../../protocol/task-type.ts";
import { listFrames, listTimings } from "../frames.ts";
import { appendLog, readLog } from "../logs.ts";
import { frameListQuery, logQuery, taskListQuery, timingsQuery } from "../queries.ts";
import { PEOPLE, READERS, SUBMITTERS, TASK_READERS, VIEWERS, WORKERS, type Route } from "../route.ts";
import { createTask, deleteTask, listTasks, patchTask, showTask } from "../tasks.ts";
import { listTypes, showPlan } from "../types.ts";

const tag = "tasks";

export const taskRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/tasks",
    operationId: "createTask",
    tag,
    summary: "Submit a task",
    description:
      "The compiler named by `type` checks the settings now; the task is queued even when no worker is there. A repeated `task_id` or " +
      "`Idempotency-Key` of the same owner answers with the existing task. A task can depend on existing tasks only and its dependencies " +
      "never change, so cycles cannot arise.",
    who: SUBMITTERS,
    headers: [
      {
        name: "Idempotency-Key",
        description: "1 to 255 visible characters; the same key with another body is refused",
        pattern: "^[!-~]{1,255}$",
      },
    ],
    body: taskSubmitSchema,
    example: { type: "print_string", settings: { text: "hello", frames: "1-10" }, priority: 50 },
    answers: { 202: { description: "The task", schema: taskSchema } },
    problems: ["conflict"],
    handler: createTask,
  },
  {
    method: "GET",
    path: "/tasks",
    operationId: "listTasks",
    tag,
    summary: "Tasks, newest first",
    who: READERS,
    query: taskListQuery,
    answers: { 200: { description: "A page of tasks", schema: taskListSchema } },
    handler: listTasks,
  },
  {
    method: "GET",
    path: "/tasks/{id}",
    operationId: "showTask",
    tag,
    summary: "One task",
    description: "By a share link without settings, owner and error texts.",
    who: TASK_READERS,
    answers: { 200: { description: "The task", schema: taskSchema } },
    handler: showTask,
  },
  {
    method: "PATCH",
    path: "/tasks/{id}",
    operationId: "patchTask",
    tag,
    summary: "Change a task, or report on it",
    description:
      "Its owner and admins change it; a worker with a live lease of it reports `log`, `activity` and `time_cost`, and nothing else.",
    who: ["admin", "artist", "worker"],
    body: taskPatchSchema,
    example: { status: "pause" },
    answers: { 204: { description: "Done" } },
    problems: ["conflict", "lease_lost"],
    handler: patchTask,
  },
  {
    method: "DELETE",
    path: "/tasks/{id}",
    operationId: "deleteTask",
    tag,
    summary: "Cancel a task and remove it with its files",
    description: "Its owner and admins. History stays.",
    who: SUBMITTERS,
    answers: { 202: { description: "The task as it was", schema: taskSchema } },
    handler: deleteTask,
  },
  {
    method: "GET",
    path: "/tasks/{id}/frames",
    operationId: "listFrames",
    tag,
    summary: "Where each frame stands",
    who: TASK_READERS,
    query: frameListQuery,
    answers: { 200: { description: "A page of frames, ascending", schema: framesPageSchema } },
    handler: listFrames,
  },
  {
    method: "GET",
    path: "/tasks/{id}/timings",
    operationId: "listTimings",
    tag,
    summary: "Done frames in columns, for charts",
    who: VIEWERS,
    query: timingsQuery,
    answers: { 200: { description: "A page of frames, ascending", schema: timingsSchema } },
    handler: listTimings,
  },
  {
    method: "GET",
    path: "/tasks/{id}/log",
    operationId: "readLog",
    tag,
    summary: "The task's log",
    who: READERS,
    query: logQuery,
    answers: { 200: { description: "Log entries, oldest first", schema: logPageSchema } },
    handler: readLog,
  },
  {
    method: "POST",
    path: "/tasks/{id}/log",
    operationId: "appendLog",
    tag,
    summary: "Append to the task's log",
    who: WORKERS,
    body: logAppendSchema,
    answers: { 204: { description: "Done" } },
    problems: ["lease_lost"],
    handler: appendLog,
  },
  {
    method: "GET",
    path: "/tasks/{id}/plan",
    operationId: "showPlan",
    tag,
    summary: "The command that workers run for one frame",
    description: "For people to read. Paths of the lease's folders are `in` and `out`; no shell is involved.",
    who: PEOPLE,
    query: planQuery,
    answers: { 200: { description: "The command", schema: taskPlanSchema } },
    handler: showPlan,
  },
  {
    method: "GET",
    path: "/types",
    operationId: "listTypes",
    tag,
    summary: "Task types, with the JSON Schema of their settings",
    who: PEOPLE,
    answers: { 200: { description: "All types", schema: taskTypesSchema } },
    handler: listTypes,
  },
];
