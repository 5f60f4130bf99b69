/** What a manager of an earlier release does not know is not sent to it. */
import { healthSchema } from "../protocol/health.ts";
import { isAtLeast } from "../protocol/version.ts";
import type { CallOptions, ManagerClient } from "./manager-client.ts";

/** Whether the manager is of this release or a later one. Throws `ManagerError`. */
export async function isManagerSince(
  client: ManagerClient,
  since: string,
  options: Pick<CallOptions, "signal" | "retryForMs" | "onRetry"> = {},
): Promise<boolean> {
  const { version } = await client.call(healthSchema, "GET", "/healthz", options);
  return isAtLeast(version, since);
}
