/**
 * The processes that an agent runs: to kill a machine as a whole, and to see that none outlives its
 * lease.
 */
import { readdirSync } from "node:fs";
import { groupMembers, signalGroup } from "../../src/client/process-group.ts";
import { readProcessStat } from "../../src/client/process-stat.ts";
import type { Agent } from "./farm.ts";

/**
 * Process groups of the renderers of this agent: children that lead a group of their own and work
 * on a lease.
 */
export function renderersOf(agent: Agent): number[] {
  if (process.platform !== "linux") throw new Error("these tests look into /proc: they run on Linux");
  const groups: number[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const stat = readProcessStat(pid);
    if (stat?.parent !== agent.child.pid || stat.group !== Number(pid)) continue;
    if (groupMembers(stat.group).some(({ command }) => /--render-frame|demo-renderer/.test(command)))
      groups.push(stat.group);
  }
  return groups;
}

/** Whether a process of the group still runs. */
export function isRunning(group: number): boolean {
  return groupMembers(group).length > 0;
}

/** As if the machine lost its power: SIGKILL to the agent and to all that it runs. */
export async function killMachine(agent: Agent): Promise<void> {
  // Stopped first, so that it cannot start a renderer while we list them.
  agent.child.process.kill("SIGSTOP");
  const renderers = renderersOf(agent);
  agent.child.process.kill("SIGKILL");
  for (const group of renderers) signalGroup(group, "SIGKILL");
  await agent.child.ended;
}
