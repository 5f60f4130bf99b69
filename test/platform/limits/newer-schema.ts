/**
 * A rollback over a schema step: objects whose rows a newer release has written are opened by an
 * older one. `wrangler rollback` changes the code and no data
 * (https://developers.cloudflare.com/workers/configuration/versions-and-deployments/rollbacks/).
 */
import type { Limit, LimitContext, Sql } from "./limit.ts";

/** The step that the newer release has left: a number that no release reaches. */
const NEWER_STEP = 9_999;

/** While it is switched on, objects that are constructed find a schema step that they do not know. */
export function newerSchema({ bite }: LimitContext): Limit {
  return {
    construct(sql) {
      // An object without tables holds nothing that a newer release could have written.
      if (!hasMigrations(sql)) return;
      bite();
      sql.exec("INSERT OR IGNORE INTO migrations (id, applied_ms) VALUES (?, 0)", NEWER_STEP);
    },
  };
}

/** The release that knows the step is deployed again: take the step out of an object's database. */
export function forgetNewerSchema(sql: Sql): void {
  if (hasMigrations(sql)) sql.exec("DELETE FROM migrations WHERE id = ?", NEWER_STEP);
}

function hasMigrations(sql: Sql): boolean {
  const tables = sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'migrations'");
  return tables.toArray().length > 0;
}
