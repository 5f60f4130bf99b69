/** Routes that explain and measure: why something waits, and the farm's numbers. */
import { taskWhySchema, workerWhySchema } from "../../protocol/why.ts";
import { showMetrics } from "../metrics.ts";
import { PEOPLE, type Route } from "../route.ts";
import { whyTask, whyWorker } from "../why.ts";

const common = { method: "GET", tag: "insight", who: PEOPLE } as const;

export const insightRoutes: readonly Route[] = [
  {
    ...common,
    path: "/tasks/{id}/why",
    operationId: "whyTask",
    summary: "Why does this task wait?",
    description:
      "The rule that holds it, and each worker with what keeps it from the task: what dispatch itself would decide.",
    answers: { 200: { description: "The rule, in words and in numbers", schema: taskWhySchema } },
    handler: whyTask,
  },
  {
    ...common,
    path: "/workers/{id}/why",
    operationId: "whyWorker",
    summary: "Why is this worker idle?",
    answers: { 200: { description: "The rule, or the task it gets next", schema: workerWhySchema } },
    handler: whyWorker,
  },
  {
    ...common,
    path: "/metrics",
    operationId: "metrics",
    summary: "The farm's numbers for Prometheus",
    answers: { 200: { description: "Prometheus text format", media: "text/plain" } },
    handler: showMetrics,
  },
];
