import { EventEmitter } from "node:events";
import { readdirSync, renameSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { standInBlender } from "../../test/support/fake-blender.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { Stopwatch } from "../../test/support/real-time.ts";
import { until } from "../../test/support/wait.ts";
import { WORKER_VIEW } from "../../test/support/worker-view.ts";
import { identityOf } from "../client/process-stat.ts";
import { platformOf } from "./machine.ts";
import { lockName } from "./name-lock.ts";
import type { WorkerOptions } from "./options.ts";
import { AGENT_EXIT, runWorker } from "./worker.ts";

const JOIN = "tablao_join_0123456789abcdefghijklmnop";
const SECRET = "tablao_worker_0123456789abcdefghijklmnop";
const me = { ...WORKER_VIEW, secret: SECRET };
let manager: FakeManager;
let folder: ReturnType<typeof temporaryFolder>;
let signals: EventEmitter;
let said: string[];
let work: (number | null)[];

beforeEach(async () => {
  [signals, said, work] = [new EventEmitter(), [], []];
  folder = temporaryFolder("worker");
  manager = await FakeManager.start();
  manager
    .on("POST", /^\/workers$/, () => ({ status: 201, json: { h: me } }))
    .on("PATCH", /^\/workers\/5$/, () => ({
      status: 200,
      json: { task_id: work.shift() ?? null, epoch: 0, status: "enabled" },
    }));
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

function start(options: WorkerOptions = {}, machine = "this machine"): Promise<number> {
  const own = { manager: manager.url, join: JOIN, name: "n", stateDir: folder.path };
  const dependencies = { signals, write: (line: string) => said.push(line), machineId: async () => machine };
  return runWorker({ ...own, ...options }, dependencies);
}

/** Task 1: one frame that takes `delay_ms`. */
function offerFrame(delayMs: number): void {
  work.push(1);
  const args = ["demo", "8", "8", "1", "0", String(delayMs), { out: "frame_####.png" }, "1"];
  const plan = {
    command: { program: "tablao-tool", args, env: {} },
    parser: "plain",
    inputs: [],
    input_task: null,
    outputs: [{ frame: 1, name: "frame_0001.png" }],
    autoexec: false,
    needs_exec: false,
    frame_timeout_s: null,
  };
  const lease = { task_id: 1, lease_id: "L", attempt: 1, frames: "1", lease_ms: 60_000, until_ms: 1, grant: "g", plan };
  manager
    .on("POST", /^\/tasks\/1\/leases$/, () => ({ status: 200, json: { lease, reason: null, retry_after_ms: null } }))
    .on("PUT", /outputs/, ({ body }) => ({
      status: 201,
      json: { receipt: "r", name: "frame_0001.png", size: body.length, sha256: sha256(body) },
    }))
    .on("POST", /\/(complete|release)$/, () => ({ status: 200, json: { committed: 1, next: null } }));
}

describe("tablao worker", () => {
  test("wrong options are answered with a sentence, and nothing is done", async () => {
    expect(await start({ slots: 0 })).toBe(AGENT_EXIT.usage);
    expect(said).toEqual([expect.stringMatching(/slots: /)]);
    expect(manager.calls).toEqual([]);
  });

  test("--once registers, does the available work, and signs off; P9: no line holds a token", async () => {
    offerFrame(0);
    expect(await start({ once: true, tags: ["gpu"] })).toBe(AGENT_EXIT.ok);
    expect(manager.to(/^\/workers$/)[0]!.json).toMatchObject({
      name: "n",
      slots: 1,
      tags: ["gpu"],
      platform: platformOf(),
      allow_exec: false,
      programs: { "tablao-tool": expect.any(String) as string },
    });
    expect(manager.to(/complete$/)[0]!.json).toMatchObject({ attempt: 1, done: [{ frame: 1 }] });
    // Where ffmpeg is installed, the frame has a preview, too.
    expect(manager.to(/complete$/)[0]!.json).toHaveProperty("done.0.receipts.0", "r");
    expect(manager.to(/^\/workers\/5$/).map((call) => call.json)).toEqual([
      { status: "available" },
      { status: "available" },
      { leaving: true },
    ]);
    expect(said.join("\n")).toMatch(/registered as worker 5.*rendering frame 1.*frame 1 done.*stopped/s);
    for (const secret of [JOIN, SECRET, "access-1"]) expect(said.join("\n")).not.toContain(secret);
  });

  test("a machine with several Blenders reports all versions, and names them with every call", async () => {
    const blender = ["4.5.15", "3.4.1"].map((version) => standInBlender(join(folder.path, version), version));
    expect(await start({ once: true, blender })).toBe(AGENT_EXIT.ok);
    expect(manager.to(/^\/workers$/)[0]!.json).toMatchObject({
      programs: { blender: "4.5.15" },
      versions: { blender: ["4.5.15", "3.4.1"] },
    });
    for (const { headers } of manager.to(/^\/workers/)) expect(headers["tablao-blender"]).toBe("4.5.15, 3.4.1");
    expect(said.join("\n")).toContain("blender 4.5.15 and 3.4.1");
  });

  test("P5: Ctrl-C lets the frame end and takes no other; the process ends", async () => {
    offerFrame(1_000);
    const running = start();
    await until(() => said.some((line) => line.includes("rendering")), { what: "it renders" });
    signals.emit("SIGINT");
    expect(await running).toBe(AGENT_EXIT.ok);
    expect(manager.to(/complete$/)[0]!.json).toMatchObject({ done: [{ frame: 1 }], next: null });
    expect(manager.calls.at(-1)!.json).toEqual({ leaving: true });
  });

  test.each([
    ["P5: Ctrl-C twice", ["SIGINT", "SIGINT"]],
    ["P5: SIGTERM", ["SIGTERM"]],
    ["P5: a closed terminal", ["SIGHUP"]],
    ["P5: Ctrl-Break", ["SIGBREAK"]],
  ])("%s gives the frame back within 2 s", async (_, names) => {
    offerFrame(60_000);
    const running = start();
    await until(() => said.some((line) => line.includes("rendering")), { what: "it renders" });
    const watch = new Stopwatch();
    for (const name of names) signals.emit(name);
    expect(await running).toBe(AGENT_EXIT.ok);
    expect(watch.elapsedMs).toBeLessThan(2_000);
    expect(manager.to(/release$/)).toHaveLength(1);
    expect(manager.calls.at(-1)!.json).toEqual({ leaving: true });
  });

  test.each([["SIGINT"], ["SIGTERM"]])(
    "P5: a lease that was being claimed at %s is released, not left to expire",
    async (name) => {
      offerFrame(60_000);
      const { promise: answered, resolve: answer } = Promise.withResolvers<undefined>();
      manager.handlers.unshift((call) => (call.path.endsWith("/leases") ? answered : undefined));
      const running = start();
      await until(() => manager.to(/leases$/).length > 0, { what: "it claims" });
      signals.emit(name);
      answer(undefined);
      expect(await running).toBe(AGENT_EXIT.ok);
      expect(manager.to(/release$/).map(({ json }) => json)).toMatchObject([
        { done: [], reason: "the agent is stopping" },
      ]);
      expect(said.join()).not.toContain("rendering");
    },
  );

  test("P5: a manager that does not answer a claim does not delay stopping", async () => {
    offerFrame(0);
    manager.handlers.unshift((call) =>
      call.path.endsWith("/leases") ? new Promise<never>(() => undefined) : undefined,
    );
    const running = start();
    await until(() => manager.to(/leases$/).length > 0, { what: "it claims" });
    signals.emit("SIGTERM");
    const watch = new Stopwatch();
    expect(await running).toBe(AGENT_EXIT.ok);
    expect(watch.elapsedMs).toBeLessThan(5_000);
  });

  describe("P5: a machine that is renamed", () => {
    const NO_NAME = { name: undefined, once: true };
    const registrations = () => manager.to(/^\/workers$/).map(({ headers, json }) => [headers.authorization, json]);

    /** Register under this machine's name, then give the files the name that the machine had before. */
    async function registerAs(oldName: string, machine?: string): Promise<void> {
      await start(NO_NAME, machine);
      for (const file of readdirSync(folder.path)) {
        if (file.startsWith(hostname()))
          renameSync(join(folder.path, file), join(folder.path, oldName + file.slice(hostname().length)));
      }
      manager.on("POST", /^\/workers$/, () => ({ status: 200, json: { h: WORKER_VIEW } }));
      manager.calls.length = 0;
    }

    test("stays the same worker, under the new name, with its cache", async () => {
      await registerAs("old-name");
      expect(await start(NO_NAME)).toBe(AGENT_EXIT.ok);
      expect(registrations()).toEqual([
        [expect.stringMatching(/^Bearer access-/), expect.objectContaining({ hostname: hostname(), name: hostname() })],
      ]);
      expect(readdirSync(folder.path).filter((file) => file.endsWith(".json"))).toEqual(["old-name.json"]);
      expect(readdirSync(folder.path)).not.toContain(hostname());
      expect(said.join("\n")).toMatch(/this machine had another name.*stays the worker of .*old-name\.json/);
    });

    test("is not taken for another machine that shares the folder, or for a worker with a name of its own", async () => {
      await registerAs("another-machine", "another machine");
      await start({ name: "gpu", once: true });
      expect(await start(NO_NAME)).toBe(AGENT_EXIT.ok);
      expect(registrations().map(([token]) => token)).toEqual([`Bearer ${JOIN}`, `Bearer ${JOIN}`]);
    });

    test("is not taken for one whose agent runs", async () => {
      await registerAs("old-name");
      const unlock = await lockName(join(folder.path, "old-name.lock"), identityOf(process.ppid));
      expect(await start(NO_NAME)).toBe(AGENT_EXIT.ok);
      expect(await start({ ...NO_NAME, join: undefined, name: "no-such" })).toBe(AGENT_EXIT.failed);
      expect(registrations().map(([token]) => token)).toEqual([`Bearer ${JOIN}`]);
      unlock();
    });

    test("and has no identity that tells its machine: the answer names the workers of the folder", async () => {
      await registerAs("old-name", "");
      expect(await start({ ...NO_NAME, join: undefined })).toBe(AGENT_EXIT.failed);
      expect(said.at(-1)).toMatch(/not registered yet.*--name old-name/);
    });
  });

  test("a worker that was removed stops, and says what to do", async () => {
    manager.handlers.unshift((call) => (call.method === "PATCH" ? problem(404, "not_found") : undefined));
    expect(await start()).toBe(AGENT_EXIT.failed);
    expect(said.at(-1)).toContain("TABLAO_JOIN=TOKEN");
  });

  test("signal handlers are removed when it ends", async () => {
    await start({ once: true });
    expect(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM")).toBe(0);
  });
});
