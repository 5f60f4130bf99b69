/**
 * All routes. The router, the OpenAPI document, the table in `docs/http-api.md` and the tests of
 * all routes are made from it.
 */
import type { Route } from "../server/route.ts";
import { assetRoutes } from "./assets.ts";
import { blenderBuildRoutes } from "./blender-builds.ts";
import { backupRoutes } from "./backup.ts";
import { downloadRoutes } from "./downloads.ts";
import { frameRoutes } from "./frames.ts";
import { historyRoutes } from "./history.ts";
import { joinRoutes } from "./join.ts";
import { leaseRoutes } from "./leases.ts";
import { liveRoutes } from "./live.ts";
import { logRoutes } from "./logs.ts";
import { metaRoutes } from "./meta.ts";
import { metricsRoutes } from "./metrics.ts";
import { outputRoutes } from "./outputs.ts";
import { pageRoutes } from "./page.ts";
import { restoreRoutes } from "./restore.ts";
import { sessionRoutes } from "./sessions.ts";
import { settingRoutes } from "./settings.ts";
import { shareRoutes } from "./shares.ts";
import { storageRoutes } from "./storage.ts";
import { taskRoutes } from "./tasks.ts";
import { tokenRoutes } from "./tokens.ts";
import { typeRoutes } from "./types.ts";
import { unusedInputRoutes } from "./unused-inputs.ts";
import { webhookRoutes } from "./webhooks.ts";
import { whyRoutes } from "./why.ts";
import { workerRoutes } from "./workers.ts";

/**
 * In the order in which the router tries them: the calls that workers make for each frame come
 * first.
 */
export const ROUTES: readonly Route[] = [
  ...leaseRoutes,
  ...downloadRoutes,
  ...outputRoutes,
  ...assetRoutes,
  ...taskRoutes,
  ...frameRoutes,
  ...logRoutes,
  ...typeRoutes,
  ...workerRoutes,
  ...blenderBuildRoutes,
  ...liveRoutes,
  ...whyRoutes,
  ...metricsRoutes,
  ...webhookRoutes,
  ...sessionRoutes,
  ...shareRoutes,
  ...settingRoutes,
  ...storageRoutes,
  ...tokenRoutes,
  ...backupRoutes,
  ...restoreRoutes,
  ...historyRoutes,
  ...unusedInputRoutes,
  ...joinRoutes,
  ...metaRoutes(() => ROUTES),
  ...pageRoutes,
];
