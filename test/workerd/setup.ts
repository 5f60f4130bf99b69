/** Before each file of tests: bring its empty D1 up to date, as `wrangler d1 migrations apply` would. */
import { applyD1Migrations, type D1Migration } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Env } from "../../src/rpc/env.ts";

const { HISTORY, TEST_MIGRATIONS } = env as unknown as Env & { TEST_MIGRATIONS: D1Migration[] };

await applyD1Migrations(HISTORY, TEST_MIGRATIONS);
