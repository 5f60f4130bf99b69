import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { FakeManager, foreign, problem, type Answer } from "../../test/support/fake-manager.ts";
import { FOREIGN_NAMES } from "../../test/support/foreign-answers.ts";
import { until } from "../../test/support/wait.ts";
import { RegistrySocket } from "./registry-socket.ts";
import { ManagerClient } from "../client/manager-client.ts";

let manager: FakeManager;
let server: WebSocketServer;
let events: string[];
let sockets: WebSocket[];
let pong: boolean;
/** Answers to the next handshakes instead of a socket. */
let refusals: Answer[];
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  [events, sockets, pong, refusals, stop] = [[], [], true, [], new AbortController()];
  manager = await FakeManager.start();
  server = new WebSocketServer({ noServer: true });
  manager.server.on("upgrade", (request, socket, head) => {
    events.push(`${request.url} ${request.headers.authorization}`);
    const answer = refusals.shift();
    if (answer !== undefined && answer !== "hang up") {
      const { status, headers = {}, json, bytes = Buffer.from(JSON.stringify(json)) } = answer;
      const head = Object.entries({ ...headers, "content-length": bytes.byteLength, connection: "close" });
      socket.write(`HTTP/1.1 ${status} -\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
      socket.once("finish", () => socket.destroy());
      socket.end(bytes);
      return;
    }
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

test.each(FOREIGN_NAMES)("%s in place of the socket: it is told once, and the socket is tried again", async (name) => {
  refusals = [foreign(name), foreign(name)];
  connect();
  await seen(/^up$/);
  const told = events.filter((event) => event.startsWith("down"));
  expect(told).toEqual([expect.stringMatching(/^down: something between this machine and .* answered \d{3} with /)]);
  // The access token is the same: nobody has said that it is not valid.
  expect(events.filter((event) => event.startsWith("/workers"))).toEqual(
    Array(3).fill("/workers/3/socket Bearer access-1"),
  );
});

test("a 401 of the manager itself brings a fresh access token; its words are told", async () => {
  refusals = [problem(401, "unauthorized", "this access token has expired")];
  connect();
  await seen(/^up$/);
  expect(events).toEqual([
    "/workers/3/socket Bearer access-1",
    "down: this access token has expired",
    "/workers/3/socket Bearer access-2",
    "up",
  ]);
});

test("a page in place of the socket that never ends does not hold an agent that stops", async () => {
  const ends = Promise.withResolvers<void>();
  manager.server.removeAllListeners("upgrade");
  manager.server.on("upgrade", (_request, socket) => {
    void ends.promise.then(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 403 -\r\ncontent-type: text/html\r\n\r\n<html>");
    events.push("page");
  });
  connect();
  await seen(/^page$/);
  stop.abort();
  await running;
  expect(events).toEqual(["page"]);
  ends.resolve();
});
