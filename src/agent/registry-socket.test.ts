import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { until } from "../../test/support/wait.ts";
import { RegistrySocket } from "./registry-socket.ts";
import { ManagerClient } from "../client/manager-client.ts";

let manager: FakeManager;
let server: WebSocketServer;
let events: string[];
let sockets: WebSocket[];
let pong: boolean;
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  [events, sockets, pong, stop] = [[], [], true, new AbortController()];
  manager = await FakeManager.start();
  server = new WebSocketServer({ noServer: true });
  manager.server.on("upgrade", (request, socket, head) => {
    events.push(`${request.url} ${request.headers.authorization}`);
    server.handleUpgrade(request, socket, head, (ws) => {
      sockets.push(ws);
      ws.on("message", (data: Buffer) => pong && ws.send(data.toString() === "ping" ? "pong" : "?"));
    });
  });
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
  server.close();
  await manager.stop();
});

/**
 * Connect, and stay connected. With shorter pings, a machine that is stopped for a moment would
 * look like silence.
 */
function connect(pingMs = 5_000): void {
  const connection = new RegistrySocket({
    client: new ManagerClient({ url: manager.url, secret: "s" }),
    workerId: 3,
    onPush: (push) => events.push(`push ${push.type}`),
    onUp: () => events.push("up"),
    onDown: (why) => events.push(`down: ${why}`),
    signal: stop.signal,
    pingMs,
    retry: { baseMs: 10, capMs: 20 },
  });
  running = connection.run();
}

const seen = async (event: RegExp, times = 1) =>
  await until(() => events.filter((each) => event.test(each)).length >= times, {
    what: `${event} in ${JSON.stringify(events)}`,
    everyMs: 10,
  });

test("it signs in with an access token, takes pushes, and ignores messages that it does not know", async () => {
  connect();
  await seen(/^up$/);
  for (const text of ['{"type":"fireworks"}', "nonsense", '{"type":"cancel","task_id":1,"lease_ids":["a"]}'])
    sockets[0]!.send(text);
  await seen(/^push cancel$/);
  expect(events).toEqual(["/workers/3/socket Bearer access-1", "up", "push cancel"]);
});

test("a closed socket is opened again; the loss is logged once", async () => {
  connect();
  await seen(/^up$/);
  sockets[0]!.close();
  await seen(/^up$/, 2);
  expect(events.filter((event) => event.startsWith("down"))).toEqual(["down: the connection was closed"]);
});

test("a socket whose other side has disappeared without closing is noticed by its silence", async () => {
  connect(40);
  await seen(/^up$/);
  pong = false;
  await seen(/^down: no answer to pings$/);
  pong = true;
  await seen(/^up$/, 2);
});
