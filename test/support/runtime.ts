/**
 * Miniflare for the chaos runs and the benchmarks: workerd with local storage and without
 * wrangler's development proxy. This is the only file that imports Miniflare. Its version must be
 * exactly the one that wrangler and the test plugin depend on, so that all three run the same
 * workerd (CONTRIBUTING.md).
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { schemaStatements } from "./schema.ts";

export type { Miniflare };

/**
 * The Workers of one process, in the options of Miniflare 4, which wrangler's configuration has,
 * too.
 */
type Options = Parameters<typeof convertV4MiniflareOptions>[0];

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

/**
 * Start Workers on 127.0.0.1; wait for `ready` before use. Logs only errors, and sends nothing
 * outside this machine.
 */
export function startMiniflare(options: Options): Miniflare {
  const quiet = { host: "127.0.0.1", log: new Log(LogLevel.ERROR), logRequests: false, cf: false } as const;
  return new Miniflare(convertV4MiniflareOptions({ ...quiet, telemetry: { enabled: false }, ...options }));
}

/** Create the tables of the history in the D1 of a Worker, as the migrations of a deployment do. */
export async function applySchema(miniflare: Miniflare, worker?: string): Promise<void> {
  const database = await miniflare.getD1Database("HISTORY", worker);
  for (const statement of schemaStatements()) await database.prepare(statement).run();
}
