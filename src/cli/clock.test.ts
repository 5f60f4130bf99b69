/** Ages and spans are counted by the manager's clock, whatever this machine's clock says. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { z } from "zod";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { taskOf } from "../../test/support/task.ts";
import { WORKER_VIEW } from "../../test/support/worker-view.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { program } from "./main.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TOKEN = { id: 1, role: "viewer", name: "ana", tags: [], created_ms: 0, uses_left: null, revoked: false };

let manager: FakeManager;
let managerMs: number;
let written: string;

beforeEach(async () => {
  manager = await FakeManager.start();
  written = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => (written += String(text)) !== "");
  const summary = (id: number, endedMs: number) =>
    taskOf({ id, type: "print_string", owner: "ana", created_ms: endedMs, updated_ms: endedMs, ended_ms: endedMs });
  const answers: Record<string, () => object> = {
    "/auth/access": () => ({ access_token: "a", expires_ms: managerMs + 60_000, expires_in_ms: 60_000 }),
    "/workers": () => ({ h: { ...WORKER_VIEW, last_seen_ms: managerMs - 2 * HOUR, connection: "offline" } }),
    "/tasks": () => ({ tasks: [1, 2].map((id) => summary(id, managerMs - id * 2 * HOUR)), cursor: null }),
    "/tokens": () => ({ tokens: [{ ...TOKEN, expires_ms: managerMs + HOUR, last_used_ms: managerMs - 2 * HOUR }] }),
    "/auth/session": () => ({ role: "admin", name: "admin", owner: "admin", task_id: null, expires_ms: null }),
    "/history": () => ({ events: [], cursor: null }),
  };
  manager.handlers.unshift(({ path: asked }) => {
    const json = answers[asked.split("?")[0]!]?.();
    return json && { status: 200, json, headers: { date: new Date(managerMs).toUTCString() } };
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await manager.stop();
});

async function run(...args: string[]): Promise<string> {
  written = "";
  await program().parseAsync(["--manager", manager.url, "--token", "s", ...args], { from: "user" });
  return written;
}

test.each([
  ["three days behind", -3 * DAY],
  ["three days ahead", 3 * DAY],
  ["right", 0],
])("of a manager whose clock is %s, as this machine sees it", async (_, aheadMs) => {
  managerMs = Math.floor((Date.now() + aheadMs) / 1_000) * 1_000;
  expect(await run("workers")).toMatch(/offline +- +2 h /);
  expect(await run("tasks")).toMatch(/2 h.*\n.*4 h/s);
  expect(await run("token", "list")).toMatch(/viewer +works .* 2 h /);
  expect(await run("prune", "--older-than", "3h", "--dry-run")).toMatch(/ 4 h .*1 task .*would be deleted/s);
  await run("history", "--since", "1h");
  const { searchParams } = new URL(manager.to(/^\/history/).at(-1)!.path, manager.url);
  expect(Math.abs(Number(searchParams.get("since")) - (managerMs - HOUR))).toBeLessThan(HOUR / 2);
});

test("an answer without a time leaves this machine's clock, and a second more or less does, too", async () => {
  const client = new ManagerClient({ url: manager.url, secret: "s" });
  for (const aheadMs of [0, 1_500, -1_500]) {
    managerMs = Date.now() + aheadMs;
    await client.call(z.unknown(), "GET", "/history");
    const before = Date.now();
    expect(client.nowMs()).toBeGreaterThanOrEqual(before);
    expect(client.nowMs()).toBeLessThanOrEqual(Date.now());
  }
});

test("no command counts by this machine's clock", () => {
  const folder = import.meta.dirname;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /(?<!\.test)\.ts$/.test(name),
  );
  expect(files.length).toBeGreaterThan(30);
  const counting = files.filter((name) =>
    /Date\.now\(\)|new Date\(\)/.test(readFileSync(path.join(folder, name), "utf8")),
  );
  expect(counting).toEqual([]);
});
