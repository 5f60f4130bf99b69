/** The farm's live socket, the reasons why things wait, and the farm's metrics. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { farmMessageSchema, type FarmDelta, type FarmMessage, type LiveWorker } from "../../src/protocol/live.ts";
import type { TaskSummary } from "../../src/protocol/task.ts";
import { taskWhySchema, workerWhySchema } from "../../src/protocol/why.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { newTask, newToken, newWorker, okJson, problem, send } from "./http-client.ts";
import { watch, type Watch } from "./live-client.ts";
import { report } from "./registry-client.ts";

const env = bindings as unknown as Env;
const registry = registryStub(env) as unknown as RegistryRpc;
let nextTask = 50_000;

afterEach(() => {
  vi.useRealTimers();
});

function laterBy(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

/** The farm as a page has it after all messages; each message is checked against its schema. */
function farmOf(messages: FarmMessage[]): {
  tasks: Map<number, TaskSummary>;
  workers: Map<number, LiveWorker>;
  done: number;
} {
  const tasks = new Map<number, TaskSummary>();
  const workers = new Map<number, LiveWorker>();
  let done = 0;
  for (const message of messages) {
    farmMessageSchema.parse(message);
    if (message.type === "snapshot") {
      tasks.clear();
      workers.clear();
    } else {
      for (const id of message.tasks_gone ?? []) tasks.delete(id);
      for (const id of message.workers_gone ?? []) workers.delete(id);
    }
    for (const task of message.tasks ?? []) tasks.set(task.id, task);
    for (const worker of message.workers ?? []) workers.set(worker.id, worker);
    done = message.today?.frames ?? done;
  }
  return { tasks, workers, done };
}

async function shows(
  page: Watch<FarmMessage>,
  what: string,
  check: (farm: ReturnType<typeof farmOf>) => boolean,
): Promise<void> {
  await page.until((messages) => messages.length > 0 && check(farmOf(messages)), what);
}

describe("the farm's live socket", () => {
  it("shows tasks and workers as they appear, change and disappear, and the totals of today", async () => {
    const worker = await newWorker("seen");
    const page = await watch<FarmMessage>("/live");
    await shows(page, "the worker", ({ workers }) => workers.get(worker.id)?.connection === "online");
    const { done } = farmOf(page.messages);
    const id = nextTask++;
    const tally = (n: number) => ({ done: n, errors: 0, lost: 0, seconds: n });
    await registry.report(report(id, { task: { name: "first" }, tally: tally(0) }));
    await shows(page, "the task", ({ tasks }) => tasks.get(id)?.name === "first");
    await registry.report(report(id, { live_workers: [worker.id], task: { status: "rendering" }, tally: tally(3) }));
    await shows(
      page,
      "the render",
      ({ tasks, workers }) => tasks.get(id)?.status === "rendering" && workers.get(worker.id)?.current_task === id,
    );
    await shows(page, "today", (farm) => farm.done === done + 3);
    await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "disabled" } }), 200);
    await shows(page, "the switch", ({ workers }) => workers.get(worker.id)?.status === "disabled");
    const load = { load_average: { "1min": 1.5, "5min": 1, "15min": 1 }, worker_cpu_percent: 80 };
    const memory = {
      worker_architecture: "x86_64",
      worker_disk_percent: 1,
      worker_mem_percent: 40,
      worker_num_cpus: 8,
    };
    await okJson(
      await send("PATCH", `/workers/${worker.id}`, {
        token: worker.secret,
        json: { update_frequent: load, update_less_frequent: memory },
      }),
      200,
    );
    await shows(page, "the load", ({ workers }) => {
      const { cpu_percent, mem_percent, load_1min } = workers.get(worker.id)!;
      return cpu_percent === 80 && mem_percent === 40 && load_1min === 1.5;
    });
    await registry.report(report(id, { gone: true, tally: tally(3) }));
    await shows(page, "the task's end", ({ tasks }) => !tasks.has(id));
    expect((await send("DELETE", `/workers/${worker.id}`)).status).toBe(204);
    await shows(page, "the worker's end", ({ workers }) => !workers.has(worker.id));
    expect(page.messages.filter(({ type }) => type === "snapshot")).toHaveLength(1);
    const late = await watch<FarmMessage>("/live");
    await shows(
      late,
      "the same",
      (farm) =>
        [...farm.tasks.keys()].toSorted((a, b) => a - b).join() ===
        [...farmOf(page.messages).tasks.keys()].toSorted((a, b) => a - b).join(),
    );
  });

  it("shows a worker that becomes offline, through hibernation, and leaves workers' sockets alone", async () => {
    const worker = await newWorker("silent");
    const socket = await send("GET", `/workers/${worker.id}/socket`, {
      token: worker.secret,
      headers: { Upgrade: "websocket" },
    });
    socket.webSocket!.accept();
    const page = await watch<FarmMessage>("/live");
    await shows(page, "the worker", ({ workers }) => workers.get(worker.id)?.connection === "online");
    await evictDurableObject(registryStub(env));
    laterBy(80_000);
    expect(await runDurableObjectAlarm(registryStub(env))).toBe(true);
    await shows(page, "the silence", ({ workers }) => workers.get(worker.id)?.connection === "offline");
    expect(page.messages.filter(({ type }) => type === "snapshot")).toHaveLength(1);
    await registry.report(report(nextTask++, { task: { name: "after" } }));
    await shows(page, "what comes after", ({ tasks }) => [...tasks.values()].some(({ name }) => name === "after"));
    expect(page.closed).toBeNull();
  });

  it("sends what was missed after a break; after an eviction a snapshot, open tasks first", async () => {
    const page = await watch<FarmMessage>("/live");
    await page.until((messages) => messages.length > 0, "a snapshot");
    const { seq } = page.messages.at(-1)!;
    page.socket.close(1000);
    await page.until(() => page.closed !== null, "the end");
    const [open, ended] = [nextTask++, nextTask++];
    await registry.report(report(open));
    await registry.report(report(ended, { claimable: 0, task: { status: "completed" } }));
    const back = await watch<FarmMessage>(`/live?after=${seq}`);
    await back.until((messages) => messages.some((m) => ((m as FarmDelta).tasks ?? []).length >= 2), "what was missed");
    expect(back.messages[0]!.type).toBe("delta");
    expect(back.messages[0]!.tasks!.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([open, ended]);
    await evictDurableObject(registryStub(env), { webSockets: "close" });
    const anew = await watch<FarmMessage>(`/live?after=${back.messages.at(-1)!.seq}`);
    const [first] = await anew.until((messages) => messages.length > 0, "a snapshot");
    expect(first!.type).toBe("snapshot");
    const ids = first!.tasks!.map(({ id }) => id);
    expect(ids.indexOf(open)).toBeLessThan(ids.indexOf(ended));
  });

  it("costs nothing while no page watches: no alarm is set for it", async () => {
    const stub = env.REGISTRY.getByName("quiet") as unknown as RegistryRpc;
    await stub.report(report(1));
    expect(await runDurableObjectAlarm(env.REGISTRY.getByName("quiet"))).toBe(false);
  });
});

