/**
 * The manager's Worker: it takes requests and the cron triggers, and exports the classes of the
 * Durable Objects.
 */
import { buildRouter } from "./http/server/router.ts";
import { ROUTES } from "./http/routes/index.ts";
import type { Env } from "./rpc/env.ts";
import { scheduled } from "./scheduled.ts";

export { WorkerRegistry } from "./registry/worker-registry.ts";
export { TaskDO } from "./task/task-do.ts";

const fetch = buildRouter(ROUTES);

export default { fetch, scheduled } satisfies ExportedHandler<Env>;
