/** A person opens the page: its files come, its socket shows what happens. */
import { expect } from "vitest";
import { WebSocket } from "ws";
import type { FarmMessage } from "../../../src/protocol/live.ts";
import { EDGE_SERVER } from "../edge.ts";
import { until } from "../../support/wait.ts";
import type { Ground } from "../ground.ts";

/** Fetch; what an edge answered in the manager's place is loaded again, as a person does. */
async function load(address: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(address, init);
  if (response.headers.get("server") !== EDGE_SERVER) return response;
  await response.arrayBuffer();
  return await fetch(address, init);
}

/** Open the farm's socket as the page does, which connects again when it is closed. */
function watch(url: string, headers: Record<string, string>, onMessage: (message: FarmMessage) => void): () => void {
  let over = false;
  let socket: WebSocket | undefined;
  const connect = (): void => {
    if (over) return;
    socket = new WebSocket(`${url.replace("http", "ws")}/live`, { headers });
    socket.on("message", (data: Buffer) => onMessage(JSON.parse(data.toString()) as FarmMessage));
    socket.on("error", () => undefined);
    socket.on("close", () => setTimeout(connect, 500));
  };
  connect();
  return () => {
    over = true;
    socket?.terminate();
  };
}

export async function page(ground: Ground): Promise<void> {
  const { withinMs } = ground;
  const { url, token } = ground.manager;
  const shell = await load(`${url}/app`);
  const html = await shell.text();
  expect([shell.status, shell.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const files = [...html.matchAll(/(?:src|href)="(\/app\/static\/[^"]+)"/g)].map((match) => match[1]!);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) {
    const response = await load(url + file);
    expect([file, response.status]).toEqual([file, 200]);
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(0);
  }

  const signedIn = await load(`${url}/auth/session`, {
    method: "POST",
    headers: { "content-type": "application/json", origin: url },
    body: JSON.stringify({ token }),
  });
  expect(signedIn.status, await signedIn.text()).toBe(201);
  const cookie = { cookie: signedIn.headers.get("set-cookie")!.split(";")[0]!, origin: url };
  for (const address of ["/tasks", "/workers", "/settings"]) {
    const response = await load(url + address, { headers: cookie });
    const seen = [address, response.status, response.headers.get("content-type")];
    expect(seen).toEqual([address, 200, "application/json"]);
    await response.arrayBuffer();
  }

  const messages: FarmMessage[] = [];
  const end = watch(url, cookie, (message) => messages.push(message));
  try {
    await until(() => messages[0]?.type === "snapshot", { withinMs, what: "the farm's snapshot" });
    await ground.midway();
    const id = await ground.submit("--type", "print_string", "--settings", '{"text":"x"}', "--frames", "1-3");
    const shown = (): boolean => messages.some(({ tasks }) => tasks?.some((task) => task.id === id));
    await until(shown, { withinMs, what: "the new task on the page" });
  } finally {
    end();
  }
}
