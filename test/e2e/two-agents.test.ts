/** Two real agents that share what only one of them may have. */
import { createHash, randomBytes } from "node:crypto";
import { cpSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assetSchema } from "../../src/protocol/file.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { cleanEnvironment, startChild, type Child } from "../support/child.ts";
import { startAgent, startManager, submit, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { until } from "../support/wait.ts";

const TABLAO = path.resolve(import.meta.dirname, "../../src/cli/tablao.js");

let manager: Manager;
beforeAll(async () => {
  manager = await startManager();
});
afterAll(async () => {
  await manager.stop();
});

/** An agent that registers nothing new: it has an identity, or it is refused. */
function startAs(name: string, stateDir: string, ...args: string[]): Child {
  const all = [TABLAO, "worker", "--name", name, "--state-dir", stateDir, ...args];
  return startChild(process.execPath, all, { env: cleanEnvironment({ HOME: stateDir }) });
}

/** A copy of the folder as another machine has it, where no process of the first one runs. */
function copyOf(stateDir: string): string {
  const copy = path.join(testFolder("copy"), "state");
  cpSync(stateDir, copy, { recursive: true });
  for (const name of readdirSync(copy, { recursive: true, encoding: "utf8" }))
    if (name.endsWith(".lock")) rmSync(path.join(copy, name));
  return copy;
}

test("P9: a cloned machine's agent is told what to do, waits, and is the worker when the first has ended", async () => {
  const first = await startAgent(manager, { name: "cloned" });
  const second = startAs("cloned", copyOf(first.stateDir));
  const said = (): string => second.stdout() + second.stderr();
  await until(() => said().includes("another agent is at work") || undefined, { what: "the second is told" });
  expect(said()).toMatch(new RegExp(`as worker ${first.id}: .*remove \\S+cloned\\.json here and start once with`));

  const listed = await tablao(manager, "workers");
  expect(listed.stderr).toMatch(new RegExp(`worker ${first.id}: Another agent with this worker's identity asks from`));

  const task = await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-12");
  await untilStatus(manager, task, ["completed"]);
  expect(await taskOf(manager, task)).toMatchObject({ errors: 0, lost: 0, frames: { done: 12 } });
  // It waits, and each of its tries is no line.
  expect(said().match(/another agent/g)).toHaveLength(1);
  expect(first.said()).not.toContain("no connection");

  await first.stop();
  await until(() => said().includes(`signed in as worker ${first.id}`) || undefined, { what: "the second signs in" });
  await second.end("SIGTERM");
});

/** A task whose frames each copy the input that it names, and take a while. Its files are what was fetched. */
async function copying(bytes: Buffer, frames: string, seconds: number): Promise<number> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const headers = { "content-length": String(bytes.length) };
  await manager.client.call(assetSchema, "PUT", `/assets/${sha256}`, { headers, body: () => new Uint8Array(bytes) });
  const copy = `cp "$0" "$(dirname "$1")/copy_$(printf %04d "$2").bin" && sleep ${seconds}`;
  const json = {
    type: "exec",
    settings: {
      program: "/bin/sh",
      args: ["-c", copy, "{in:texture.bin}", "{out:any}", "{frame}"],
      outputs: "copy_####.bin",
      assets: [{ path: "texture.bin", sha256, size: bytes.length }],
      frames,
    },
  };
  return (await manager.client.call(taskSchema, "POST", "/tasks", { json })).id;
}

async function expectCopies(task: number, bytes: Buffer, frames: number): Promise<void> {
  expect(await untilStatus(manager, task, ["completed"])).toMatchObject({ errors: 0, frames: { done: frames } });
  for (let frame = 1; frame <= frames; frame++) {
    const answer = await manager.client.send("GET", `/tasks/${task}/frames/${frame}/file`);
    expect(Buffer.compare(Buffer.from(await answer.arrayBuffer()), bytes), `frame ${frame}`).toBe(0);
  }
}

test("two agents that share a state folder and a work folder render tasks with the same input, each right", async () => {
  const [stateDir, workDir] = [testFolder("shared-state"), testFolder("shared-work")];
  const args = ["--work-dir", workDir, "--allow-exec"];
  const agents = [
    await startAgent(manager, { name: "left", stateDir, args }),
    await startAgent(manager, { name: "right", stateDir, args }),
  ];
  const bytes = randomBytes(3_000_000);
  const task = await copying(bytes, "1-8", 0.2);
  await expectCopies(task, bytes, 8);
  for (const agent of agents) {
    expect(agent.said()).toMatch(/frame \d+ done/);
    await agent.stop();
  }
});

test("P5: a second agent in the folder of another one's leases and inputs is refused, and ends nothing", async () => {
  const workDir = testFolder("work");
  const args = ["--work-dir", workDir, "--allow-exec"];
  const first = await startAgent(manager, { name: "box", args });
  const bytes = randomBytes(1_000);
  const task = await copying(bytes, "1", 3);
  await until(() => first.said().includes("rendering frame 1") || undefined, { what: "the first renders" });

  const second = startAs("box", testFolder("other-state"), ...args, "--manager", manager.url);
  await until(() => !second.running() || undefined, { what: "the second ends" });
  expect((await second.ended).code).toBe(1);
  const folder = path.join(workDir, "box", "cache");
  expect(second.stderr()).toContain(`(process ${first.child.pid}) uses ${folder}`);
  expect(second.stderr()).toContain("--work-dir");

  // Nor does a download put its files among the inputs, or take half ones for its own.
  const downloaded = await tablao(manager, "download", String(task), folder);
  await expectCopies(task, bytes, 1);
  const again = await tablao(manager, "download", String(task), folder);
  expect([downloaded, again].map(({ stderr }) => stderr).join("")).toContain(`runs in ${folder}`);
  expect(again.code).toBe(1);
  expect(await taskOf(manager, task)).toMatchObject({ lost: 0 });

  await first.stop();
  expect((await tablao(manager, "download", String(task), folder)).code).toBe(0);
});
