/**
 * A manager is destroyed while its farm works; a backup is restored into an empty one, and the same
 * agents finish every frame.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { assetSchema } from "../../src/protocol/file.ts";
import { shareSchema } from "../../src/protocol/share.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { tokenCreatedSchema, tokenListSchema } from "../../src/protocol/token.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { endFarm, startAgent, startManager, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { eventsThrough, filesOf, framesIn, range } from "../support/history.ts";
import { until } from "../support/wait.ts";

afterAll(endFarm);

const FRAMES = 40;

async function submit(manager: Manager, json: object): Promise<number> {
  return (await manager.client.call(taskSchema, "POST", "/tasks", { json })).id;
}

async function taskOf(manager: Manager, id: number) {
  return await manager.client.call(taskSchema, "GET", `/tasks/${id}`);
}

async function putAsset(manager: Manager, content: string): Promise<{ url: string; content: string }> {
  const url = `/assets/${createHash("sha256").update(content).digest("hex")}`;
  const headers = { "content-length": String(content.length) };
  await manager.client.call(assetSchema, "PUT", url, { headers, body: () => content });
  return { url, content };
}

test("P1, P3, P7: a farm at work, backed up and restored on an empty manager, finishes with every frame once", async () => {
  const dir = path.join(testFolder("backup"), "saved");
  const first = await startManager();
  const agents = await Promise.all(["left", "right"].map((name) => startAgent(first, { name })));
  const artist = await first.client.call(tokenCreatedSchema, "POST", "/tokens", {
    json: { role: "artist", name: "ana" },
  });
  await first.client.call(z.unknown(), "POST", "/settings", { json: { lease_s: 10 } });
  const assets = await Promise.all(["a texture", "", "another one"].map((content) => putAsset(first, content)));
  const render = { type: "demo_render", settings: { frames: `1-${FRAMES}`, width: 16, height: 9, delay_ms: 400 } };
  const work = await submit(first, { ...render, name: "at work", chunk: 2 });
  const after = await submit(first, {
    type: "print_string",
    settings: { text: "frame by frame", frames: `1-${FRAMES}` },
    depends_on: [{ task: work, frames: "same" }],
  });
  const last = await submit(first, { type: "print_string", settings: { text: "x" }, depends_on: [work], task_id: 77 });
  const done = await submit(first, {
    ...render,
    settings: { ...render.settings, frames: "1-3", delay_ms: 0 },
    priority: 90,
  });
  await untilStatus(first, done, ["completed"]);
  await until(async () => (await taskOf(first, work)).frames.done >= 5, {
    what: "five frames are done",
  });

  const saved = await tablao(first, "backup", dir, "--json");
  expect(saved).toMatchObject({ code: 0, stderr: "" });
  const { tasks } = z.object({ tasks: z.array(z.int()) }).parse(saved.json());
  expect(tasks).toEqual([work, after, last, done]);
  const before = await taskOf(first, work);
  expect(before.status).toBe("rendering");

  // A backup is private and complete, and holds no secret that gives access.
  expect(statSync(path.join(dir, "backup.json")).mode & 0o777).toBe(0o600);
  const texts = readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("json"))
    .map((name) => readFileSync(path.join(dir, name), "utf8"));
  for (const secret of [artist.token, first.token, "tablao_worker_"]) expect(texts.join("")).not.toContain(secret);

  // A manager in use refuses a restore, also from its own backup, and says what it holds.
  const refused = await tablao(first, "restore", dir);
  expect(refused.code).toBe(6);
  expect(refused.stderr).toMatch(/empty manager only, and here are .*4 tasks.*2 workers/);

  // The farm goes on after the backup: later results are lost with the manager, and must not be
  // treated as done.
  await until(async () => (await taskOf(first, work)).frames.done > before.frames.done + 2, {
    what: "more frames are done",
  });
  // The agents are stopped meanwhile: an agent that asked the new manager while it was empty would
  // be unknown there, and end.
  for (const agent of agents) process.kill(agent.child.pid, "SIGSTOP");
  await first.kill();
  const second = await startManager({ port: first.port, token: first.token });
  const restored = await tablao(second, "restore", dir, "--json");
  expect(restored).toMatchObject({ code: 0, stderr: "" });
  expect(await taskOf(second, work)).toMatchObject({ name: "at work", frames: { total: FRAMES, leased: 0 } });
  for (const agent of agents) process.kill(agent.child.pid, "SIGCONT");
  for (const { url, content } of assets) expect(await (await second.client.send("GET", url)).text()).toBe(content);

  // The agents did not restart and did not register again: the new manager knows their secrets.
  for (const id of [work, after, last]) await untilStatus(second, id, ["completed", "failed"], 120_000);
  for (const id of [work, after]) {
    const task = await taskOf(second, id);
    expect(task).toMatchObject({ status: "completed", frames: { total: FRAMES, done: FRAMES, failed: 0, leased: 0 } });
    const events = await eventsThrough(second, id, "completed");
    const done = framesIn(events, "done").map((event) => event.frame);
    expect(done.toSorted((a, b) => a - b)).toEqual(range(1, FRAMES));
    expect(new Set(events.map((event) => event.seq)).size).toBe(events.length);
    expect(events.some((event) => event.detail === "restored from a backup")).toBe(id === work);
  }
  expect((await filesOf(second, work)).map((file) => file.frame)).toEqual(range(1, FRAMES));
  expect(await taskOf(second, done)).toMatchObject({ status: "completed", frames: { done: 3 } });
  const out = path.join(path.dirname(dir), "out");
  expect((await tablao(second, "download", String(work), out)).code).toBe(0);
  expect(readdirSync(out)).toHaveLength(FRAMES);

  const workers = await tablao(second, "workers", "--json");
  expect(workers.stdout).toContain("left");
  expect(workers.stdout).toContain("right");
  for (const agent of agents) expect(agent.child.running()).toBe(true);
  const { tokens } = await second.client.call(tokenListSchema, "GET", "/tokens");
  expect(tokens.find((token) => token.id === artist.id)).toMatchObject({ role: "artist", name: "ana", revoked: false });
  const own = { ...second, token: artist.token };
  expect((await tablao(own, "tasks")).code).toBe(0);
  // The same submission is still known, and new ids continue after the old ones.
  expect(await submit(second, { type: "print_string", settings: { text: "x" }, depends_on: [work], task_id: 77 })).toBe(
    last,
  );
  expect(await submit(second, { type: "print_string", settings: { text: "new" } })).toBeGreaterThan(done);

  // Repeating the restore changes nothing.
  expect((await tablao(second, "restore", dir)).code).toBe(6);
});

test("L4, P9: what was revoked since the backup works again after a restore, and nothing of it with --revoke-tokens", async () => {
  const dir = path.join(testFolder("revoked"), "saved");
  const first = await startManager();
  const artist = await first.client.call(tokenCreatedSchema, "POST", "/tokens", {
    json: { role: "artist", name: "ana" },
  });
  const id = await submit(first, { type: "print_string", settings: { text: "x" } });
  const link = await first.client.call(shareSchema, "POST", `/tasks/${id}/share`, { json: {} });
  const worker = Object.values(
    await first.client.call(workerRegisteredSchema, "POST", "/workers", { json: { hostname: "w", system: "Linux" } }),
  )[0]!;
  expect((await tablao(first, "backup", dir)).code).toBe(0);
  for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    const info = statSync(path.join(dir, name));
    if (info.isDirectory() || name.endsWith("json")) expect(info.mode & 0o077, name).toBe(0);
  }
  await first.client.call(z.null(), "DELETE", `/tokens/${artist.id}`);
  await first.client.call(z.null(), "DELETE", `/tasks/${id}/share`);
  await first.stop();
  for (const [flags, status] of [
    [[], 200],
    [["--revoke-tokens"], 401],
  ] as [string[], number][]) {
    // With the old manager's signing key, links are valid texts, as on Cloudflare after a loss of the data only.
    const state = path.join(testFolder("restored"), "state");
    mkdirSync(state);
    cpSync(path.join(first.state, "signing-key"), path.join(state, "signing-key"));
    const second = await startManager({ state, token: first.token });
    expect(await tablao(second, "restore", dir, ...flags)).toMatchObject({ code: 0 });
    const statusOf = async (token: string): Promise<number> =>
      (await fetch(`${second.url}/tasks/${id}`, { headers: { authorization: `Bearer ${token}` } })).status;
    expect(await statusOf(artist.token), flags.join()).toBe(status);
    expect(await statusOf(link.token), flags.join()).toBe(status);
    expect(await statusOf(worker.secret!), flags.join()).toBe(200);
    await second.stop();
  }
});

test("a folder that is no backup, or a damaged one, is refused and nothing is written", async () => {
  const manager = await startManager();
  const dir = testFolder("no-backup");
  const none = await tablao(manager, "restore", dir);
  expect({ code: none.code, said: none.stderr }).toMatchObject({
    code: 2,
    said: expect.stringContaining("is no backup"),
  });
  writeFileSync(path.join(dir, "notes.txt"), "mine");
  const other = await tablao(manager, "backup", dir);
  expect({ code: other.code, said: other.stderr }).toMatchObject({
    code: 2,
    said: expect.stringContaining("is not empty"),
  });
});
