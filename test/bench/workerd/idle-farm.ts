/** Connected workers without work: which events reach the registry while their pings go on. */
import { PING, PING_MS, PONG } from "../../../src/protocol/worker.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { RegistryStub } from "../../../src/rpc/stubs.ts";
import { WorkerRegistry } from "../../../src/registry/worker-registry.ts";
import { rowsWritten } from "../counts.ts";
import type { Idle } from "../order.ts";
import type { Meter } from "./meter.ts";

/** All handlers by which the platform can wake an object. */
const HANDLERS = ["fetch", "alarm", "webSocketMessage", "webSocketClose", "webSocketError"] as const;

/** Connect them, and send their pings for `forMs`. */
export async function idleFarm(
  registry: RegistryStub,
  meter: Meter,
  { workers, forMs }: { workers: number; forMs: number },
): Promise<Idle> {
  const wakes = countWakes();
  const rpc = registry as unknown as RegistryRpc;
  const caller = { role: "admin", id: 0, name: "admin" } as const;
  const sockets: WebSocket[] = [];
  let pongs = 0;
  for (let n = 1; n <= workers; n++) {
    const machine = { hostname: `idle-${n}`, system: "Linux", programs: { "tablao-tool": "1" } };
    const registered = await rpc.registerWorker(machine, caller, "192.0.2.1");
    if (!registered.ok) throw new Error(registered.error.detail);
    const { id } = registered.value.worker;
    const patch = { status: "available" } as const;
    await rpc.patchWorker(id, patch, { role: "worker", id, name: `worker:${id}` }, "192.0.2.1");
    const headers = { Upgrade: "websocket", "Tablao-Worker-Id": String(id) };
    const { webSocket } = await registry.fetch("https://farm.example/socket", { headers });
    if (!webSocket) throw new Error("no socket");
    webSocket.addEventListener("message", ({ data }) => void (data === PONG && pongs++));
    webSocket.accept();
    sockets.push(webSocket);
  }
  await meter.quiet();
  await meter.read([registry]);
  for (const name of HANDLERS) wakes[name] = 0;
  meter.startClock();
  let pings = 0;
  try {
    for (let passedMs = 0; passedMs < forMs; passedMs += PING_MS) {
      meter.nowMs += PING_MS;
      await meter.ring(registry);
      for (const socket of sockets) socket.send(PING);
      pings += sockets.length;
      await until(() => pongs === pings);
    }
    const counts = await meter.read([registry]);
    const nextMs = await meter.ring(registry);
    const nextAlarmMs = nextMs === null ? null : nextMs - meter.nowMs;
    for (const [method, n] of Object.entries(counts.calls)) wakes[method] = (wakes[method] ?? 0) + n;
    return { wakes, pings, pongs, rowsWritten: rowsWritten(counts), nextAlarmMs };
  } finally {
    meter.stopClock();
    for (const socket of sockets) socket.close(1000, "over");
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function countWakes(): Record<string, number> {
  const wakes: Record<string, number> = {};
  const { prototype } = WorkerRegistry as unknown as { prototype: Record<string, (...args: unknown[]) => unknown> };
  for (const name of HANDLERS) {
    const original = prototype[name]!;
    prototype[name] = function (this: unknown, ...args) {
      wakes[name] = (wakes[name] ?? 0) + 1;
      return original.apply(this, args);
    };
  }
  return wakes;
}
