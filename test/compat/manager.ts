/** The manager of a release as a test sees it: an address, a token and a client. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ManagerClient } from "../../src/client/manager-client.ts";
import type { Manager } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { HANG_MS } from "../support/wait.ts";
import type { Start } from "./manager-child.ts";
import type { Release } from "./release.ts";

/** As much of a manager as tests with a release use. */
export interface ReleaseManager extends Pick<Manager, "url" | "token" | "client"> {
  /** End it, and remove what it stored. */
  stop(): Promise<void>;
}

/** Start the manager of a release with an empty state, and wait until it serves. */
export async function startReleaseManager(release: Release): Promise<ReleaseManager> {
  const folder = temporaryFolder("release-manager");
  const log = path.join(folder.path, "manager.log");
  const file = path.join(folder.path, "manager.json");
  writeFileSync(file, JSON.stringify(release.manager));
  const token = `test-${randomBytes(16).toString("hex")}`;
  const port = await freePort();
  const start: Start = { manager: file, state: path.join(folder.path, "state"), port, token };
  const args = ["--no-warnings", path.join(import.meta.dirname, "manager-child.ts"), JSON.stringify(start)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
  const keep = (data: Buffer): void => appendFileSync(log, data);
  child.stdout!.on("data", keep);
  child.stderr!.on("data", keep);
  const serves = new Promise<boolean>((resolve) => child.once("message", () => resolve(true)));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  if (!(await Promise.race([serves, ended.then(() => false)])))
    throw new Error(`the manager ended: ${existsSync(log) ? readFileSync(log, "utf8").slice(-1_000) : ""}`);
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    token,
    client: new ManagerClient({ url, secret: token, retryForMs: HANG_MS }),
    stop: async () => {
      if (child.connected) child.disconnect();
      await ended;
      folder.remove();
    },
  };
}
