/**
 * Before each test file: apply the migrations to its empty D1, as `wrangler d1 migrations apply`
 * does.
 */
import { applyD1Migrations, type D1Migration } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Env } from "../../src/rpc/env.ts";

const { HISTORY, TEST_MIGRATIONS } = env as unknown as Env & { TEST_MIGRATIONS: D1Migration[] };

await applyD1Migrations(HISTORY, TEST_MIGRATIONS);
