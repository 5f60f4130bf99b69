/**
 * The manager of a release, from its fixture, in a process of its own: Miniflare with the release's Worker.
 * `manager.ts` starts it. It ends when its parent does.
 */
import { readFileSync } from "node:fs";
import { startMiniflare } from "../../src/launcher/miniflare.ts";
import type { ManagerOfRelease } from "./release.ts";

/** What the parent gives as the first argument, as JSON. */
export interface Start {
  /** The file with the manager, as JSON. */
  manager: string;
  state: string;
  port: number;
  token: string;
}

const start = JSON.parse(process.argv[2]!) as Start;
const { script, compatibilityDate, objects, d1, r2, migrations } = JSON.parse(
  readFileSync(start.manager, "utf8"),
) as ManagerOfRelease;
const miniflare = startMiniflare({
  port: start.port,
  modules: [{ type: "ESModule", path: "worker.js", contents: script }],
  compatibilityDate,
  bindings: { TABLAO_ADMIN_TOKEN: start.token, TABLAO_SIGNING_KEY: `key-of-${start.token}` },
  d1Databases: { [d1]: "history" },
  r2Buckets: { [r2]: "files" },
  durableObjects: Object.fromEntries(
    Object.entries(objects).map(([name, className]) => [name, { className, useSQLite: true }]),
  ),
  resourcePersistencePath: start.state,
});
process.once("disconnect", () => void miniflare.dispose().finally(() => process.exit(0)));
await miniflare.ready;
const database = await miniflare.getD1Database(d1);
for (const { statements } of migrations) for (const statement of statements) await database.prepare(statement).run();
process.send?.("ready");
