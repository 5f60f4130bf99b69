/** The edge answers each kind of request once in the manager's place, and lets all others pass. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { edge } from "./edge.ts";

async function manager(): Promise<string> {
  const server = http.createServer((_, response) => response.end("ours"));
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.send("ours"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("the first request of each kind gets a page of HTML; others reach the manager, sockets too", async () => {
  const proxy = await startCountingProxy(await manager(), { foreign: edge(403) });
  onTestFinished(() => proxy.close());
  const ask = async (method: string, path: string): Promise<string> => {
    const body = method === "PUT" ? "x".repeat(100_000) : undefined;
    const answer = await fetch(proxy.url + path, { method, ...(body && { body }) });
    const text = await answer.text();
    return answer.status === 403 && text.startsWith("<!DOCTYPE html>") ? "page" : text;
  };
  const hash = "0a".repeat(32);
  const first = [await ask("GET", "/tasks/1"), await ask("PUT", "/tasks/1"), await ask("PUT", `/assets/${hash}`)];
  const later = [
    await ask("GET", "/tasks/22?limit=5"),
    await ask("PUT", "/tasks/3"),
    await ask("PUT", `/assets/${hash}`),
  ];
  expect([first, later]).toEqual([
    ["page", "page", "page"],
    ["ours", "ours", "ours"],
  ]);

  const connect = (path: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(proxy.url.replace("http", "ws") + path);
      socket.on("message", (data: Buffer) => {
        resolve(data.toString());
        socket.close();
      });
      socket.on("unexpected-response", (_, answer) => {
        resolve(String(answer.statusCode));
        socket.terminate();
      });
      socket.on("error", () => undefined);
    });
  expect(await connect("/workers/1/socket")).toBe("403");
  expect(await connect("/workers/2/socket")).toBe("ours");
});
