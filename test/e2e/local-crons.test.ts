/** The crons of a local manager run in its own process: no address triggers them. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { workerBuild } from "../../src/launcher/build-worker.ts";
import { serve, type LocalManager } from "../../src/launcher/serve.ts";
import { SWEEP_CRON, WATCH_CRON } from "../../src/protocol/constants.ts";
import { CHECKOUT } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";

async function start(migrate: boolean): Promise<LocalManager> {
  execFileSync(process.execPath, [path.join(CHECKOUT, "src/launcher/build-worker.ts")]);
  const folder = temporaryFolder("crons");
  const address = `127.0.0.1:${await freePort()}`;
  const manager = await serve({
    build: workerBuild().file,
    address,
    url: `http://${address}`,
    storage: path.join(folder.path, "v3"),
    secrets: {
      TABLAO_ADMIN_TOKEN: "test-admin-token-7fQx2LmV9cTzRk4wNbHs",
      TABLAO_SIGNING_KEY: "test-signing-key-7fQx2LmV9cTzRk4wNbHs",
    },
    migrate,
  });
  onTestFinished(async () => {
    await manager.stop();
    folder.remove();
  });
  return manager;
}

test("P13: each trigger of a local manager runs the manager's job", async () => {
  const manager = await start(true);
  expect(manager.applied).toContain("0001_history.sql");
  for (const cron of [WATCH_CRON, SWEEP_CRON, "daily"]) await manager.trigger(cron);
});

test("a trigger whose job fails says so", async () => {
  const manager = await start(false);
  await expect(manager.trigger(SWEEP_CRON)).rejects.toThrow("no such table");
});
