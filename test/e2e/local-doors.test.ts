/**
 * P9: what another account of the machine, or of the network, can reach of `npm start`: one address
 * that serves, and no debugger, no door of the development server, no header that is believed.
 */
import http from "node:http";
import net from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { groupMembers } from "../../src/client/process-group.ts";
import { endFarm, groupOf, startManager, type Manager } from "../support/farm.ts";
import { listeningPorts } from "../support/listeners.ts";
import { HANG_MS } from "../support/wait.ts";

let manager: Manager;
beforeAll(async () => {
  manager = await startManager();
});
afterAll(endFarm);

/** What a request is answered with; -1 when the connection is refused, closed or answered with no HTTP. */
async function statusOf(port: number, where: string, options: http.RequestOptions = {}): Promise<number> {
  return await new Promise((resolve) => {
    const request = http.request({ host: "127.0.0.1", port, path: where, agent: false, ...options });
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? -1);
    });
    request.on("connect", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? -1);
    });
    request.on("error", () => resolve(-1));
    request.end();
  });
}

/** Whether a WebSocket opens there, as a debugger's does. */
async function opensSocket(port: number, where: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${where}`);
    socket.on("open", () => {
      socket.terminate();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/**
 * Send bytes through a tunnel (CONNECT); resolves with what came back when it is closed. The runtime
 * grants every tunnel, and closes it when nobody takes it.
 */
async function throughTunnel(port: number, host: string): Promise<string> {
  const socket = net.connect({ host: "127.0.0.1", port, timeout: HANG_MS });
  let came = "";
  return await new Promise((resolve, reject) => {
    socket.on("data", (data) => {
      came += data.toString("latin1");
      socket.write("GET /healthz HTTP/1.1\r\nHost: manager\r\n\r\n");
    });
    socket.on("timeout", () => reject(new Error(`a tunnel to ${host} stays open`)));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(came));
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  });
}

const refused = (status: number): boolean => status === 403 || status === -1;
const DEBUGGER = ["/json", "/json/list", "/json/version"];
const DEVELOPMENT = [
  "/cdn-cgi/local/scheduled",
  "/cdn-cgi/local/platform-proxy",
  "/cdn-cgi/local/explorer",
  "/cdn-cgi/local/r2/public/tablao-files/farm/open",
  "/cdn-cgi/handler/scheduled",
  "/cdn-cgi/mf/scheduled",
];
/** By this name Miniflare's direct sockets let Workers call each other. */
const CAPNP = "miniflare-unsafe-internal-capnp-connect:80";
/** Headers by which Miniflare's entry leads to another Worker or believes another address. */
const MINIFLARE = [
  { "MF-Route-Override": "tablao" },
  { "MF-Original-URL": "http://127.0.0.1/healthz" },
  { "MF-CF-Blob": "{}" },
  { "MF-Op": "GET" },
  { "Tablao-Local-Gate-Secret": "guess" },
  { "Tablao-Local-Control-Secret": "guess" },
];

test.runIf(process.platform === "linux")(
  "P9: of all sockets on which the processes of npm start listen, one serves, and the others refuse everybody",
  async () => {
    const group = groupMembers(groupOf(manager.state)).map(({ pid }) => pid);
    const ports = listeningPorts([...group, manager.child.process.pid!]);
    expect(ports).toContain(manager.port);
    for (const port of ports.filter((other) => other !== manager.port)) {
      for (const where of ["/", "/healthz", "/tasks", "/app/", ...DEBUGGER, ...DEVELOPMENT]) {
        for (const headers of [{}, ...MINIFLARE]) {
          const status = await statusOf(port, where, { headers });
          expect(refused(status), `${port} ${where} ${JSON.stringify(headers)}: ${status}`).toBe(true);
        }
      }
      await throughTunnel(port, CAPNP);
      for (const where of ["/", "/core:user:tablao", "/ws"]) expect(await opensSocket(port, where), where).toBe(false);
    }
  },
);

test("P9: the address that serves has no debugger and none of the development server's doors", async () => {
  expect(await statusOf(manager.port, "/healthz")).toBe(200);
  for (const where of [...DEBUGGER, ...DEVELOPMENT]) {
    for (const headers of [{}, ...MINIFLARE]) {
      const status = await statusOf(manager.port, where, { headers });
      expect(status, `${where} ${JSON.stringify(headers)}`).toBe(404);
    }
  }
  for (const host of [CAPNP, `127.0.0.1:${manager.port}`])
    expect(await throughTunnel(manager.port, host)).toMatch(/^HTTP\/1\.1 \d+ \w+\r\n(Host: [^\r]*\r\n)?\r\n$/);
  for (const where of ["/", "/core:user:tablao"]) expect(await opensSocket(manager.port, where), where).toBe(false);
});

test("P9: no header changes the address of a request: a page of another site cannot sign in", async () => {
  const evil = "http://evil.example";
  const signIn = async (headers: Record<string, string>): Promise<number> => {
    const body = JSON.stringify({ token: manager.token });
    const own = { "content-type": "application/json", ...headers };
    return (await fetch(`${manager.url}/auth/session`, { method: "POST", headers: own, body })).status;
  };
  expect(await signIn({ Origin: manager.url })).toBeLessThan(300);
  expect(await signIn({ Origin: evil })).toBe(403);
  expect(await signIn({ Origin: evil, "MF-Original-URL": `${evil}/auth/session` })).toBe(403);
  expect(await signIn({ Origin: "https://127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "x" })).toBe(
    403,
  );
});

test("P9: no header changes the address by which bad tokens are counted", async () => {
  const seen: number[] = [];
  for (let i = 0; i < 45; i++) {
    const headers = {
      Authorization: `Bearer tablao_artist_${String(i).padStart(43, "A")}`,
      "CF-Connecting-IP": `192.0.2.${i}`,
      "X-Forwarded-For": `192.0.2.${i}`,
      "MF-CF-Blob": JSON.stringify({ clientIp: `192.0.2.${i}:1` }),
    };
    seen.push((await fetch(`${manager.url}/tasks`, { headers })).status);
  }
  expect(seen[0]).toBe(401);
  expect(seen.at(-1)).toBe(429);
});
