/**
 * Miniflare for the chaos runs and the benchmarks: workerd with local storage, without wrangler's
 * development server and without the launcher.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Miniflare } from "../../src/launcher/miniflare.ts";
import { schemaStatements } from "./schema.ts";

export { startMiniflare, type Miniflare } from "../../src/launcher/miniflare.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");

/** The date of a deployment, read from wrangler.toml, so that it is written in one place. */
export const COMPATIBILITY_DATE = /^compatibility_date = "(.*)"$/m.exec(
  readFileSync(path.join(CHECKOUT, "wrangler.toml"), "utf8"),
)![1]!;

/** The manager's objects as a Worker binds them. */
export const MANAGER_OBJECTS = {
  TASK: { className: "TaskDO", useSQLite: true },
  REGISTRY: { className: "WorkerRegistry", useSQLite: true },
};

/** Create the tables of the history in the D1 of a Worker, as the migrations of a deployment do. */
export async function applySchema(miniflare: Miniflare, worker?: string): Promise<void> {
  const database = await miniflare.getD1Database("HISTORY", worker);
  for (const statement of schemaStatements()) await database.prepare(statement).run();
}
