/**
 * The manager with its isolate metered. It serves what the manager serves, and carries out orders
 * under `/counted`. All its objects run in this isolate, so the meter sees all of them.
 */
import worker, { TaskDO, WorkerRegistry } from "../../../src/index.ts";
import type { Env } from "../../../src/rpc/env.ts";
import { registryStub, taskStub } from "../../../src/rpc/stubs.ts";
import type { Task } from "../../../src/protocol/task.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { TaskRpc } from "../../../src/rpc/task.ts";
import { rowsWritten } from "../counts.ts";
import type { Claims, CountedOrder } from "../order.ts";
import { idleFarm } from "./idle-farm.ts";
import { Meter } from "./meter.ts";
import { fillWith, type Filled } from "./registry-fill.ts";
import { sender } from "./sender.ts";
import { wholeTask } from "./whole-task.ts";

fillWith(WorkerRegistry.prototype);

export { TaskDO, WorkerRegistry };

let meter: Meter | undefined;
/** Worker → its live lease, by task. */
const held = new Map<string, { id: string; attempt: number; frame: number }>();
let keys = 0;

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/counted") return await worker.fetch(request, env, ctx);
    meter ??= new Meter([TaskDO, WorkerRegistry], env, Date.now());
    return Response.json(await carryOut(await request.json<CountedOrder>(), env, ctx, meter));
  },
} satisfies ExportedHandler<Env>;

async function carryOut(order: CountedOrder, env: Env, ctx: ExecutionContext, meter: Meter): Promise<unknown> {
  const adminToken = env.TABLAO_ADMIN_TOKEN!;
  const send = sender(worker, env, meter, () => ctx);
  switch (order.do) {
    case "whole task":
      meter.startClock();
      try {
        return await wholeTask({ env, meter, send, adminToken }, order.work);
      } finally {
        meter.stopClock();
      }
    case "make task": {
      const settings = { frames: `1-${order.frames}` };
      const json = { type: "demo_render", settings, chunk: 1, lease_s: 3_600 };
      const { id } = (await send("POST", "/tasks", adminToken, { json })) as Task;
      return id;
    }
    case "claims": {
      const task = taskStub(env, order.task) as unknown as TaskRpc;
      // Done once: doing it for each of ten thousand workers would take longer than the measured
      // calls.
      if (!held.has(`${order.task}/1`))
        for (let worker = 1; worker <= order.workers; worker++) await claim(task, order.task, worker);
      await meter.quiet();
      await meter.read([task]);
      for (let i = 0; i < order.claims; i++) await completeAndClaim(task, order.task, 1);
      await meter.quiet();
      return await claimsOf(meter, task);
    }
    case "make registry": {
      const registry = env.REGISTRY.getByName(order.name) as unknown as RegistryRpc & Filled;
      await registry.fill(order.tasks, order.workers);
      return null;
    }
    case "asks": {
      const registry = env.REGISTRY.getByName(order.name) as unknown as RegistryRpc;
      const caller = { role: "worker", id: 1, name: "worker:1" } as const;
      const ask = () => registry.patchWorker(1, { status: "available" }, caller, "192.0.2.1");
      // The first request loads the fleet.
      await ask();
      await meter.read([registry]);
      for (let i = 0; i < order.claims; i++) {
        const asked = await ask();
        if (!asked.ok || asked.value.task_id === null) throw new Error(`no task: ${JSON.stringify(asked)}`);
      }
      return await claimsOf(meter, registry);
    }
    case "idle":
      return await idleFarm(registryStub(env), meter, order);
  }
}

async function claimsOf(meter: Meter, object: unknown): Promise<Claims> {
  const counts = await meter.read([object]);
  return { rowsRead: counts.rowsRead, rowsWritten: rowsWritten(counts) };
}

async function claim(task: TaskRpc, id: number, worker: number): Promise<void> {
  const claimed = await task.claim({ id: worker }, claimBody());
  if (!claimed.ok || !claimed.value.lease) throw new Error(`no lease: ${JSON.stringify(claimed)}`);
  hold(id, worker, claimed.value.lease);
}

async function completeAndClaim(task: TaskRpc, id: number, worker: number): Promise<void> {
  const { id: lease, attempt, frame } = held.get(`${id}/${worker}`)!;
  const name = `frame_${String(frame).padStart(4, "0")}.png`;
  const receipts = [{ task: id, attempt, name, size: 1_000, sha256: "5a".repeat(32) }];
  const body = { attempt, done: [{ frame, seconds: 1, receipts }], next: claimBody() };
  const settled = await task.complete({ id: worker }, lease, body);
  if (!settled.ok || !settled.value.next?.lease) throw new Error(`no next lease: ${JSON.stringify(settled)}`);
  hold(id, worker, settled.value.next.lease);
}

function hold(task: number, worker: number, lease: { lease_id: string; attempt: number; frames: string }): void {
  held.set(`${task}/${worker}`, { id: lease.lease_id, attempt: lease.attempt, frame: Number(lease.frames) });
}

function claimBody() {
  return { key: `key-${String(++keys).padStart(8, "0")}`, platform: "linux" as const, epoch: Number.MAX_SAFE_INTEGER };
}
