/**
 * A whole task from submission to its last alarm, as real agents do it, through the manager's own
 * Worker. The clock is the meter's: a night of rendering passes in seconds, and every count is the
 * same each time.
 */
import type { Env } from "../../../src/rpc/env.ts";
import { registryStub, taskStub } from "../../../src/rpc/stubs.ts";
import type { Task } from "../../../src/protocol/task.ts";
import type { TaskCounts, WholeTask } from "../counts.ts";
import type { Meter } from "./meter.ts";
import { SimulatedAgent, type Send } from "./simulated-agent.ts";

/**
 * An alarm later than this after everything else has ended (a week's sweep) does not belong to the
 * task.
 */
const OVER_AFTER_MS = 600_000;

export interface Farm {
  env: Env;
  meter: Meter;
  /** One request to the manager's Worker; throws when it is refused. */
  send: Send;
  adminToken: string;
}

/** Register agents, submit the task, and run it to its end. */
export async function wholeTask({ env, meter, send, adminToken }: Farm, work: WholeTask): Promise<TaskCounts> {
  const { frames, chunk } = work;
  const agents: SimulatedAgent[] = [];
  for (let n = 1; n <= work.workers; n++)
    agents.push(await SimulatedAgent.join(send, adminToken, meter, { ...work, name: `box-${n}` }));
  await meter.quiet();
  await meter.read([registryStub(env)]);

  const beganMs = meter.nowMs;
  const settings = { frames: `1-${frames}` };
  const task = (await send("POST", "/tasks", adminToken, { json: { type: "demo_render", settings, chunk } })) as Task;
  const objects = [taskStub(env, task.id), registryStub(env)];
  for (const agent of agents) agent.called();
  for (;;) {
    await meter.quiet();
    const alarms = await Promise.all(objects.map((object) => meter.ring(object)));
    await meter.quiet();
    const nextMs = Math.min(...agents.map((agent) => agent.dueMs), ...alarms.map((atMs) => atMs ?? Infinity));
    if (agents.every((agent) => agent.dueMs === Infinity) && !(nextMs < meter.nowMs + OVER_AFTER_MS)) break;
    meter.nowMs = Math.max(meter.nowMs, nextMs);
    for (const agent of agents) {
      if (agent.dueMs > meter.nowMs) continue;
      await agent.step();
      await meter.quiet();
    }
  }
  const counts = await meter.read(objects);
  const tookMs = meter.nowMs - beganMs;
  const ended = (await send("GET", `/tasks/${task.id}`, adminToken)) as Task;
  if (ended.status !== "completed" || ended.frames.done !== frames)
    throw new Error(`the task did not end well: ${JSON.stringify(ended.frames)}`);
  return { counts, leases: agents.reduce((sum, agent) => sum + agent.leases, 0), tookMs };
}
