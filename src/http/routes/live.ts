/**
 * `/live` and `/tasks/{id}/live`: the sockets of pages. The Durable Objects hold them; the routes
 * name the viewer.
 */
import { refuse } from "../../protocol/problem.ts";
import { withRetry } from "../../lib/retry.ts";
import { VIEWER_HEADER, type Viewer } from "../../live/viewer.ts";
import { farmLiveQuery, farmMessageSchema, taskLiveQuery, taskMessageSchema } from "../../protocol/live.ts";
import { registryStub, taskStub } from "../../rpc/stubs.ts";
import { taskId } from "../server/path-parameters.ts";
import { defineRoute, PEOPLE, VIEWERS, type CallerContext, type Route } from "../server/route.ts";
import { forwarded } from "../server/upgrade.ts";

const common = { method: "GET", tag: "live", socket: true, problems: ["upgrade_required", "overloaded"] } as const;
const DESCRIPTION =
  "A snapshot, then what changes, at most four messages a second; after a break `?after=` the last `seq` brings only what was missed " +
  "where that is still known. Send `ping` at least once a minute: sockets silent for three are closed. Close codes: 4003 sign in again, " +
  "4004 the task has been removed.";

const watchFarm = defineRoute({
  ...common,
  path: "/live",
  operationId: "watchFarm",
  summary: "The farm, live (WebSocket)",
  description: DESCRIPTION,
  who: PEOPLE,
  query: farmLiveQuery,
  answers: { 101: { description: "Switching to WebSocket; the messages", schema: farmMessageSchema } },
  handle: async ({ request, env, principal, untilMs }) => {
    const upgrade = forwarded(request, { [VIEWER_HEADER]: viewerFor({ principal, untilMs }) });
    return await withRetry(() => registryStub(env).fetch(new Request(upgrade)));
  },
});

const watchTask = defineRoute({
  ...common,
  path: "/tasks/{id}/live",
  operationId: "watchTask",
  summary: "One task, live (WebSocket)",
  description: DESCRIPTION,
  who: VIEWERS,
  params: { id: taskId },
  query: taskLiveQuery,
  answers: { 101: { description: "Switching to WebSocket; the messages", schema: taskMessageSchema } },
  handle: async ({ request, env, id, query, principal, untilMs }) => {
    if (query.log && principal.role === "share") return refuse("forbidden", "A share link shows no log.");
    const upgrade = forwarded(request, { [VIEWER_HEADER]: viewerFor({ principal, untilMs }) });
    return await withRetry(() => taskStub(env, id).fetch(new Request(upgrade)));
  },
});

/** The header by which the object knows who watches, and when it must check that again. */
function viewerFor({ principal, untilMs }: Pick<CallerContext, "principal" | "untilMs">): string {
  const isShare = principal.role === "share";
  const viewer: Viewer = {
    token: isShare ? null : principal.id,
    share: isShare ? principal.id : null,
    ...(principal.link !== undefined && { link: principal.link }),
    untilMs,
  };
  return JSON.stringify(viewer);
}

export const liveRoutes: readonly Route[] = [watchFarm, watchTask];
