/** Two real agents that share what only one of them may have. */
import { cpSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanEnvironment, startChild, type Child } from "../support/child.ts";
import { startAgent, startManager, submit, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { until } from "../support/wait.ts";

const TABLAO = path.resolve(import.meta.dirname, "../../src/cli/tablao.js");

let manager: Manager;
beforeAll(async () => {
  manager = await startManager();
});
afterAll(async () => {
  await manager.stop();
});

/** An agent that registers nothing new: it has an identity, or it is refused. */
function startAs(name: string, stateDir: string, ...args: string[]): Child {
  const all = [TABLAO, "worker", "--name", name, "--state-dir", stateDir, ...args];
  return startChild(process.execPath, all, { env: cleanEnvironment({ HOME: stateDir }) });
}

/** A copy of the folder as another machine has it, where no process of the first one runs. */
function copyOf(stateDir: string): string {
  const copy = path.join(testFolder("copy"), "state");
  cpSync(stateDir, copy, { recursive: true });
  for (const name of readdirSync(copy)) if (name.endsWith(".lock")) rmSync(path.join(copy, name));
  return copy;
}

test("P9: a cloned machine's agent is told what to do, waits, and is the worker when the first has ended", async () => {
  const first = await startAgent(manager, { name: "cloned" });
  const second = startAs("cloned", copyOf(first.stateDir));
  const said = (): string => second.stdout() + second.stderr();
  await until(() => said().includes("another agent is at work") || undefined, { what: "the second is told" });
  expect(said()).toMatch(new RegExp(`as worker ${first.id}: .*remove \\S+cloned\\.json here and start once with`));

  const listed = await tablao(manager, "workers");
  expect(listed.stderr).toMatch(new RegExp(`worker ${first.id}: Another agent with this worker's identity asks from`));

  const task = await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-12");
  await untilStatus(manager, task, ["completed"]);
  expect(await taskOf(manager, task)).toMatchObject({ errors: 0, lost: 0, frames: { done: 12 } });
  // It waits, and each of its tries is no line.
  expect(said().match(/another agent/g)).toHaveLength(1);
  expect(first.said()).not.toContain("no connection");

  await first.stop();
  await until(() => said().includes(`signed in as worker ${first.id}`) || undefined, { what: "the second signs in" });
  await second.end("SIGTERM");
});
