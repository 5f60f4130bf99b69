/** Where a join token can be seen while the agent runs. */
import { execFileSync, spawn } from "node:child_process";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { cleanEnvironment } from "../../test/support/child.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { until } from "../../test/support/wait.ts";

const COMMAND = path.resolve(import.meta.dirname, "tablao.js");
const TOKEN = "tablao_join_0123456789abcdefghijklmnopqrstuvwxyz0123456";

let manager: FakeManager;
let folder: ReturnType<typeof temporaryFolder>;
beforeEach(async () => {
  manager = await FakeManager.start();
  folder = temporaryFolder("join");
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

test.each([
  ["--join TOKEN", ["--join", TOKEN], {}, ""],
  ["--join=TOKEN", [`--join=${TOKEN}`], {}, ""],
  ["--join -", ["--join", "-"], {}, `${TOKEN}\n`],
  ["TABLAO_JOIN", [], { TABLAO_JOIN: TOKEN }, ""],
])("P9: by %s the agent registers, and the process list does not show the token", async (_form, args, env, input) => {
  // The agent waits for the answer: this is the time in which the token would be seen.
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  manager.on("POST", /^\/workers$/, async () => {
    await held;
    return { status: 500 };
  });
  const all = [COMMAND, "worker", "--manager", manager.url, "--state-dir", folder.path, ...args];
  const child = spawn(process.execPath, all, {
    env: cleanEnvironment({ HOME: folder.path, ...env }),
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    child.stdin.end(input);
    await until(() => manager.to(/^\/workers$/).length > 0, { what: "it registers" });
    expect(manager.to(/^\/workers$/)[0]!.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(execFileSync("ps", ["-o", "args=", "-p", String(child.pid)], { encoding: "utf8" })).not.toContain(TOKEN);
  } finally {
    letGo();
    child.kill("SIGKILL");
    await ended;
  }
});

test.each([[["--token", TOKEN]], [[`--token=${TOKEN}`]]])(
  "P9: a person's token in the arguments is not in the process list: %j",
  async (given) => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    manager.on("POST", /^\/auth\/access$/, async () => {
      await held;
      return { status: 500 };
    });
    const child = spawn(process.execPath, [COMMAND, "--manager", manager.url, ...given, "tasks"], {
      env: cleanEnvironment({ HOME: folder.path }),
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    try {
      await until(() => manager.to(/^\/auth\/access$/).length > 0, { what: "it signs in" });
      expect(execFileSync("ps", ["-o", "args=", "-p", String(child.pid)], { encoding: "utf8" })).not.toContain(TOKEN);
    } finally {
      letGo();
      child.kill("SIGKILL");
      await ended;
    }
  },
);
