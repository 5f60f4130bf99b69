/**
 * `/tasks/{id}/frames` and `/tasks/{id}/timings`: the state of each frame, and how long it took.
 */
import { z } from "zod";
import { arrayOf } from "../../protocol/bounded.ts";
import { ok } from "../../lib/result.ts";
import { framesSchema } from "../../protocol/fields.ts";
import { timingsSchema } from "../../protocol/live.ts";
import { sharedFrame } from "../../protocol/shared-view.ts";
import { FRAME_STATES, framesPageSchema } from "../../protocol/task.ts";
import { callTask } from "../../rpc/stubs.ts";
import { pageCursor, pageLimit } from "../server/paging.ts";
import { taskId } from "../server/path-parameters.ts";
import { defineRoute, TASK_READERS, VIEWERS, type Route } from "../server/route.ts";

const anyState = `(${FRAME_STATES.join("|")})`;
const states = z
  .string()
  .max(100)
  .regex(
    new RegExp(`^${anyState}(,${anyState})*$`),
    `must be one or more of ${FRAME_STATES.join(", ")}, comma-separated`,
  )
  .transform((text) => text.split(","))
  .pipe(arrayOf(z.enum(FRAME_STATES), 100))
  .meta({ description: `One or more, comma-separated: ${FRAME_STATES.join(", ")}` });

const listFrames = defineRoute({
  method: "GET",
  path: "/tasks/{id}/frames",
  operationId: "listFrames",
  tag: "tasks",
  summary: "Where each frame stands",
  who: TASK_READERS,
  params: { id: taskId },
  query: z.strictObject({
    state: states.optional(),
    frames: framesSchema.optional(),
    limit: pageLimit(100, 1_000),
    cursor: pageCursor,
  }),
  answers: { 200: { description: "A page of frames, ascending", schema: framesPageSchema } },
  handle: async ({ env, id, query, principal }) => {
    const { state, frames, limit, cursor } = query;
    const page = await callTask(env, id, (task) => task.frames({ states: state, frames, limit, cursor }));
    if (page.ok && principal.role === "share")
      return ok({ ...page.value, frames: page.value.frames.map((frame) => sharedFrame(frame)) });
    return page;
  },
});

const listTimings = defineRoute({
  method: "GET",
  path: "/tasks/{id}/timings",
  operationId: "listTimings",
  tag: "tasks",
  summary: "Done frames in columns, for charts",
  who: VIEWERS,
  params: { id: taskId },
  query: z.strictObject({ frames: framesSchema.optional(), limit: pageLimit(10_000, 10_000), cursor: pageCursor }),
  answers: { 200: { description: "A page of frames, ascending", schema: timingsSchema } },
  handle: async ({ env, id, query }) => await callTask(env, id, (task) => task.timings(query)),
});

export const frameRoutes: readonly Route[] = [listFrames, listTimings];
