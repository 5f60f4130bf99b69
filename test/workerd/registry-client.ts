/**
 * A registry of its own for a test, and what its callers send: reports of tasks, registrations,
 * sockets.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { TaskSummary } from "../../src/protocol/task.ts";
import type { Principal, TokenCreate } from "../../src/protocol/token.ts";
import type { Push, WorkerPatch, WorkerPatched, WorkerRegister } from "../../src/protocol/worker.ts";
import type { RegistryRpc, TaskReport } from "../../src/rpc/registry.ts";
import type { WorkerRegistry } from "../../src/registry/worker-registry.ts";
import type { Needs } from "../../src/protocol/needs.ts";
import { rowsWhile, type Rows } from "./statements.ts";
import { until } from "./wait.ts";

export const ADMIN: Principal = { role: "admin", id: 0, name: "admin" };

/** A stub for the runtime's helpers, with the methods as the contract types them. */
// oxlint-disable-next-line typescript/no-redundant-type-constituents -- the linter does not see the runtime's types here
export type Registry = DurableObjectStub<WorkerRegistry> & RegistryRpc;

/** Numbers the registries: each test gets a fresh one, which shares no state with another. */
let count = 0;
export function newRegistry(): Registry {
  return env.REGISTRY.getByName(`registry-of-test-${++count}`) as unknown as Registry;
}

/** The same registry, evicted from memory before every call; its sockets hibernate. */
export function evicting(stub: DurableObjectStub<WorkerRegistry>): RegistryRpc {
  return new Proxy(stub, {
    get:
      (_target, method) =>
      async (...args: unknown[]) => {
        // Called first, because only an object that runs can be evicted.
        await runInDurableObject(stub, () => {});
        await evictDurableObject(stub);
        return await (stub as unknown as Record<string | symbol, (...args: unknown[]) => Promise<unknown>>)[method]!(
          ...args,
        );
      },
  }) as unknown as RegistryRpc;
}

export function joinToken(change: Partial<TokenCreate> = {}): TokenCreate {
  return { role: "join", name: "tonight", tags: [], ...change };
}

export function machine(hostname: string, change: Partial<WorkerRegister> = {}): WorkerRegister {
  return { hostname, system: "Linux 6.1", programs: { blender: "3.4.1" }, ...change };
}

/** Register a worker as admin. */
export async function newWorker(
  registry: RegistryRpc,
  hostname: string,
  change: Partial<WorkerRegister> = {},
): Promise<{ id: number; secret: string }> {
  const registered = await registry.registerWorker(machine(hostname, change), ADMIN, "192.0.2.1");
  if (!registered.ok) throw new Error(registered.error.detail);
  return { id: registered.value.worker.id, secret: registered.value.secret! };
}

/** PATCH by the worker itself. */
export async function patch(registry: RegistryRpc, id: number, body: WorkerPatch): Promise<WorkerPatched> {
  const patched = await registry.patchWorker(id, body, { role: "worker", id, name: `worker:${id}` }, "192.0.2.1");
  if (!patched.ok) throw new Error(patched.error.detail);
  return patched.value;
}

/** The task that a worker gets when it asks. */
export async function ask(registry: RegistryRpc, id: number): Promise<number | null> {
  return (await patch(registry, id, { status: "available" })).task_id;
}

export const BLENDER: Needs = {
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
};

let version = 0;

/** A task's report; its version is newer than those of all reports before. */
export function report(
  id: number,
  change: Partial<TaskReport> & { priority?: number; task?: Partial<TaskSummary> } = {},
): TaskReport {
  const { priority = 50, task, ...rest } = change;
  const summary: TaskSummary = {
    id,
    worker_id: 0,
    priority,
    frame_start: 1,
    frame_end: 10,
    frame_current: 1,
    status: "queued",
    format: "PNG",
    name: "shot",
    type: "blender_render",
    parser: "blender_render",
    owner: "ada",
    task_id: null,
    frames: { total: 10, pending: 10, leased: 0, done: 0, failed: 0, skipped: 0 },
    error: null,
    created_ms: 1,
    updated_ms: 1,
    seconds: 0,
    errors: 0,
    lost: 0,
    eta: null,
    ...task,
  };
  return {
    version: ++version,
    summary,
    needs: BLENDER,
    claimable: 10,
    live_workers: [],
    kept_off: [],
    tally: { done: 0, errors: 0, lost: 0, seconds: 0 },
    gone: false,
    ...rest,
  };
}

/** A worker's socket and the messages it has received. */
export interface WorkerSocket {
  socket: WebSocket;
  pushes: (Push | string)[];
  closed: { code: number; reason: string } | null;
  /** Wait until `count` messages have come. */
  received(count: number): Promise<(Push | string)[]>;
}

export async function connect(
  registry: DurableObjectStub<WorkerRegistry>,
  worker: number,
  instance?: string,
): Promise<WorkerSocket> {
  const headers = {
    Upgrade: "websocket",
    "Tablao-Worker-Id": String(worker),
    "Tablao-Worker-Address": "192.0.2.22",
    ...(instance !== undefined && { "Tablao-Instance": instance }),
  };
  const response = await registry.fetch(`https://farm.example/workers/${worker}/socket`, { headers });
  const socket = response.webSocket;
  if (!socket) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  const client: WorkerSocket = {
    socket,
    pushes: [],
    closed: null,
    received: async (count) => {
      await until(
        () => client.pushes.length >= count,
        () => `push ${count}, after ${JSON.stringify(client.pushes)},`,
      );
      return client.pushes;
    },
  };
  socket.addEventListener("message", ({ data }) => {
    const text = String(data);
    client.pushes.push(text.startsWith("{") ? (JSON.parse(text) as Push) : text);
  });
  socket.addEventListener("close", ({ code, reason }) => {
    client.closed = { code, reason };
  });
  socket.accept();
  return client;
}

/** Send a ping and wait for the pong: everything that was pushed before has then arrived. */
export async function pushesSoFar(client: WorkerSocket): Promise<(Push | string)[]> {
  const pongs = (): number => client.pushes.filter((push) => push === "pong").length;
  const before = pongs();
  client.socket.send("ping");
  await until(
    () => pongs() > before,
    () => "the pong",
  );
  return client.pushes.filter((push) => push !== "pong");
}

/** Rows that the SQL of an object reads and writes while `act` runs. */
export async function rowsOf(
  stub: DurableObjectStub<WorkerRegistry>,
  act: (registry: RegistryRpc) => Promise<unknown>,
): Promise<Rows> {
  return await runInDurableObject(
    stub,
    async (instance, { storage }) => await rowsWhile(storage, () => act(instance as unknown as RegistryRpc)),
  );
}
