/** Bindings and secrets of the manager, as `wrangler.toml` declares them. */
import type { SigningEnv } from "../platform/signing-key.ts";

export interface Env extends SigningEnv {
  TASK: DurableObjectNamespace;
  REGISTRY: DurableObjectNamespace;
  /** Where objects are created (`location.ts`). Unset: near whoever calls them first. */
  TABLAO_LOCATION?: string;
  HISTORY: D1Database;
  FILES: R2Bucket;
  /** The files of the page; absent in tests of the Worker alone. */
  ASSETS?: Fetcher;
}
