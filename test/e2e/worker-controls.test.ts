/** Workers under control: from the command line of an admin, and from their own machine. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { agentStatusSchema } from "../../src/client/agent-status.ts";
import type { Worker } from "../../src/protocol/worker.ts";
import {
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  untilStatus,
  type Agent,
  type Manager,
} from "../support/farm.ts";
import { until } from "../support/wait.ts";

let manager: Manager;
let [one, two]: [Agent | undefined, Agent | undefined] = [undefined, undefined];

beforeAll(async () => {
  manager = await startManager();
  one = await startAgent(manager, { name: "one", args: ["--tags", "left,big"] });
  two = await startAgent(manager, { name: "two", args: ["--tags", "right,big"] });
});
afterAll(endFarm);

/** Frames that end only when they are stopped. */
const endless = (tags: string): string[] => [
  "--type",
  "demo_render",
  "--frames",
  "1-2",
  "--tags",
  tags,
  "--settings",
  JSON.stringify({ width: 8, height: 8, samples: 1, delay_ms: 600_000 }),
];
const quick = (tags: string): string[] => [
  "--type",
  "print_string",
  "--settings",
  '{"text":"x"}',
  "--frames",
  "1",
  "--tags",
  tags,
];

async function workers(): Promise<Record<string, Worker>> {
  const listed = (await tablao(manager, "workers", "--json")).json() as Worker[];
  return Object.fromEntries(listed.map((worker) => [worker.id, worker]));
}

/** `tablao worker ORDER` on the machine of this agent, without any token. */
async function local(agent: Agent, order: string, ...more: string[]) {
  return await tablao({}, "worker", order, "--state-dir", agent.stateDir, ...more);
}

test("workers are drained and enabled by id, name, tags or all, and each is told in a line", async () => {
  const drained = await tablao(manager, "workers", "drain", "--tags", "big");
  expect(drained).toMatchObject({
    code: 0,
    stdout: `worker ${one!.id} (one): drained\nworker ${two!.id} (two): drained\n`,
    stderr: "",
  });
  const id = await submit(manager, ...quick("left"));
  expect((await tablao(manager, "workers")).stdout).toMatch(/one .*drained/);
  const enabled = await tablao(manager, "workers", "enable", "one", "--json");
  expect(enabled).toMatchObject({ code: 0, stderr: "" });
  expect(enabled.json()).toMatchObject({ id: one!.id, draining: false });
  await untilStatus(manager, id, ["completed"]);
  expect(await tablao(manager, "workers", "enable", "--all")).toMatchObject({ code: 0 });
});

test("P10: what cannot be done ends with the exit code for it, and nothing is asked where nobody can answer", async () => {
  expect(await tablao(manager, "workers", "drain")).toMatchObject({ code: 2 });
  expect(await tablao(manager, "workers", "drain", "nobody")).toMatchObject({ code: 3 });
  expect(await tablao(manager, "workers", "stop-now", "one")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--yes"),
  });
  expect(await tablao(manager, "workers", "tag", "one", "--add", "has space")).toMatchObject({ code: 2 });
  const { stdout } = await tablao(manager, "token", "create", "--role", "artist", "--name", "ada", "--json");
  const { token } = JSON.parse(stdout) as { token: string };
  const asArtist = { manager: { url: manager.url, token } };
  expect(await tablao(asArtist, "workers", "drain", "--all")).toMatchObject({ code: 4, stdout: "" });
  expect((await workers())[one!.id]).toMatchObject({ draining: false });
});

