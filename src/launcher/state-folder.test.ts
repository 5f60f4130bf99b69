import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { adminToken, lockStateFolder } from "./state-folder.ts";

const folder = temporaryFolder("state");
let older: ChildProcess | undefined;
afterAll(() => {
  older?.kill("SIGKILL");
  folder.remove();
});

test("a manager of release 9991c53, which locks lock.sqlite, keeps its state folder while it runs", async () => {
  const file = path.join(folder.path, "lock.sqlite");
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const lock = new DatabaseSync(process.argv[1], { timeout: 0 });
    lock.exec("BEGIN EXCLUSIVE");
    console.log("locked");
    setInterval(() => lock.isOpen, 1_000);`;
  older = spawn(process.execPath, ["--no-warnings", "-e", script, file], { stdio: ["ignore", "pipe", "inherit"] });
  await once(older.stdout!, "data");
  // It writes manager.json only when it serves, so there is none yet.
  expect(await lockStateFolder(folder.path)).toBeUndefined();
  expect(existsSync(file)).toBe(true);

  const ended = once(older, "exit");
  older.kill("SIGKILL");
  await ended;
  // What it left is no reason to refuse, whoever has its process id now.
  const record = { url: "http://127.0.0.1:1", token: "t", pid: process.pid, state: folder.path, started_ms: 1 };
  writeFileSync(path.join(folder.path, "manager.json"), JSON.stringify(record));
  const state = await lockStateFolder(folder.path);
  expect(state?.path).toBe(folder.path);
  expect(existsSync(file)).toBe(false);
  expect(await lockStateFolder(folder.path)).toBeUndefined();
  state?.release();
});

test.runIf(process.platform !== "win32")(
  "P9: a state folder that others could read is private from now on",
  async () => {
    const open = path.join(folder.path, "open");
    mkdirSync(open);
    chmodSync(open, 0o755);
    const state = await lockStateFolder(open);
    expect(statSync(open).mode & 0o777).toBe(0o700);
    state?.release();
  },
);

test.runIf(process.platform !== "win32")(
  "a folder of all accounts, as /tmp, is refused and left as it is",
  async () => {
    const shared = path.join(folder.path, "shared");
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    await expect(lockStateFolder(shared)).rejects.toThrow("shared by all accounts");
    expect(statSync(shared).mode & 0o7777).toBe(0o1777);
  },
);

test("P9: an admin token that can be guessed is refused, given or kept by an earlier release", async () => {
  const state = (await lockStateFolder(path.join(folder.path, "weak")))!;
  const file = state.file("admin-token");
  expect(() => adminToken(state, "a")).toThrow(/TABLAO_ADMIN_TOKEN is too easy to guess.*openssl rand -hex 32/);
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, "hunter2\n", { mode: 0o600 });
  expect(() => adminToken(state, undefined)).toThrow(`the admin token in ${file} is too easy to guess`);
  expect(readFileSync(file, "utf8")).toBe("hunter2\n");
  rmSync(file);
  const made = adminToken(state, undefined);
  expect(adminToken(state, undefined)).toBe(made);
  state.release();
});
