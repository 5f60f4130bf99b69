/** The manager's Worker: requests and the daily clock in, Durable Object classes out. */
import { sweepStaleUploads } from "./files/sweep.ts";
import { buildRouter } from "./http/server/router.ts";
import { ROUTES } from "./http/routes/index.ts";
import type { Env } from "./rpc/env.ts";

export { WorkerRegistry } from "./registry/worker-registry.ts";
export { TaskDO } from "./task/task-do.ts";

const fetch = buildRouter(ROUTES);

export default {
  fetch,
  /** Once a day (`triggers` in wrangler.toml): uploads that nobody finished. */
  async scheduled(controller, env) {
    await sweepStaleUploads(env, controller.scheduledTime);
  },
} satisfies ExportedHandler<Env>;
