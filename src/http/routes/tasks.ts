/** `/tasks` and `/tasks/{id}`: submit, list, show, change, remove. */
import { z } from "zod";
import { ok, type Result } from "../../lib/result.ts";
import type { Refusal } from "../../protocol/problem.ts";
import { instantSchema } from "../../protocol/fields.ts";
import { withExpiry } from "../../protocol/retention.ts";
import { sharedTask, workerTask } from "../../protocol/shared-view.ts";
import { isEnded, TASK_STATUSES } from "../../protocol/constants.ts";
import {
  downloadedSchema,
  taskListSchema,
  taskPatchSchema,
  taskSchema,
  taskSubmitSchema,
  type TaskPatch,
} from "../../protocol/task.ts";
import { MAX_SEARCH } from "../../protocol/task-search.ts";
import type { Principal } from "../../protocol/token.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry, callTask } from "../../rpc/stubs.ts";
import type { CompiledDefinition } from "../../rpc/task.ts";
import { liveAttempt, mayChange } from "../ownership.ts";
import { pageCursor, pageLimit } from "../server/paging.ts";
import { taskId } from "../server/path-parameters.ts";
import { clientAddress } from "../server/request.ts";
import { reply } from "../server/responses.ts";
import { defineRoute, READERS, SUBMITTERS, TASK_READERS, type Route } from "../server/route.ts";
import { idempotencyKey, recompileTask, submitTask } from "../submission.ts";

const tag = "tasks";
const params = { id: taskId };

/** Answers 202, not 201: the settings have been compiled, but nothing has been rendered. */
const createTask = defineRoute({
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
  admit: ({ request }) => idempotencyKey(request),
  handle: async ({ env, body, principal, admitted: key }) => {
    const task = await submitTask(env, body, key, principal);
    return task.ok ? reply(202, task.value, { Location: `/tasks/${task.value.id}` }) : task;
  },
});

const listTasks = defineRoute({
  method: "GET",
  path: "/tasks",
  operationId: "listTasks",
  tag,
  summary: "Tasks, newest first or last ended first",
  description:
    "A page looks at 1,000 tasks at most, so it may have fewer than `limit`, also none, and a `cursor` all the same: the list is at its end " +
    "when `cursor` is null.",
  who: READERS,
  query: z.strictObject({
    search: z
      .string()
      .min(1)
      .max(MAX_SEARCH)
      .optional()
      .meta({ description: "Words that must all be in number, name, type, owner or status, in upper or lower case" }),
    state: z.enum(["open", "ended"]).optional().meta({ description: "`open`: tasks that have not ended" }),
    order: z
      .enum(["id", "ended"])
      .optional()
      .meta({ description: "`id`, the default: newest first. `ended`: only ended tasks, the last ended first" }),
    status: z.enum(TASK_STATUSES).optional(),
    type: z.string().min(1).max(64).optional().meta({ description: "Canonical type" }),
    owner: z.string().min(1).max(200).optional().meta({ description: "`admin`, or `name#id`" }),
    limit: pageLimit(50, 500),
    cursor: pageCursor,
  }),
  answers: { 200: { description: "A page of tasks", schema: taskListSchema } },
  handle: async ({ env, query }) => await callRegistry(env, (registry) => registry.listTasks(query)),
});

const showTask = defineRoute({
  method: "GET",
  path: "/tasks/{id}",
  operationId: "showTask",
  tag,
  summary: "One task",
  description: "By a share link without settings, owner and error texts; for a worker without the hashes of inputs.",
  who: TASK_READERS,
  params,
  answers: { 200: { description: "The task", schema: taskSchema } },
  handle: async ({ env, id, principal }) => {
    const task = await callTask(env, id, (object) => object.view());
    if (!task.ok) return task;
    // The task does not know the farm's rule, and only one that has ended expires.
    const shown = isEnded(task.value.status)
      ? withExpiry(task.value, await callRegistry(env, (registry) => registry.retention()))
      : task.value;
    if (principal.role === "share") return ok(sharedTask(shown));
    return ok(principal.role === "worker" ? workerTask(shown) : shown);
  },
});

const patchTask = defineRoute({
  method: "PATCH",
  path: "/tasks/{id}",
  operationId: "patchTask",
  tag,
  summary: "Change a task, or report on it",
  description:
    "Its owner and admins change it; a worker with a live lease of it reports `log`, `activity` and `time_cost`, and nothing else.",
  who: ["admin", "artist", "worker"],
  params,
  body: taskPatchSchema,
  example: { status: "pause" },
  answers: { 204: { description: "Done" } },
  problems: ["conflict", "lease_lost"],
  admit: async ({ env, id, principal }) =>
    principal.role === "worker" ? ok(null) : await mayChange(env, id, principal),
  handle: async ({ request, env, id, body: patch, principal }) => {
    const isWorker = principal.role === "worker";
    const foreign = foreignFields(patch, isWorker);
    if (foreign.length > 0) {
      const detail = isWorker
        ? "Workers report log, activity and time_cost; the rest is for the task's owner."
        : "Only a worker reports this.";
      const errors = foreign.map((field) => ({ field, message: detail }));
      return { ok: false, error: { code: "forbidden", detail, errors } };
    }
    if (isWorker) return await reportOnTask(env, id, patch, principal, clientAddress(request));
    const compiled = await compiledSettings(env, id, patch);
    if (!compiled.ok) return compiled;
    const patched = await callTask(env, id, (task) => task.patch(patch, principal, compiled.value));
    return patched.ok ? ok(null) : patched;
  },
});

