/**
 * P2, P5: the agent is killed and its renderer is a wrapper script whose processes leave its group, its
 * session and its environment. None of them works on.
 */
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readProcessStat } from "../../src/client/process-stat.ts";
import { standInBlender } from "../support/fake-blender.ts";
import { endFarm, startAgent, startManager, submit, untilStatus, type Agent, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { isRunning, renderersOf } from "../support/renderers.ts";
import { STRAYS, strays, straysScript, strayToken } from "../support/strays.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

let manager: Manager;
beforeAll(async () => {
  manager = await startManager();
});
afterAll(endFarm);

/** A wrapper of a Blender. It leaves strays and waits for them, or renders when there is `<folder>/go`. */
function wrapper(folder: string, token: string): string {
  const blender = standInBlender(path.join(folder, "real"), "4.2.0");
  const file = path.join(folder, "blender-wrapper");
  writeFileSync(
    file,
    `#!/bin/sh
if [ "$1" = --version ] || [ -e '${folder}/go' ]; then exec '${blender}' "$@"; fi
${straysScript(token)}
wait
`,
  );
  chmodSync(file, 0o755);
  return file;
}

/** An agent that renders by the wrapper, and the process group of the render. */
async function renderingAgent(name: string): Promise<Started> {
  const folder = testFolder(name);
  const token = strayToken();
  const args = ["--blender", wrapper(folder, token)];
  const stateDir = path.join(folder, "state");
  const agent = await startAgent(manager, { name, stateDir, args });
  const scene = path.join(folder, "scene.blend");
  writeFileSync(scene, testScene({ version: "4.2" }));
  const task = await submit(manager, scene, "--frames", "1-2", "--lease", "5");
  await until(() => strays(token).length === STRAYS, { what: "the renderer runs" });
  const [group] = renderersOf(agent);
  return { folder, token, args, stateDir, agent, task, group: group! };
}
interface Started {
  folder: string;
  token: string;
  args: string[];
  stateDir: string;
  agent: Agent;
  task: number;
  group: number;
}

function supervisorOf(agent: Agent): number {
  const pids = readdirSync("/proc").filter((name) => readProcessStat(name)?.parent === agent.child.pid);
  const found = pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("tablao supervisor"));
  if (found === undefined) throw new Error("the agent has no supervisor");
  return Number(found);
}

test("P2: kill -9 of the agent alone: its renderer and all that it has started is gone, and the next start renders", async () => {
  const { folder, token, args, stateDir, agent, task, group } = await renderingAgent("wrapped");
  expect(isRunning(group)).toBe(true);
  await agent.kill();
  await until(() => strays(token).length === 0 && !isRunning(group), { what: "all are gone", everyMs: 20 });

  writeFileSync(path.join(folder, "go"), "");
  await startAgent(manager, { name: "wrapped", stateDir, args });
  expect((await untilStatus(manager, task, ["completed", "failed"])).status).toBe("completed");
});

test("P2: kill -9 of the agent and of its supervisor: the next start ends all of them before it takes work", async () => {
  const { folder, token, args, stateDir, agent, task, group } = await renderingAgent("twice");
  // Stopped first, so that it starts no other supervisor.
  agent.child.process.kill("SIGSTOP");
  process.kill(supervisorOf(agent), "SIGKILL");
  await agent.kill();
  expect(strays(token)).toHaveLength(STRAYS);
  expect(isRunning(group)).toBe(true);

  writeFileSync(path.join(folder, "go"), "");
  const after = await startAgent(manager, { name: "twice", stateDir, args });
  // The manager may not have noticed that it was away.
  await until(() => after.said().includes("signed in"), { what: "it is back", everyMs: 20 });
  expect(after.said()).toContain("lease folders that an earlier run left behind");
  expect(strays(token)).toEqual([]);
  expect(isRunning(group)).toBe(false);
  expect((await untilStatus(manager, task, ["completed", "failed"])).status).toBe("completed");
});

test("P5: Ctrl-C twice ends them with the agent, and its supervisor ends", async () => {
  const { token, agent, group } = await renderingAgent("hasty");
  const supervisor = supervisorOf(agent);
  agent.child.process.kill("SIGINT");
  await until(() => agent.said().includes("stopping"), { what: "it has heard", everyMs: 10 });
  expect(await agent.child.end("SIGINT")).toEqual({ code: 0, signal: null });
  expect(strays(token)).toEqual([]);
  expect(isRunning(group)).toBe(false);
  await until(() => readProcessStat(supervisor)?.ended !== false, { what: "the supervisor is gone" });
});