test("tags and a name that an admin gives stay when the agent starts again with others", async () => {
  const tagged = await tablao(manager, "workers", "tag", "two", "--add", "gpu", "--remove", "right");
  expect(tagged).toMatchObject({ code: 0, stdout: `worker ${two!.id} (two): tags big, gpu\n` });
  await tablao(manager, "workers", "rename", "two", "Second");
  await two!.stop();
  const { child, stateDir } = two!;
  await child.ended;
  two = { ...two!, ...(await restarted(stateDir)) };
  expect((await workers())[two.id]).toMatchObject({ tags: ["big", "gpu"], name: "Second", chosen: ["name", "tags"] });
  expect(await tablao(manager, "workers", "tag", "Second", "--reset")).toMatchObject({
    stdout: `worker ${two.id} (Second): tags other (its own)\n`,
  });
  expect(await tablao(manager, "workers", "rename", "Second", "--reset")).toMatchObject({
    stdout: `worker ${two.id} (Second): its name is now two\n`,
  });
});

/** The agent `two`, with other tags. The manager shows it under the name that an admin gave it. */
async function restarted(stateDir: string): Promise<Agent> {
  await tablao(manager, "workers", "rename", String(two!.id), "--reset");
  const again = await startAgent(manager, { name: "two", stateDir, args: ["--tags", "other"] });
  await tablao(manager, "workers", "rename", String(two!.id), "Second");
  return again;
}

test("P5: stop-now takes the frames of a worker away, and another one gets them", async () => {
  const id = await submit(manager, ...endless("left"));
  await untilStatus(manager, id, ["rendering"]);
  await until(async () => (await workers())[one!.id]!.current_task === id, { what: "one renders" });
  const stopped = await tablao(manager, "workers", "stop-now", "one", "--yes");
  expect(stopped).toMatchObject({ code: 0, stdout: `worker ${one!.id} (one): drained\n` });
  expect(await untilStatus(manager, id, ["queued"])).toMatchObject({ frames: { leased: 0, failed: 0, pending: 2 } });
  await tablao(manager, "workers", "tag", "two", "--add", "left");
  await until(async () => (await workers())[two!.id]!.current_task === id, { what: "two renders" });
  await tablao(manager, "cancel", String(id));
  await tablao(manager, "workers", "tag", "two", "--reset");
  await tablao(manager, "workers", "enable", "one");
});

test("somebody at the machine pauses, asks, resumes and drains its agent without a token; the lists are true", async () => {
  const asked = await local(one!, "status");
  expect(asked).toMatchObject({ code: 0, stderr: "" });
  expect(asked.stdout).toMatch(
    new RegExp(`^one \\(worker ${one!.id} at ${manager.url}\\): waiting for work · connected · cache .*\n$`),
  );
  expect(await local(one!, "pause")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("paused on this machine"),
  });
  await until(async () => (await workers())[one!.id]!.local_state === "paused", { what: "the manager knows" });
  expect((await tablao(manager, "workers")).stdout).toMatch(/one .*paused/);
  const id = await submit(manager, ...quick("left"));
  expect((await tablao(manager, "workers", "enable", "one")).stdout).toContain("paused on the machine");
  expect((await tablao(manager, "why", String(id))).stdout).toMatch(/paused on the machine/);
  const [status] = ((await local(one!, "status", "--json")).json() as { agents: unknown[] }).agents;
  expect(agentStatusSchema.parse(status)).toMatchObject({ name: "one", worker_id: one!.id, paused: true, leases: [] });
  expect(await local(one!, "resume")).toMatchObject({ code: 0 });
  await untilStatus(manager, id, ["completed"]);
  await until(async () => (await workers())[one!.id]!.local_state === null, { what: "the manager knows" });
  expect(await local(one!, "pause", "--name", "nobody")).toMatchObject({ code: 3 });
  expect(await local(one!, "drain")).toMatchObject({ code: 0 });
  expect((await one!.child.ended).code).toBe(0);
  expect((await workers())[one!.id]).toMatchObject({ connection: "offline", local_state: null });
  expect(await local(one!, "status")).toMatchObject({ code: 3, stdout: "one: not running here\n" });
});

test("an agent that was killed leaves nothing that looks like a running one", async () => {
  await two!.kill();
  expect(await local(two!, "status")).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/^two: not running here/),
  });
  await tablao(manager, "workers", "remove", "two", "--yes");
  expect((await workers())[two!.id]).toBeUndefined();
});
