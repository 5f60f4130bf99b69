/**
 * P12: the version of Blender, from submission to history: one task is rendered by one minor version,
 * whatever workers there are and whichever claims first.
 */
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { leaseSchema, type Lease } from "../../src/protocol/lease.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { taskWhySchema, type TaskWhy } from "../../src/protocol/why.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { fresh, upload } from "./api-farm.ts";
import { history, ring } from "./chaos-tasks.ts";
import { newTask, okJson, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

interface Machine {
  id: number;
  secret: string;
  blenders: string[];
}

/** A worker with these Blenders, as an agent of this release registers it. */
async function machine(hostname: string, ...blenders: string[]): Promise<Machine> {
  const json = {
    hostname,
    system: "Linux 6.1",
    platform: "linux",
    version: "0.2.0",
    programs: { blender: blenders[0]!, "tablao-tool": "0.2.0" },
    ...(blenders.length > 1 && { versions: { blender: blenders } }),
  };
  const answer = await okJson(await send("POST", "/workers", { json }), 201);
  const [worker] = Object.values(workerRegisteredSchema.parse(answer));
  expect(worker!.versions).toEqual(blenders.length > 1 ? { blender: blenders } : undefined);
  return { id: worker!.id, secret: worker!.secret!, blenders };
}

let old: Machine;
let lts: Machine;
let newest: Machine;
let several: Machine;
beforeAll(async () => {
  old = await machine("render-07", "3.4.1");
  lts = await machine("render-08", "4.5.15");
  newest = await machine("render-09", "5.0.1");
  several = await machine("render-10", "5.0.1", "4.5.3");
});

async function submit(blender: string | undefined, priority: number): Promise<number> {
  const settings = { file: "/mnt/shot.blend", frames: "1-3", ...(blender !== undefined && { blender }) };
  return await newTask(undefined, { type: "blender_render", settings, priority });
}

/** The task that the registry gives a worker that asks for work. */
async function assigned({ id, secret }: Machine): Promise<number | null> {
  const answer = await send("PATCH", `/workers/${id}`, { token: secret, json: { status: "available" } });
  return (await okJson(answer, 200))["task_id"] as number | null;
}

const headerOf = (blenders: readonly string[]): Record<string, string> =>
  blenders.length === 0 ? {} : { "Tablao-Blender": blenders.join(", ") };

async function claimed(task: number, { secret, blenders }: Machine): Promise<{ lease: Lease | null; reason: unknown }> {
  const json = { key: fresh("claim-key"), platform: "linux", epoch: 1e12 };
  const headers = headerOf(blenders);
  const answer = await okJson(await send("POST", `/tasks/${task}/leases`, { token: secret, json, headers }), 200);
  return { lease: answer["lease"] === null ? null : leaseSchema.parse(answer["lease"]), reason: answer["reason"] };
}

async function leased(task: number, worker: Machine): Promise<Lease> {
  const { lease, reason } = await claimed(task, worker);
  if (!lease) throw new Error(`no lease: ${String(reason)}`);
  return lease;
}

/** Complete the frame of a lease; with `next`, claim on in the same call. */
async function complete(lease: Lease, { secret, blenders }: Machine, next = false): Promise<Lease | null> {
  const { frame, name } = lease.plan.outputs[0]!;
  const done = [{ frame, seconds: 1, receipts: [await upload(secret, lease, name, `frame ${frame}`)] }];
  const claim = { key: fresh("claim-key"), platform: "linux", epoch: 1e12 };
  const json = { attempt: lease.attempt, done, next: next ? claim : null };
  const headers = headerOf(blenders);
  const path = `/tasks/${lease.task_id}/leases/${lease.lease_id}/complete`;
  const answer = await okJson(await send("POST", path, { token: secret, json, headers }), 200);
  const given = (answer["next"] as { lease: unknown } | null)?.lease ?? null;
  return given === null ? null : leaseSchema.parse(given);
}

const why = async (task: number): Promise<TaskWhy> =>
  taskWhySchema.parse(await okJson(await send("GET", `/tasks/${task}/why`), 200));

/** End the task, so that it is nothing to the tests that follow. */
async function cancel(task: number): Promise<void> {
  expect((await send("PATCH", `/tasks/${task}`, { json: { status: "cancel" } })).status).toBe(204);
}

describe("P12: the Blender of a task", () => {
  test("a task of 4.5 goes to workers that have it, and their plan names it", async () => {
    const task = await submit("4.5", 90);
    expect([await assigned(old), await assigned(newest)]).toEqual([null, null]);
    expect([await assigned(lts), await assigned(several)]).toEqual([task, task]);
    expect((await leased(task, several)).plan.command).toMatchObject({ program: "blender", version: "4.5" });
    expect(await okJson(await send("GET", `/tasks/${task}/plan`), 200)).toMatchObject({ command: { version: "4.5" } });
    // The registry's word is not trusted: a worker that has another one gets no frame.
    expect(await claimed(task, newest)).toEqual({ lease: null, reason: "blender" });
    expect(await claimed(task, { ...newest, blenders: [] })).toEqual({ lease: null, reason: "blender" });
    await cancel(task);
  });

  test("one that no worker has waits, and why says what there is", async () => {
    const task = await submit("4.2", 91);
    for (const worker of [old, lts, newest, several]) expect(await assigned(worker)).not.toBe(task);
    const answer = await why(task);
    expect(answer).toMatchObject({
      rule: "workers_held",
      blender: {
        needs: "4.2",
        workers: 0,
        farm: [
          { version: "5.0", workers: 2 },
          { version: "4.5", workers: 2 },
          { version: "3.4", workers: 1 },
        ],
      },
    });
    expect(answer.text).toMatch(
      /It needs Blender 4\.2, and no worker has it: the farm has Blender 5\.0 \(2 workers\), 4\.5 \(2 workers\) and 3\.4 \(1 worker\)\.$/,
    );
    expect(answer.workers.map(({ hostname, text }) => `${hostname}: ${text}`)).toContain(
      "render-07: The task needs Blender 4.2; this one has 3.4.1.",
    );
    await cancel(task);
  });

  test("a task of 4.5+ is bound to the version that began, also after the object was evicted, and says so", async () => {
    const task = await submit("4.5+", 92);
    expect(await assigned(old)).toBeNull();
    expect(await assigned(lts)).toBe(task);
    const first = await leased(task, newest);
    expect(first.plan.command).toMatchObject({ version: "5.0" });
    expect(await claimed(task, lts)).toEqual({ lease: null, reason: "blender" });
    await until(
      async () => (await why(task)).blender?.needs === "5.0",
      () => "the report that the task is bound",
    );
    expect(await assigned(lts)).not.toBe(task);
    expect(await assigned(several)).toBe(task);
    await evictDurableObject(taskStub(env, task));
    expect(await claimed(task, lts)).toEqual({ lease: null, reason: "blender" });
    const second = (await complete(first, newest, true))!;
    expect(second.plan.command).toMatchObject({ version: "5.0" });
    await complete(second, newest);
    const { bound_blender } = await okJson(await send("GET", `/tasks/${task}`), 200);
    expect(bound_blender).toBe("5.0");
    await evictDurableObject(taskStub(env, task));
    expect(await claimed(task, lts)).toEqual({ lease: null, reason: "blender" });
    const last = await leased(task, several);
    expect(last.plan.command).toMatchObject({ version: "5.0" });
    await complete(last, several);

    const { frames } = await okJson(await send("GET", `/tasks/${task}/frames`), 200);
    expect(frames).toMatchObject([{ blender: "5.0.1" }, { blender: "5.0.1" }, { blender: "5.0.1" }]);
    await ring(task);
    const done = (await history(task)).filter(({ kind }) => kind === "done");
    expect(done.map(({ frames, blender }) => [frames, blender])).toEqual([
      ["1", "5.0.1"],
      ["2", "5.0.1"],
      ["3", "5.0.1"],
    ]);
  });

  test("when all frames of it are requeued, another version may begin", async () => {
    const task = await submit("4.5+", 93);
    await complete(await leased(task, newest), newest);
    await until(
      async () => (await why(task)).blender?.needs === "5.0",
      () => "the report that the task is bound",
    );
    const { files_version } = await okJson(await send("GET", `/tasks/${task}`), 200);
    const json = { status: "requeue", frames: "1", files_version };
    expect((await send("PATCH", `/tasks/${task}`, { json })).status).toBe(204);
    await until(
      async () => (await why(task)).blender?.needs === "4.5+",
      () => "the report that it is not bound",
    );
    expect(await assigned(lts)).toBe(task);
    expect((await leased(task, lts)).plan.command).toMatchObject({ version: "4.5" });
    await cancel(task);
  });

  test.each([undefined, "any"])("with blender %s, every version renders, and frames say which", async (blender) => {
    const task = await submit(blender, 94);
    for (const worker of [old, lts, several]) {
      expect(await assigned(worker)).toBe(task);
      const lease = await leased(task, worker);
      expect(lease.plan.command).not.toHaveProperty("version");
      await complete(lease, worker);
    }
    const { frames } = await okJson(await send("GET", `/tasks/${task}/frames`), 200);
    expect((frames as { blender: string }[]).map((frame) => frame.blender)).toEqual(["3.4.1", "4.5.15", "5.0.1"]);
    expect(await okJson(await send("GET", `/tasks/${task}`), 200)).not.toHaveProperty("bound_blender");
  });

  test("an agent of 0.1 renders what needs no version, as before, and is not given what does", async () => {
    const json = { hostname: "render-01", system: "Linux 6.1", version: "0.1.0", programs: { blender: "4.5.15" } };
    const [registered] = Object.values(
      workerRegisteredSchema.parse(await okJson(await send("POST", "/workers", { json }), 201)),
    );
    const agent: Machine = { id: registered!.id, secret: registered!.secret!, blenders: [] };
    const needs = await submit("4.5", 96);
    const needsNone = await submit(undefined, 95);
    expect(await assigned(agent)).toBe(needsNone);
    const lease = await leased(needsNone, agent);
    expect(lease.plan.command).not.toHaveProperty("version");
    await complete(lease, agent);
    const { frames } = await okJson(await send("GET", `/tasks/${needsNone}/frames?state=done`), 200);
    expect((frames as object[]).map((frame) => "blender" in frame)).toEqual([false]);
    const own = (await why(needs)).workers.find(({ worker_id }) => worker_id === agent.id);
    expect(own?.text).toBe("The task needs an agent of version 0.2.0 or newer; this one is 0.1.0.");
    await cancel(needs);
    await cancel(needsNone);
  });

  test("P10: a version that is none is refused by its field", async () => {
    const settings = { file: "/mnt/shot.blend", frames: "1", blender: "4.5.3" };
    const refused = await send("POST", "/tasks", { json: { type: "blender_render", settings } });
    expect((await problem(refused, 422, "invalid")).errors).toEqual([
      {
        field: "settings.blender",
        message: "names a patch, and workers are chosen by the minor version: give 4.5, 4.5+ or any",
      },
    ]);
  });
});
