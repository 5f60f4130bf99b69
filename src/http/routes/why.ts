/**
 * `/tasks/{id}/why` and `/workers/{id}/why`: the rule of dispatch that holds a task or a worker.
 */
import { taskWhySchema, workerWhySchema } from "../../protocol/why.ts";
import { callRegistry, callTask } from "../../rpc/stubs.ts";
import { taskId, workerId } from "../server/path-parameters.ts";
import { defineRoute, PEOPLE, type Route } from "../server/route.ts";

const common = { method: "GET", tag: "insight", who: PEOPLE } as const;

const whyTask = defineRoute({
  ...common,
  path: "/tasks/{id}/why",
  operationId: "whyTask",
  summary: "Why does this task wait?",
  description:
    "The rule that holds it, and each worker with what keeps it from the task: what dispatch itself would decide.",
  params: { id: taskId },
  answers: { 200: { description: "The rule, in words and in numbers", schema: taskWhySchema } },
  handle: async ({ env, id }) => {
    const task = await callTask(env, id, (object) => object.view());
    if (!task.ok) return task;
    const { waits_for, deleted_dependencies, outdated_source, outdated_frames, bound_blender } = task.value;
    const about = { deleted_dependencies, outdated_source, outdated_frames, bound_blender };
    return await callRegistry(env, (registry) => registry.whyTask(id, waits_for, about));
  },
});

const whyWorker = defineRoute({
  ...common,
  path: "/workers/{id}/why",
  operationId: "whyWorker",
  summary: "Why is this worker idle?",
  params: { id: workerId },
  answers: { 200: { description: "The rule, or the task it gets next", schema: workerWhySchema } },
  handle: async ({ env, id }) => await callRegistry(env, (registry) => registry.whyWorker(id)),
});

export const whyRoutes: readonly Route[] = [whyTask, whyWorker];
