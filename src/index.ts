/** The manager's Worker: requests in, Durable Object classes out. */
import { buildRouter } from "./http/router.ts";
import { ROUTES } from "./http/routes.ts";
import type { Env } from "./platform/env.ts";

export { WorkerRegistry } from "./registry/worker-registry.ts";
export { TaskDO } from "./task/task-do.ts";

const fetch = buildRouter(ROUTES);

export default { fetch } satisfies ExportedHandler<Env>;
