/** `/tasks` and `/tasks/{id}`. */
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { taskPatchSchema, taskSubmitSchema, type TaskPatch } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import type { CompiledDefinition } from "../rpc/task.ts";
import { sharedTask } from "../protocol/shared-view.ts";
import { json, jsonResult, noContent, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody, readQuery } from "./input.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { liveAttempt, mayChange } from "./ownership.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { taskListQuery } from "./queries.ts";
import { clientAddress, idFrom } from "./request.ts";
import { idempotencyKey, recompileTask, submitTask } from "./submission.ts";

/** POST /tasks: 202, for compiling is done but rendering is not. */
export const createTask: Handler = async (request, { env, principal }) => {
  const key = idempotencyKey(request);
  if (!key.ok) return problemResponse(key.error);
  const submit = await readBody(request, taskSubmitSchema);
  if (!submit.ok) return problemResponse(submit.error);
  const task = await submitTask(env, submit.value, key.value, principal);
  if (!task.ok) return problemResponse(task.error);
  return json(task.value, 202, { Location: `/tasks/${task.value.id}` });
};

/** GET /tasks */
export const listTasks: Handler = async (_request, { env, url }) => {
  const query = readQuery(url, taskListQuery);
  if (!query.ok) return problemResponse(query.error);
  return jsonResult(await callRegistry(env, (registry) => registry.listTasks(query.value)));
};

/** GET /tasks/{id} */
export const showTask: Handler = async (_request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const task = await callTask(env, id, (object) => object.view());
  return task.ok && principal.role === "share" ? json(sharedTask(task.value)) : jsonResult(task);
};

/** DELETE /tasks/{id}: 202, for files are removed in the background. */
export const deleteTask: Handler = async (_request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const allowed = await mayChange(env, id, principal);
  if (!allowed.ok) return problemResponse(allowed.error);
  return jsonResult(await callTask(env, id, (task) => task.remove(principal)), 202);
};

/** What only a worker reports, and all that a worker may. */
const WORKER_FIELDS = ["log", "activity", "time_cost"] as const;

/** PATCH /tasks/{id} */
export const patchTask: Handler = async (request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const isWorker = principal.role === "worker";
  if (!isWorker) {
    const allowed = await mayChange(env, id, principal);
    if (!allowed.ok) return problemResponse(allowed.error);
  }
  const patch = await readBody(request, taskPatchSchema);
  if (!patch.ok) return problemResponse(patch.error);
  const foreign = foreignFields(patch.value, isWorker);
  if (foreign.length > 0) {
    const detail = isWorker
      ? "Workers report log, activity and time_cost; the rest is for the task's owner."
      : "Only a worker reports this.";
    return problemResponse({ code: "forbidden", detail, errors: foreign.map((field) => ({ field, message: detail })) });
  }
  if (isWorker) return await reportOnTask(env, id, patch.value, principal, clientAddress(request));
  const compiled = await compiledSettings(env, id, patch.value);
  if (!compiled.ok) return problemResponse(compiled.error);
  const patched = await callTask(env, id, (task) => task.patch(patch.value, principal, compiled.value));
  return patched.ok ? noContent() : problemResponse(patched.error);
};

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

/** The fields of a patch that this kind of caller may not send. */
export function foreignFields(patch: TaskPatch, isWorker: boolean): string[] {
  const sent = Object.entries(patch).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  return sent.filter((field) => WORKER_FIELDS.some((own) => own === field) !== isWorker);
}

/** A worker of 2015 reports on the task it renders: the log belongs to the task, the rest to the worker's own record. */
async function reportOnTask(
  env: Env,
  id: number,
  patch: TaskPatch,
  worker: Principal,
  address: string,
): Promise<Response> {
  const { log, activity, time_cost } = patch;
  const lease = await liveAttempt(env, id, worker.id);
  if (!lease.ok) return problemResponse(lease.error);
  if (log !== undefined) {
    const appended = await callTask(env, id, (task) => task.appendLog(worker.id, lease.value, log));
    if (!appended.ok) return problemResponse(appended.error);
  }
  if (activity !== undefined || time_cost !== undefined) {
    const patched = await callRegistry(env, (registry) =>
      registry.patchWorker(worker.id, { activity, time_cost }, worker, address),
    );
    if (!patched.ok) return problemResponse(patched.error);
  }
  return noContent();
}
