/** What somebody at the machine, and an admin, ask of a running agent. */
import { EventEmitter } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, problem, takeUploads } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { lease } from "../../test/support/scripted-lease.ts";
import { until } from "../../test/support/wait.ts";
import { WORKER_VIEW } from "../../test/support/worker-view.ts";
import { orderAgent, type AgentOrder } from "../client/agent-control.ts";
import type { AgentStatus } from "../client/agent-status.ts";
import { AGENT_EXIT, runWorker } from "./worker.ts";

const JOIN = "tablao_join_0123456789abcdefghijklmnop";
const SECRET = "tablao_worker_0123456789abcdefghijklmnop";

let manager: FakeManager;
let server: WebSocketServer;
let sockets: WebSocket[];
let folder: ReturnType<typeof temporaryFolder>;
let signals: EventEmitter;
let said: string[];
/** Tasks that the registry has for who asks. */
let work: number[];
let running: Promise<number>;

beforeEach(async () => {
  [signals, said, work, sockets] = [new EventEmitter(), [], [], []];
  folder = temporaryFolder("worker-control");
  manager = await FakeManager.start();
  server = new WebSocketServer({ noServer: true });
  manager.server.on("upgrade", (request, socket, head) => {
    server.handleUpgrade(request, socket, head, (ws) => {
      sockets.push(ws);
      ws.on("message", (data: Buffer) => ws.send(data.toString() === "ping" ? "pong" : "?"));
    });
  });
  manager
    .on("POST", /^\/workers$/, () => ({ status: 201, json: { h: { ...WORKER_VIEW, secret: SECRET } } }))
    .on("PATCH", /^\/workers\/5$/, ({ json }) => ({
      status: 200,
      json: { task_id: json?.["status"] === "available" ? (work.shift() ?? null) : null, epoch: 0, status: "enabled" },
    }))
    .on("POST", /^\/tasks\/7\/leases$/, () => ({
      status: 200,
      json: { lease: lease(gated()), reason: null, retry_after_ms: null },
    }))
    .on("POST", /\/(complete|release)$/, () => ({ status: 200, json: { committed: 1, next: null } }));
  takeUploads(manager);
});
afterEach(async () => {
  signals.emit("SIGTERM");
  await running;
  server.close();
  await manager.stop();
  folder.remove();
});

/** Renders frame 1 when the gate is there, and frame 2 when a second one is. */
function gated(): string {
  return `for (const frame of [1, 2]) {
    say("tablao: frame " + frame);
    while (!fs.existsSync(${JSON.stringify(join(folder.path, "gate"))} + frame)) await sleep(10);
    write(frame);
  }`;
}

function openGate(frame: number): void {
  writeFileSync(join(folder.path, `gate${frame}`), "");
}

async function start(): Promise<void> {
  const options = { manager: manager.url, join: JOIN, name: "n", stateDir: folder.path, allowExec: true };
  running = runWorker(options, { signals, write: (line) => said.push(line), machineId: async () => "m" });
  await saidSo(/waiting for work|paused on this machine: taking no work|rendering frames/);
}

async function saidSo(pattern: RegExp): Promise<void> {
  await until(() => said.some((line) => pattern.test(line)), { what: `${pattern} in ${said.join("\n")}`, everyMs: 10 });
}

async function order(what: AgentOrder): Promise<AgentStatus> {
  const answer = await orderAgent(join(folder.path, "n.control"), what);
  if (!answer.ok) throw new Error(answer.error.why);
  return answer.value;
}

/** What the agent has said of its local state, in order. */
const told = (): unknown[] =>
  manager
    .to(/^\/workers(\/5)?$/)
    .map(({ json }) => json)
    .filter((json) => json !== undefined && "local_state" in json)
    .map((json) => json!["local_state"]);
const asks = (): number => manager.to(/^\/workers\/5$/).filter(({ json }) => json?.["status"] === "available").length;

async function untilTold(states: unknown[]): Promise<void> {
  await until(() => told().length >= states.length, { what: `${JSON.stringify(states)} is told`, everyMs: 10 });
  expect(told()).toEqual(states);
}

