/** The route table: the router, 405s, role checks and the OpenAPI document are all made from it. */
import { openApiDocument } from "../protocol/openapi.ts";
import { VERSION } from "../protocol/version.ts";
import type { PublicHandler } from "./context.ts";
import type { Route } from "./route.ts";
import { adminRoutes } from "./table/admin.ts";
import { backupRoutes } from "./table/backup.ts";
import { fileRoutes } from "./table/files.ts";
import { historyRoutes } from "./table/history.ts";
import { insightRoutes } from "./table/insight.ts";
import { leaseRoutes } from "./table/leases.ts";
import { liveRoutes } from "./table/live.ts";
import { metaRoutes } from "./table/meta.ts";
import { sessionRoutes } from "./table/sessions.ts";
import { taskRoutes } from "./table/tasks.ts";
import { webhookRoutes } from "./table/webhooks.ts";
import { workerRoutes } from "./table/workers.ts";

let document: string | undefined;

/** GET /openapi.json: made at the first request to an isolate, not at its start. */
const showOpenApi: PublicHandler = async () => {
  document ??= JSON.stringify(openApiDocument(ROUTES, VERSION));
  return new Response(document, { headers: { "Content-Type": "application/json" } });
};

/** In the order in which the router tries them: what workers ask for each frame comes first. */
export const ROUTES: readonly Route[] = [
  ...leaseRoutes,
  ...fileRoutes,
  ...taskRoutes,
  ...workerRoutes,
  ...liveRoutes,
  ...insightRoutes,
  ...webhookRoutes,
  ...sessionRoutes,
  ...adminRoutes,
  ...backupRoutes,
  ...historyRoutes,
  ...metaRoutes(showOpenApi),
];
