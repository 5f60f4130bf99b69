/** `GET /metrics`: the farm in Prometheus' text format (version 0.0.4). */
import { TASK_STATUSES } from "../../protocol/constants.ts";
import { FRAME_STATES } from "../../protocol/task.ts";
import { VERSION } from "../../protocol/version.ts";
import type { FarmMetrics } from "../../rpc/registry.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { defineRoute, PEOPLE, type Route } from "../server/route.ts";

const showMetrics = defineRoute({
  method: "GET",
  path: "/metrics",
  operationId: "metrics",
  tag: "insight",
  summary: "The farm's numbers for Prometheus",
  who: PEOPLE,
  answers: { 200: { description: "Prometheus text format", media: "text/plain" } },
  handle: async ({ env }) => {
    const metrics = await callRegistry(env, (registry) => registry.metrics());
    return new Response(metricsText(metrics), {
      headers: { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" },
    });
  },
});

export const metricsRoutes: readonly Route[] = [showMetrics];

type Sample = [labels: Record<string, string>, value: number];

/**
 * The numbers as text. Every status and state is listed, with 0 where there is none: a series must
 * not disappear.
 */
function metricsText({ tasks, frames, workers, ever, watchers, overdue = 0, history, stored }: FarmMetrics): string {
  const connections = ["online", "offline"].flatMap((connection) =>
    ["enabled", "rendering", "disabled"].map((status): Sample => {
      const found = workers.find((row) => row.connection === connection && row.status === status);
      return [{ connection, status }, found?.count ?? 0];
    }),
  );
  return [
    ...metric("tablao_info", "gauge", "The manager's version.", [[{ version: VERSION }, 1]]),
    ...metric(
      "tablao_tasks",
      "gauge",
      "Tasks by status.",
      TASK_STATUSES.map((status) => [{ status }, tasks[status] ?? 0]),
    ),
    ...metric(
      "tablao_frames",
      "gauge",
      "Frames of tasks that have not ended, by state.",
      FRAME_STATES.map((state) => [{ state }, frames[state] ?? 0]),
    ),
    ...metric("tablao_workers", "gauge", "Workers by connection and status.", connections),
    ...metric("tablao_frames_done_total", "counter", "Frames committed since the manager was set up.", [
      [{}, ever.done],
    ]),
    ...metric("tablao_frame_errors_total", "counter", "Render failures, by frame.", [[{}, ever.errors]]),
    ...metric("tablao_frames_lost_total", "counter", "Frames given back unblamed: lost or stopped workers.", [
      [{}, ever.lost],
    ]),
    ...metric("tablao_render_seconds_total", "counter", "Render seconds of committed frames.", [[{}, ever.seconds]]),
    ...metric("tablao_tasks_overdue", "gauge", "Tasks whose objects should have woken and have not.", [[{}, overdue]]),
    ...metric("tablao_watchers", "gauge", "Pages that watch the farm.", [[{}, watchers]]),
    ...metric("tablao_history_refused_tasks", "gauge", "Tasks whose events D1 refuses: it is full, or away.", [
      [{}, history?.refused ?? 0],
    ]),
    ...metric(
      "tablao_history_dropped_events",
      "gauge",
      "Events that the present tasks dropped, because D1 took none.",
      [[{}, history?.dropped ?? 0]],
    ),
    // Without a word of the registry there is no figure: 0 would be wrong.
    ...(stored === undefined
      ? []
      : [
          ...metric("tablao_stored_bytes", "gauge", "Bytes of the files of done frames, previews included.", [
            [{ of: "outputs" }, stored.bytes],
          ]),
          ...metric("tablao_tasks_uncounted", "gauge", "Tasks whose files are not in tablao_stored_bytes yet.", [
            [{}, stored.uncounted],
          ]),
        ]),
    "",
  ].join("\n");
}

/**
 * One metric. Labels are not escaped: their values are statuses, states and a version, never a
 * user's text.
 */
function metric(name: string, type: "gauge" | "counter", help: string, samples: readonly Sample[]): string[] {
  const lines = samples.map(([labels, value]) => {
    const text = Object.entries(labels).map(([key, label]) => `${key}="${label}"`);
    return `${name}${text.length > 0 ? `{${text.join(",")}}` : ""} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