/** Answers 202: the task's files are removed in the background. */
const deleteTask = defineRoute({
  method: "DELETE",
  path: "/tasks/{id}",
  operationId: "deleteTask",
  tag,
  summary: "Cancel a task and remove it with its files",
  description:
    "Its owner and admins. History stays. With a condition, only when the task has ended, no task that has not ended depends on it or reads " +
    "its files, and the condition holds; otherwise 409.",
  who: SUBMITTERS,
  params,
  query: z.strictObject({
    if_ended_before: instantSchema
      .optional()
      .meta({ description: "Only if it ended before this instant, in milliseconds since 1970" }),
    if_ended_for: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "Only if it ended so many seconds ago or more, by the manager's clock" }),
    if_downloaded: z.literal("1").optional().meta({ description: "`1`: only if all its files were downloaded" }),
  }),
  answers: { 202: { description: "The task as it was", schema: taskSchema } },
  problems: ["conflict"],
  handle: async ({ env, id, principal, query }) => {
    const allowed = await mayChange(env, id, principal);
    if (!allowed.ok) return allowed;
    const { if_ended_before: before, if_ended_for: seconds, if_downloaded: downloaded } = query;
    if (before === undefined && seconds === undefined && downloaded === undefined)
      return await callTask(env, id, (task) => task.remove(principal));
    const terms = {
      farm: null,
      ended_before_ms: before ?? null,
      ended_for_ms: seconds === undefined ? null : seconds * 1_000,
      downloaded: downloaded === "1",
    };
    return await callTask(env, id, (task) => task.removeEnded(terms, principal));
  },
});

const markDownloaded = defineRoute({
  method: "POST",
  path: "/tasks/{id}/downloaded",
  operationId: "markDownloaded",
  tag,
  summary: "Say that all files of a task were downloaded",
  description:
    "Its owner and admins, after all files were there and verified; `retention_after_download_days` counts from then on. 409 when a frame was " +
    "committed or requeued since `files_version` was read. The first download of a version counts.",
  who: SUBMITTERS,
  params,
  body: downloadedSchema,
  example: { files_version: "24.24" },
  answers: { 204: { description: "Done" } },
  problems: ["conflict"],
  admit: async ({ env, id, principal }) => await mayChange(env, id, principal),
  handle: async ({ env, id, body, principal }) =>
    await callTask(env, id, (task) => task.downloaded(body.files_version, principal)),
});

/** The patch's settings, compiled for the task's own type; null when it has none. */
async function compiledSettings(
  env: Env,
  id: number,
  { settings }: TaskPatch,
): Promise<Result<CompiledDefinition | null, Refusal>> {
  if (settings === undefined) return ok(null);
  const task = await callTask(env, id, (object) => object.view());
  return task.ok ? await recompileTask(env, task.value, settings) : task;
}

/**
 * The fields of a patch that only workers send, which are also the only fields that they may send.
 */
const WORKER_FIELDS = ["log", "activity", "time_cost"] as const;

/** The fields of a patch that this kind of caller may not send. */
function foreignFields(patch: TaskPatch, isWorker: boolean): string[] {
  const sent = Object.entries(patch).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  return sent.filter((field) => WORKER_FIELDS.some((own) => own === field) !== isWorker);
}

/**
 * The report of a client of the 2015 protocol on the task that it renders: the log goes to the
 * task, the rest to the worker's own record.
 */
async function reportOnTask(
  env: Env,
  id: number,
  patch: TaskPatch,
  worker: Principal,
  address: string,
): Promise<Result<null, Refusal>> {
  const { log, activity, time_cost } = patch;
  const lease = await liveAttempt(env, id, worker.id);
  if (!lease.ok) return lease;
  if (log !== undefined) {
    const appended = await callTask(env, id, (task) => task.appendLog(worker.id, lease.value, log));
    if (!appended.ok) return appended;
  }
  if (activity !== undefined || time_cost !== undefined) {
    const patched = await callRegistry(env, (registry) =>
      registry.patchWorker(worker.id, { activity, time_cost }, worker, address),
    );
    if (!patched.ok) return patched;
  }
  return ok(null);
}

export const taskRoutes: readonly Route[] = [createTask, listTasks, showTask, patchTask, deleteTask, markDownloaded];
