/** P9: orders of this machine's user reach the agent, and those of nobody else. */
import { readFileSync, statSync, existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { agentsIn, orderAgent, type AgentOrder } from "../client/agent-control.ts";
import type { AgentStatus } from "../client/agent-status.ts";
import { err, ok } from "../lib/result.ts";
import { ControlServer } from "./control-server.ts";

const STATUS: AgentStatus = {
  name: "n",
  pid: 1,
  version: "0.2.0",
  worker_id: 3,
  manager: "https://farm.example",
  connection: "connected",
  connection_since_ms: 0,
  paused: false,
  drained: false,
  stopping: false,
  disk_full_until_ms: null,
  leases: [],
  cache_bytes: 0,
};

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let control: ControlServer;
let orders: AgentOrder[];

beforeEach(async () => {
  orders = [];
  folder = temporaryFolder("control");
  file = join(folder.path, "n.control");
  control = await ControlServer.start(file, (order) => {
    orders.push(order);
    return order === "resume" ? err("it is about to end") : ok({ ...STATUS, paused: order === "pause" });
  });
});
afterEach(() => {
  control.close();
  folder.remove();
});

/** Send bytes to the port; what comes back before the other side ends. */
async function raw(text: string): Promise<string> {
  const { port } = JSON.parse(readFileSync(file, "utf8")) as { port: number };
  return await new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}

test("an order is carried out and answered; a refusal says why", async () => {
  expect(await orderAgent(file, "pause")).toEqual({ ok: true, value: { ...STATUS, paused: true } });
  expect(await orderAgent(file, "resume")).toEqual({ ok: false, error: { gone: false, why: "it is about to end" } });
  expect(orders).toEqual(["pause", "resume"]);
});

test("P9: its file is this user's alone; who does not have it gets no answer and changes nothing", async () => {
  if (process.platform !== "win32") expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await raw(`${JSON.stringify({ secret: "x".repeat(43), order: "pause" })}\n`)).toBe("");
  expect(await raw(`${JSON.stringify({ order: "pause" })}\n`)).toBe("");
  expect(await raw("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).toBe("");
  expect(await raw("null\n")).toBe("");
  expect(await raw("x".repeat(5_000))).toBe("");
  expect(orders).toEqual([]);
});

test("an order of another version is refused in words", async () => {
  const { secret } = JSON.parse(readFileSync(file, "utf8")) as { secret: string };
  expect(JSON.parse(await raw(`${JSON.stringify({ secret, order: "dance" })}\n`))).toEqual({
    refused: expect.stringContaining("does not know the order"),
  });
});

test("an agent that has ended leaves no file; one that was killed leaves one that reaches nobody", async () => {
  const left = readFileSync(file, "utf8");
  control.close();
  expect(existsSync(file)).toBe(false);
  expect(await orderAgent(file, "status")).toEqual({ ok: false, error: { gone: true, why: "not running here" } });
  writeFileSync(file, left, { mode: 0o600 });
  expect(await orderAgent(file, "status")).toMatchObject({ ok: false, error: { gone: true } });
});

test("P9: an agent of another machine that shares the folder is not asked here, and gets no secret", async () => {
  const record = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...record, host: "another-machine" }), { mode: 0o600 });
  const error = { gone: true, why: "not running here: it was last started on another-machine" };
  expect(await orderAgent(file, "pause")).toEqual({ ok: false, error });
  expect(orders).toEqual([]);
});

test("the workers of a folder are found by their files, and there may be none", () => {
  writeFileSync(join(folder.path, "other.json"), "{}");
  writeFileSync(join(folder.path, "n.lock"), "");
  expect(agentsIn(folder.path)).toEqual([
    { key: "n", file },
    { key: "other", file: join(folder.path, "other.control") },
  ]);
  expect(agentsIn(join(folder.path, "nowhere"))).toEqual([]);
});
