/** Installed agents renew themselves with the program that their manager serves. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programFileName, PROGRAM_NAME } from "../../src/protocol/program.ts";
import { startChild, type Child } from "../support/child.ts";
import { CHECKOUT, endFarm, startManager, submit, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { eventsThrough, framesIn, range } from "../support/history.ts";
import { until } from "../support/wait.ts";

let manager: Manager;
let served: string;
beforeAll(async () => {
  manager = await startManager();
  served = readFileSync(path.join(CHECKOUT, "public", PROGRAM_NAME), "utf8");
});
afterAll(async () => {
  await endFarm();
});

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Installed {
  child: Child;
  /** The name of the program that is started next. */
  current(): string;
  home: string;
}

/** Start an agent as the join line leaves it, with this program. */
async function startInstalled(name: string, program: string): Promise<Installed> {
  const home = testFolder("home");
  const folder = path.join(home, ".tablao/program");
  mkdirSync(folder, { recursive: true });
  const file = programFileName(hashOf(program));
  writeFileSync(path.join(folder, file), program);
  writeFileSync(path.join(folder, "current"), `${file}\n`);
  const token = (await tablao(manager, "token", "create", "--role", "join")).stdout.trim();
  const args = [path.join(folder, file), "worker", "--manager", manager.url, "--name", name];
  const env = { PATH: process.env["PATH"], HOME: home, TABLAO_JOIN: token };
  const child = startChild(process.execPath, args, { env });
  return { child, home, current: () => readFileSync(path.join(folder, "current"), "utf8").trim() };
}

test("P1, P2: ten agents renew themselves in the middle of a task; no frame is lost, none is committed twice", async () => {
  const older = `${served}\n// An older program.\n`;
  const settings = JSON.stringify({ width: 64, height: 36, delay_ms: 300 });
  const task = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    settings,
    "--frames",
    "1-600",
    "--chunk",
    "3",
  );
  const agents = await Promise.all(
    Array.from({ length: 10 }, async (_, index) => await startInstalled(`a${index}`, older)),
  );
  const newer = programFileName(hashOf(served));
  const renewed = (): Installed[] => agents.filter((agent) => agent.current() === newer);
  await until(() => renewed().length > 0, { what: "a first agent has settled" });
  const said = (): string => agents.map((agent) => agent.child.stderr()).join("\n");
  // One of ten goes first: when it has settled, no other one has begun.
  expect(said().match(/starting the new program/g)).toHaveLength(1);
  await until(() => renewed().length === 10, { what: "all agents have settled" });
  await untilStatus(manager, task, ["completed"]);
  expect(await taskOf(manager, task)).toMatchObject({ errors: 0, frames: { done: 600, failed: 0 } });
  const done = framesIn(await eventsThrough(manager, task, "completed"), "done").map(({ frame }) => frame);
  expect(done.toSorted((a, b) => a - b)).toEqual(range(1, 600));
  for (const { child } of agents) expect((await child.end("SIGTERM")).code).toBe(0);
});
