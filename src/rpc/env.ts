/** Bindings and secrets of the manager, as `wrangler.toml` declares them. */
import type { SigningEnv } from "../platform/signing-key.ts";

export interface Env extends SigningEnv {
  TASK: DurableObjectNamespace;
  REGISTRY: DurableObjectNamespace;
  /** Where objects are created (`location.ts`). Unset: near whoever calls them first. */
  TABLAO_LOCATION?: string;
  HISTORY: D1Database;
  FILES: R2Bucket;
  /**
   * Reaches public addresses only, wherever a name leads. Only a local manager has it: on Cloudflare, the
   * global `fetch` does so.
   */
  PUBLIC_NETWORK?: Fetcher;
  /** The files of the page; absent in tests of the Worker alone. */
  ASSETS?: Fetcher;
}
