/** `/tasks/{id}/log`: read by people, written by the worker that holds a lease. */
import { logAppendSchema } from "../protocol/task.ts";
import { jsonResult, noContent, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody, readQuery } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { liveAttempt } from "./ownership.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { logQuery } from "./queries.ts";
import { idFrom } from "./request.ts";

/** GET /tasks/{id}/log */
export const readLog: Handler = async (_request, { env, params, url }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, logQuery);
  if (!query.ok) return problemResponse(query.error);
  return jsonResult(await callTask(env, id, (task) => task.log(query.value)));
};

/** POST /tasks/{id}/log */
export const appendLog: Handler = async (request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const body = await readBody(request, logAppendSchema);
  if (!body.ok) return problemResponse(body.error);
  const { attempt, text } = body.value;
  const lease = await liveAttempt(env, id, principal.id, attempt);
  if (!lease.ok) return problemResponse(lease.error);
  const appended = await callTask(env, id, (task) => task.appendLog(principal.id, attempt, text));
  return appended.ok ? noContent() : problemResponse(appended.error);
};
