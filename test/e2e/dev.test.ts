/**
 * `npm run dev` still works, and a state folder goes from `wrangler dev` to `npm start` and back
 * with nothing lost: releases before 0.2 served with `wrangler dev`.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { ManagerClient } from "../../src/client/manager-client.ts";
import { historyPageSchema, type HistoryEvent } from "../../src/protocol/history.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import { CHECKOUT, endFarm, startAgent, startManager, submit, tablao, taskOf, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { HANG_MS, until } from "../support/wait.ts";

afterAll(endFarm);

const WRANGLER = path.join(
  path.dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
  "wrangler-dist/cli.js",
);

test("npm run dev serves and renders; npm start on its state has the same task, file and history", async () => {
  const state = path.join(testFolder("state"), "state");
  const token = `test-${randomBytes(16).toString("hex")}`;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const client = new ManagerClient({ url, secret: token, retryForMs: HANG_MS });
  const dev = startChild(process.execPath, [path.join(CHECKOUT, "src/launcher/dev.ts"), "--inspector-port=0"], {
    cwd: CHECKOUT,
    env: cleanEnvironment({ PORT: String(port), TABLAO_STATE: state, TABLAO_ADMIN_TOKEN: token }),
  });
  const isHealthy = async (): Promise<true | undefined> => {
    if (!dev.running()) throw new Error(`npm run dev ended: ${dev.stdout()}${dev.stderr()}`);
    return (await fetch(`${url}/healthz`).catch(() => undefined))?.status === 200 ? true : undefined;
  };
  await until(isHealthy, { what: "wrangler dev answers /healthz" });
  const manager = { url, token, client };
  const agent = await startAgent(manager);
  const text = await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-3");
  const picture = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    '{"width":16,"height":16}',
    "--frames",
    "1",
  );
  for (const id of [text, picture]) await untilStatus(manager, id, ["completed"]);
  const eventsOf = async (): Promise<HistoryEvent[]> =>
    (await client.call(historyPageSchema, "GET", `/history?task_id=${picture}`)).events;
  const isTold = async (): Promise<boolean> => (await eventsOf()).some(({ kind }) => kind === "completed");
  await until(async () => (await isTold()) || undefined, { what: "the history is written" });
  await agent.stop();
  const seen = {
    tasks: await Promise.all([text, picture].map((id) => taskOf(manager, id))),
    events: await eventsOf(),
    file: await (await client.send("GET", `/tasks/${picture}/frames/1/file`)).bytes(),
  };
  expect(seen.file.length).toBeGreaterThan(0);
  await dev.end("SIGTERM");

  const started = await startManager({ state, port, token });
  const now = {
    tasks: await Promise.all([text, picture].map((id) => taskOf(started, id))),
    events: await eventsOf(),
    file: await (await client.send("GET", `/tasks/${picture}/frames/1/file`)).bytes(),
  };
  expect(now).toEqual(seen);
  expect(readFileSync(path.join(state, "manager.log"), "utf8")).not.toContain("migrations applied");
  const download = await tablao(started, "download", String(picture), testFolder("download"));
  expect([download.code, download.stderr]).toEqual([0, ""]);
  await started.stop();
});

test("wrangler finds the migrations applied that npm start has applied", async () => {
  const manager = await startManager();
  expect(readFileSync(path.join(manager.state, "manager.log"), "utf8")).toContain("migrations applied: 0001_");
  await manager.stop();
  const args = [
    "--no-warnings",
    WRANGLER,
    "d1",
    "migrations",
    "apply",
    "HISTORY",
    "--local",
    "--persist-to",
    manager.state,
  ];
  const env = cleanEnvironment({ CI: "1", WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false" });
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: CHECKOUT, env });
  expect(stdout).toContain("No migrations to apply");
});
