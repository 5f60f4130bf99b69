/**
 * The manager's Worker: it takes requests and the daily cron trigger (`triggers` in wrangler.toml),
 * and exports the classes of the Durable Objects.
 */
import { sweepStaleUploads } from "./files/sweep.ts";
import { buildRouter } from "./http/server/router.ts";
import { ROUTES } from "./http/routes/index.ts";
import type { Env } from "./rpc/env.ts";

export { WorkerRegistry } from "./registry/worker-registry.ts";
export { TaskDO } from "./task/task-do.ts";

const fetch = buildRouter(ROUTES);

export default {
  fetch,
  /** Once a day: deletes uploads that were begun and never finished. */
  async scheduled(controller, env) {
    await sweepStaleUploads(env, controller.scheduledTime);
  },
} satisfies ExportedHandler<Env>;
