/** `/tasks/{id}/log`: people read it, the worker with a live lease of the task writes it. */
import { z } from "zod";
import { ok } from "../../lib/result.ts";
import { logAppendSchema, logPageSchema } from "../../protocol/task.ts";
import { callTask } from "../../rpc/stubs.ts";
import { liveAttempt } from "../ownership.ts";
import { pageLimit } from "../server/paging.ts";
import { taskId } from "../server/path-parameters.ts";
import { defineRoute, READERS, WORKERS, type Route } from "../server/route.ts";

const readLog = defineRoute({
  method: "GET",
  path: "/tasks/{id}/log",
  operationId: "readLog",
  tag: "tasks",
  summary: "The task's log",
  who: READERS,
  params: { id: taskId },
  query: z
    .strictObject({
      after: z.int().min(0).optional().meta({ description: "`next` of the page before" }),
      tail: z.int().min(1).max(10_000).optional().meta({ description: "The last N entries instead" }),
      limit: pageLimit(1_000, 10_000),
    })
    .refine((query) => query.after === undefined || query.tail === undefined, {
      path: ["tail"],
      message: "does not go with `after`",
    }),
  answers: { 200: { description: "Log entries, oldest first", schema: logPageSchema } },
  handle: async ({ env, id, query }) => await callTask(env, id, (task) => task.log(query)),
});

const appendLog = defineRoute({
  method: "POST",
  path: "/tasks/{id}/log",
  operationId: "appendLog",
  tag: "tasks",
  summary: "Append to the task's log",
  who: WORKERS,
  params: { id: taskId },
  body: logAppendSchema,
  answers: { 204: { description: "Done" } },
  problems: ["lease_lost"],
  handle: async ({ env, id, body: { attempt, text }, principal }) => {
    const lease = await liveAttempt(env, id, principal.id, attempt);
    if (!lease.ok) return lease;
    const appended = await callTask(env, id, (task) => task.appendLog(principal.id, attempt, text));
    return appended.ok ? ok(null) : appended;
  },
});

export const logRoutes: readonly Route[] = [readLog, appendLog];
