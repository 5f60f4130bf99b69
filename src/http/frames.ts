/** `/tasks/{id}/frames`: where each frame stands. */
import { jsonResult, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readQuery } from "./input.ts";
import { callTask } from "./objects.ts";
import { problemResponse } from "./problems.ts";
import { frameListQuery } from "./queries.ts";
import { idFrom } from "./request.ts";

/** GET /tasks/{id}/frames */
export const listFrames: Handler = async (_request, { env, params, url }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, frameListQuery);
  if (!query.ok) return problemResponse(query.error);
  const { state, frames, limit, cursor } = query.value;
  return jsonResult(await callTask(env, id, (task) => task.frames({ states: state, frames, limit, cursor })));
};
