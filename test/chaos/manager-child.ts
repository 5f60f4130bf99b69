/**
 * One manager in a process group of its own: Miniflare with the bundle that wrangler built, and its
 * workerd. `manager.ts` starts it, and kills the whole group when a run wants the runtime dead. It
 * ends when its parent does.
 */
import { readFileSync } from "node:fs";
import { COMPATIBILITY_DATE, MANAGER_OBJECTS, startMiniflare } from "../support/runtime.ts";

interface Start {
  bundle: string;
  state: string;
  port: number;
  token: string;
  offsetMs: number;
}

const start = JSON.parse(process.argv[2]!) as Start;
const manager = startMiniflare({
  port: start.port,
  modules: [{ type: "ESModule", path: "worker.js", contents: readFileSync(start.bundle, "utf8") }],
  compatibilityDate: COMPATIBILITY_DATE,
  bindings: {
    TABLAO_ADMIN_TOKEN: start.token,
    TABLAO_SIGNING_KEY: `key-of-${start.token}`,
    CHAOS_OFFSET_MS: String(start.offsetMs),
  },
  d1Databases: { HISTORY: "history" },
  r2Buckets: { FILES: "files" },
  durableObjects: MANAGER_OBJECTS,
  resourcePersistencePath: start.state,
});
process.once("disconnect", () => void manager.dispose().finally(() => process.exit(0)));
await manager.ready;
process.send?.("ready");
