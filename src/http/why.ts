/** `/tasks/{id}/why` and `/workers/{id}/why`: the rule that holds it. */
import { jsonResult, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

/** GET /tasks/{id}/why */
export const whyTask: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const task = await callTask(env, id, (object) => object.view());
  if (!task.ok) return problemResponse(task.error);
  return jsonResult(await callRegistry(env, (registry) => registry.whyTask(id, task.value.waits_for)));
};

/** GET /workers/{id}/why */
export const whyWorker: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("worker");
  return jsonResult(await callRegistry(env, (registry) => registry.whyWorker(id)));
};