describe("an agent that is paused at its machine", () => {
  test("asks for no work, whatever the manager pushes, tells the manager, and goes on when it is resumed", async () => {
    await start();
    await until(() => sockets.length === 1, { what: "a socket" });
    expect(await order("pause")).toMatchObject({ paused: true, leases: [], worker_id: 5, connection: "connected" });
    await untilTold(["paused"]);
    const before = asks();
    sockets[0]!.send(JSON.stringify({ type: "work" }));
    sockets[0]!.send(JSON.stringify({ type: "enable" }));
    // Answered by the same process after the pushes were taken.
    for (let time = 0; time < 3; time++) expect(await order("status")).toMatchObject({ paused: true });
    expect(asks()).toBe(before);
    work.push(7);
    openGate(1);
    openGate(2);
    expect(await order("resume")).toMatchObject({ paused: false });
    await untilTold(["paused", null]);
    await saidSo(/frames 1-2 done/);
  });

  test("P3: finishes the frame that is rendered, delivers it, and gives the others back with the reason", async () => {
    work.push(7);
    await start();
    await until(async () => (await order("status")).leases[0]?.frame === 1, { what: "it renders" });
    expect(await order("pause")).toMatchObject({ paused: true, leases: [{ task_id: 7, frame: 1, total: 2 }] });
    openGate(1);
    await until(() => manager.to(/\/release$/).length === 1, { what: "the rest is given back" });
    expect(manager.to(/\/release$/)[0]!.json).toMatchObject({
      done: [{ frame: 1 }],
      reason: "the worker was paused on its machine",
      cause: "stopping",
    });
    expect(manager.to(/\/complete$/)).toEqual([]);
    await until(async () => (await order("status")).leases.length === 0, { what: "nothing runs" });
  });

  test("stays paused over a restart, and registers so; a manager of 0.1 registers it all the same", async () => {
    await start();
    await order("pause");
    await untilTold(["paused"]);
    signals.emit("SIGTERM");
    expect(await running).toBe(AGENT_EXIT.ok);
    manager.handlers.unshift(({ method, path, json }) =>
      method === "POST" && path === "/workers" && json && "local_state" in json
        ? problem(422, "invalid", "local_state: not known")
        : undefined,
    );
    const before = asks();
    said = [];
    await start();
    expect(said).toEqual(
      expect.arrayContaining([expect.stringContaining("paused on this machine: taking no work until")]),
    );
    await saidSo(/signed in as worker 5/);
    expect(told()).toEqual(["paused", "paused"]);
    expect(await order("status")).toMatchObject({ paused: true, worker_id: 5 });
    expect(asks()).toBe(before);
    await order("resume");
    expect(existsSync(join(folder.path, "n.paused"))).toBe(false);
    await until(() => asks() > before, { what: "it asks again" });
  });

  test("a manager of 0.1 is told once, and the pause holds", async () => {
    manager.handlers.unshift(({ method, json }) =>
      method === "PATCH" && json && "local_state" in json ? problem(422, "invalid", "not known") : undefined,
    );
    await start();
    await order("pause");
    await untilTold(["paused"]);
    expect(await order("status")).toMatchObject({ paused: true });
    await order("resume");
    await untilTold(["paused", null]);
  });
});

test("an agent that is told to drain at its machine says so, finishes its frame, and ends with 0", async () => {
  work.push(7);
  await start();
  await until(async () => (await order("status")).leases[0]?.frame === 1, { what: "it renders" });
  expect(await order("drain")).toMatchObject({ stopping: true, leases: [{ task_id: 7 }] });
  await expect(order("pause")).rejects.toThrow("it is about to end");
  openGate(1);
  expect(await running).toBe(AGENT_EXIT.ok);
  expect(told()).toEqual(["draining"]);
  expect(manager.to(/\/release$/)[0]!.json).toMatchObject({ done: [{ frame: 1 }] });
  expect(existsSync(join(folder.path, "n.control"))).toBe(false);
});

test("P13: it leaves when what it said of the drain was taken: a word that comes later would call it back", async () => {
  await start();
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const taken: string[] = [];
  manager.handlers.unshift(async ({ method, json }) => {
    if (method !== "PATCH" || !json) return undefined;
    if ("local_state" in json) await held;
    if ("local_state" in json || "leaving" in json) taken.push(Object.keys(json).join());
    return undefined;
  });
  await order("drain");
  await until(() => told().length === 1, { what: "the manager is told" });
  // What leaves at once has left by now.
  await until(async () => (await order("status").catch(() => null))?.stopping !== false, { what: "it ends" });
  letGo();
  expect(await running).toBe(AGENT_EXIT.ok);
  expect(taken).toEqual(["local_state", "leaving"]);
});

test("P5: one that the manager stops gives back what runs at once, and takes no more until it is enabled", async () => {
  work.push(7);
  await start();
  await until(async () => sockets.length === 1 && (await order("status")).leases[0]?.frame === 1, {
    what: "it renders",
  });
  sockets[0]!.send(JSON.stringify({ type: "stop_now" }));
  await until(() => manager.to(/\/release$/).length === 1, { what: "it is given back" });
  expect(manager.to(/\/release$/)[0]!.json).toMatchObject({ reason: "the worker was stopped", cause: "stopping" });
  await until(async () => (await order("status")).leases.length === 0, { what: "nothing runs" });
  expect(await order("status")).toMatchObject({ drained: true, paused: false });
  const before = asks();
  sockets[0]!.send(JSON.stringify({ type: "enable" }));
  await until(() => asks() > before, { what: "it asks again" });
});

test("P13: one that was enabled while it had no connection takes work again", async () => {
  await start();
  await until(() => sockets.length === 1, { what: "a socket" });
  sockets[0]!.send(JSON.stringify({ type: "drain" }));
  await until(async () => (await order("status")).drained, { what: "it is drained" });
  const before = asks();
  // Enabled meanwhile: the push is lost with the socket.
  sockets[0]!.terminate();
  await until(() => sockets.length === 2, { what: "it connects again" });
  await until(async () => !(await order("status")).drained, { what: "it is not drained any more" });
  await until(() => asks() > before, { what: "it asks again" });
});
