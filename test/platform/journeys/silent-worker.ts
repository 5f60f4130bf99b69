/** P5, P13: a worker goes silent with all frames of a task; another one gets them. */
import { expect } from "vitest";
import { ManagerClient } from "../../../src/client/manager-client.ts";
import { claimedSchema } from "../../../src/protocol/lease.ts";
import { workerRegisteredSchema } from "../../../src/protocol/worker.ts";
import type { Ground } from "../ground.ts";

/** The shortest lease that a task can have, in seconds. */
const LEASE_S = "5";
/** The trigger that looks after work that is under way. */
const WATCH_CRON = "*/5 * * * *";

export async function silentWorker(ground: Ground): Promise<void> {
  const { client } = ground.manager;
  const json = { hostname: "silent", system: "Linux", platform: "linux", programs: { "tablao-tool": "1" } };
  const registered = await client.call(workerRegisteredSchema, "POST", "/workers", { json });
  const { secret } = Object.values(registered)[0]!;
  const settings = JSON.stringify({ width: 16, height: 9, samples: 1 });
  const args = ["--type", "demo_render", "--settings", settings, "--frames", "1-2", "--chunk", "2"];
  const id = await ground.submit(...args, "--lease", LEASE_S);
  const silent = new ManagerClient({ url: ground.platform.url, secret: secret! });
  const claim = { key: "silent-worker", platform: "linux", epoch: 0 };
  const { lease } = await silent.call(claimedSchema, "POST", `/tasks/${id}/leases`, { json: claim });
  expect(lease?.frames).toBe("1-2");
  await ground.agent("other");
  // The platform's trigger fires every five minutes, and here with each look.
  await ground.untilCompleted(id, () => ground.platform.cron(WATCH_CRON));
}
