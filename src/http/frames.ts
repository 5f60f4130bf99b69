/** `/tasks/{id}/frames` and `/tasks/{id}/timings`: where each frame stands, and how long it took. */
import { sharedFrame } from "../protocol/shared-view.ts";
import { json, jsonResult, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readQuery } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { frameListQuery, timingsQuery } from "./queries.ts";
import { idFrom } from "./request.ts";

/** GET /tasks/{id}/frames */
export const listFrames: Handler = async (_request, { env, params, url, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, frameListQuery);
  if (!query.ok) return problemResponse(query.error);
  const { state, frames, limit, cursor } = query.value;
  const page = await callTask(env, id, (task) => task.frames({ states: state, frames, limit, cursor }));
  if (page.ok && principal.role === "share")
    return json({ ...page.value, frames: page.value.frames.map((frame) => sharedFrame(frame)) });
  return jsonResult(page);
};

/** GET /tasks/{id}/timings */
export const listTimings: Handler = async (_request, { env, params, url }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, timingsQuery);
  if (!query.ok) return problemResponse(query.error);
  return jsonResult(await callTask(env, id, (task) => task.timings(query.value)));
};
