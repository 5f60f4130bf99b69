/**
 * Miniflare: workerd with local storage, without wrangler's development server. Its version must be
 * exactly the one that wrangler and the test plugin depend on, so that all run the same workerd
 * (CONTRIBUTING.md).
 */
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, type V4MiniflareOptions } from "miniflare";

export type { Miniflare };

/**
 * Start Workers on 127.0.0.1; wait for `ready` before use. The options are those of Miniflare 4,
 * which wrangler's configuration has, too. Logs only errors, opens no inspector and
 * no debug port, and sends nothing outside this machine.
 */
export function startMiniflare(options: V4MiniflareOptions): Miniflare {
  const quiet = { host: "127.0.0.1", log: new Log(LogLevel.ERROR), logRequests: false, cf: false } as const;
  return new Miniflare(convertV4MiniflareOptions({ ...quiet, telemetry: { enabled: false }, ...options }));
}
