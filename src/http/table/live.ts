/** Routes of live sockets. */
import { farmLiveQuery, farmMessageSchema, taskLiveQuery, taskMessageSchema } from "../../protocol/live.ts";
import { watchFarm, watchTask } from "../live.ts";
import { PEOPLE, VIEWERS, type Route } from "../route.ts";

const common = { method: "GET", tag: "live", problems: ["upgrade_required", "overloaded"] } as const;
const DESCRIPTION =
  "A snapshot, then what changes, at most four messages a second; after a break `?after=` the last `seq` brings only what was missed " +
  "where that is still known. Send `ping` at least once a minute: sockets silent for three are closed. Close codes: 4003 sign in again, " +
  "4004 the task has been removed.";

export const liveRoutes: readonly Route[] = [
  {
    ...common,
    path: "/live",
    operationId: "watchFarm",
    summary: "The farm, live (WebSocket)",
    description: DESCRIPTION,
    who: PEOPLE,
    query: farmLiveQuery,
    answers: { 101: { description: "Switching to WebSocket; the messages", schema: farmMessageSchema } },
    handler: watchFarm,
  },
  {
    ...common,
    path: "/tasks/{id}/live",
    operationId: "watchTask",
    summary: "One task, live (WebSocket)",
    description: DESCRIPTION,
    who: VIEWERS,
    query: taskLiveQuery,
    answers: { 101: { description: "Switching to WebSocket; the messages", schema: taskMessageSchema } },
    handler: watchTask,
  },
];