describe("why", () => {
  it("says what holds a task and a worker, in agreement with dispatch", async () => {
    const worker = await newWorker("why");
    const id = await newTask(undefined, { type: "print_string", tags: ["gpu"], priority: 900 });
    const ofTask = async () => taskWhySchema.parse(await okJson(await send("GET", `/tasks/${id}/why`), 200));
    const ofWorker = async () =>
      workerWhySchema.parse(await okJson(await send("GET", `/workers/${worker.id}/why`), 200));
    const hold = async () => (await ofTask()).workers.find(({ worker_id }) => worker_id === worker.id)!;
    expect(await hold()).toMatchObject({ rule: "cannot", missing: [{ kind: "tag", name: "gpu" }] });
    expect((await ofWorker()).passed_over).toContainEqual(
      expect.objectContaining({ task_id: id, rule: "cannot", missing: [{ kind: "tag", name: "gpu" }] }),
    );
    await okJson(await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: { tags: ["gpu"] } }), 200);
    expect(await ofTask()).toMatchObject({ rule: "none", would_fit: 1 });
    expect(await ofWorker()).toMatchObject({ rule: "none", task_id: id });
    await send("PATCH", `/tasks/${id}`, { json: { status: "pause" } });
    expect(await ofTask()).toMatchObject({ rule: "paused", would_fit: 1, status: "paused" });
    await send("PATCH", `/tasks/${id}`, { json: { status: "resume" } });
    await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "drain" } }), 200);
    expect([(await hold()).rule, (await ofWorker()).rule]).toEqual(["draining", "draining"]);
    await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "enabled" } }), 200);
    const asked = await okJson(
      await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: { status: "available" } }),
      200,
    );
    expect(asked["task_id"]).toBe(id);
    const next = await newTask(undefined, { depends_on: [id] });
    expect(taskWhySchema.parse(await okJson(await send("GET", `/tasks/${next}/why`), 200))).toMatchObject({
      rule: "depends",
      waits_for: [{ task_id: id, status: "queued" }],
    });
    await problem(await send("GET", "/tasks/999999/why"), 404, "not_found");
    await problem(await send("GET", "/workers/999999/why"), 404, "not_found");
  });
});

describe("metrics", () => {
  it("are Prometheus text that adds up", async () => {
    const id = nextTask++;
    const before = await numbers();
    const tally = { done: 5, errors: 2, lost: 1, seconds: 12.5 };
    await registry.report(report(id, { tally: { done: 0, errors: 0, lost: 0, seconds: 0 } }));
    await registry.report(report(id, { tally }));
    // A repeated report counts once.
    const last = report(id, { tally });
    await registry.report(last);
    await registry.report(last);
    const after = await numbers();
    const rise = (name: string) => after.get(name)! - before.get(name)!;
    expect(rise('tablao_tasks{status="queued"}')).toBe(1);
    expect(rise('tablao_frames{state="pending"}')).toBe(10);
    expect(
      ["done_total", "errors_total", "lost_total"].map((name) =>
        rise(
          name === "done_total"
            ? "tablao_frames_done_total"
            : name === "errors_total"
              ? "tablao_frame_errors_total"
              : "tablao_frames_lost_total",
        ),
      ),
    ).toEqual([5, 2, 1]);
    expect(rise("tablao_render_seconds_total")).toBe(12.5);
    const viewer = await newToken("viewer");
    const answer = await send("GET", "/metrics", { token: viewer.token });
    expect(answer.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    await answer.body?.cancel();
  });

  async function numbers(): Promise<Map<string, number>> {
    const text = await (await send("GET", "/metrics")).text();
    for (const line of text.trimEnd().split("\n"))
      expect(line).toMatch(/^# (HELP|TYPE) tablao_\w+ .+$|^tablao_\w+(\{[^}]+\})? [\d.]+$/);
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
    );
  }
});
