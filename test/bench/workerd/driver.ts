/**
 * Load from inside the runtime: calls objects over RPC as the manager's Worker does, so that
 * neither HTTP nor a client's speed is measured.
 */
import type { Complete } from "../../../src/protocol/lease.ts";
import { framesOf, parseFrameList } from "../../../src/protocol/frame-list.ts";
import type { UnsignedLease, Verified, TaskRpc } from "../../../src/rpc/task.ts";
import { REGISTRY_NAME } from "../../../src/rpc/stubs.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { Order } from "../order.ts";
import type { BareDO } from "./bare.ts";

interface Env {
  TASK: DurableObjectNamespace;
  REGISTRY: DurableObjectNamespace;
  BARE: DurableObjectNamespace<BareDO>;
}

const SHA = "5a".repeat(32);
const leases = new Map<string, UnsignedLease>();

export default {
  async fetch(request, env) {
    const order: Order = await request.json();
    return Response.json(await carryOut(order, env));
  },
} satisfies ExportedHandler<Env>;

async function carryOut(order: Order, env: Env): Promise<{ calls: number }> {
  switch (order.do) {
    case "claim": {
      const each = Array.from({ length: order.workers }, async (_, worker) => {
        const claimed = await taskOf(env, order.task).claim({ id: worker + 1 }, claimBody());
        if (!claimed.ok || !claimed.value.lease) throw new Error(`no first lease: ${JSON.stringify(claimed)}`);
        leases.set(`${order.task}/${worker}`, claimed.value.lease);
      });
      await Promise.all(each);
      return { calls: order.workers };
    }
    case "cycle": {
      const each = Array.from({ length: order.workers }, async (_, worker) => {
        for (let i = 0; i < order.cycles; i++) await cycle(env, order.task, worker);
      });
      await Promise.all(each);
      return { calls: order.workers * order.cycles };
    }
    case "ask": {
      const each = order.workers.map(async (worker) => {
        for (let i = 0; i < order.calls; i++) await ask(env, worker);
      });
      await Promise.all(each);
      return { calls: order.workers.length * order.calls };
    }
    case "bare": {
      // The work of a worker for its next call is not the object's: it is done on both sides.
      const lease = leases.values().next().value;
      const each = Array.from({ length: order.callers }, async () => {
        for (let i = 0; i < order.calls; i++) {
          if (lease) completion(lease);
          await env.BARE.getByName("bare").write(order.text);
        }
      });
      await Promise.all(each);
      return { calls: order.callers * order.calls };
    }
  }
}

/** The call of a worker that completes its lease and asks for the next. */
function completion(lease: UnsignedLease): Verified<Complete> {
  const list = parseFrameList(lease.frames);
  if (!list.ok) throw new Error(list.error);
  const done = [...framesOf(list.value)].map((frame) => {
    const name = lease.plan.outputs.find((output) => output.frame === frame)!.name;
    const receipt = { task: lease.task_id, attempt: lease.attempt, name, size: 20_000 + frame, sha256: SHA };
    return { frame, seconds: 1.5, receipts: [receipt] };
  });
  return { attempt: lease.attempt, done, next: claimBody() };
}

async function cycle(env: Env, task: number, worker: number): Promise<void> {
  const seat = `${task}/${worker}`;
  const lease = leases.get(seat)!;
  const settled = await taskOf(env, task).complete({ id: worker + 1 }, lease.lease_id, completion(lease));
  if (!settled.ok || !settled.value.next?.lease) throw new Error(`no next lease: ${JSON.stringify(settled)}`);
  leases.set(seat, settled.value.next.lease);
}

/** The task that each worker was assigned last. */
const given = new Map<number, number>();

async function ask(env: Env, worker: number): Promise<void> {
  const registry = env.REGISTRY.getByName(REGISTRY_NAME) as unknown as RegistryRpc;
  const last = given.get(worker);
  const refused = last === undefined ? {} : { refused: { task_id: last, retry_after_ms: 1 } };
  const caller = { role: "worker", id: worker, name: `worker:${worker}` } as const;
  const asked = await registry.patchWorker(worker, { status: "available", ...refused }, caller, "192.0.2.1");
  if (!asked.ok || asked.value.task_id === null) throw new Error(`no task: ${JSON.stringify(asked)}`);
  given.set(worker, asked.value.task_id);
}

function taskOf(env: Env, id: number): TaskRpc {
  return env.TASK.getByName(String(id)) as unknown as TaskRpc;
}

function claimBody() {
  return { key: crypto.randomUUID(), platform: "linux" as const, epoch: 0 };
}
