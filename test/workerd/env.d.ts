/**
 * The `env` of `cloudflare:workers` in tests: the manager's bindings, and the migrations that the
 * configuration reads.
 */
import type { D1Migration } from "cloudflare:test";
import type { Env as ManagerEnv } from "../../src/rpc/env.ts";

declare global {
  namespace Cloudflare {
    interface Env extends ManagerEnv {
      TEST_MIGRATIONS: D1Migration[];
    }
  }
}
