/**
 * What people do to workers: drain, stop now, tag, rename, and what somebody at the machine asks of the
 * agent. Lists say how it is, and what an admin has chosen stays.
 */
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { isDrained } from "../../src/protocol/worker-state.ts";
import type { Worker } from "../../src/protocol/worker.ts";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { claim, finish, fresh, newRender, upload } from "./api-farm.ts";
import { newWorker as overHttp, okJson, problem, send } from "./http-client.ts";
import {
  ADMIN,
  ask,
  BLENDER,
  connect,
  evicting,
  machine,
  newRegistry,
  newWorker,
  patch,
  pushesSoFar,
  report,
  type Registry,
} from "./registry-client.ts";

const self = (id: number) => ({ role: "worker", id, name: `worker:${id}` }) as const;
const farmRegistry = (): Registry => registryStub(env as unknown as Env) as unknown as Registry;

async function workerOf(id: number): Promise<Worker> {
  return (await okJson(await send("GET", `/workers/${id}`), 200)) as unknown as Worker;
}

async function framesOf(task: number): Promise<Record<string, number>> {
  return (await okJson(await send("GET", `/tasks/${task}`), 200))["frames"] as Record<string, number>;
}

describe("the tags and the name of a worker", () => {
  it("stay as an admin set them, whatever the agent reports when it registers again, over evictions", async () => {
    const registry = evicting(newRegistry());
    const { token } = await registry.createToken({ role: "join", name: "t", tags: ["cloud"] });
    const joined = await registry.registerWorker(
      machine("box", { tags: ["old"], name: "box-7" }),
      { role: "join", id: token.id, name: "t" },
      "",
    );
    if (!joined.ok) throw new Error("not joined");
    const { id } = joined.value.worker;
    expect(joined.value.worker).toMatchObject({ tags: ["cloud", "old"], name: "box-7", chosen: [] });
    await registry.patchWorker(id, { tags: ["gpu", "gpu"], name: "Ada's box" }, ADMIN, "");
    const again = machine("box", { tags: ["old", "new"], name: "box-7" });
    expect(await registry.registerWorker(again, self(id), "")).toMatchObject({
      value: { created: false, worker: { tags: ["gpu"], name: "Ada's box", chosen: ["name", "tags"] } },
    });
    // Dispatch goes by them.
    await registry.report(report(1, { needs: { ...BLENDER, tags: ["old"] } }));
    await registry.report(report(2, { needs: { ...BLENDER, tags: ["gpu"] }, priority: 1 }));
    expect(await ask(registry, id)).toBe(2);
    expect(await registry.workerNames([id])).toEqual({ [id]: "Ada's box" });
    // Given up, they are those of the join token and of the agent again.
    await registry.patchWorker(id, { tags: null, name: null }, ADMIN, "");
    expect(await registry.getWorker(id)).toMatchObject({
      value: { tags: ["cloud", "old", "new"], name: "box-7", chosen: [] },
    });
  });

  it("are the agent's own to report, and none of its reports counts as an admin's choice", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box", { tags: ["a"] });
    await patch(registry, id, { tags: ["b"], name: "x" });
    expect(await registry.getWorker(id)).toMatchObject({ value: { tags: ["b"], name: "x", chosen: [] } });
  });

  it("P10: of a wrong form are refused by name, and nothing is changed", async () => {
    const { id } = await overHttp(fresh("tagged"));
    const refused = await problem(
      await send("PATCH", `/workers/${id}`, { json: { tags: ["has space"], name: "new" } }),
      422,
      "invalid",
    );
    expect(JSON.stringify(refused.errors)).toContain("tags");
    expect(await workerOf(id)).toMatchObject({ name: "", chosen: [] });
  });
});

describe("a worker that somebody pauses at its machine", () => {
  it("gets no work, is not counted as able, and is shown so, until it is resumed there, over evictions", async () => {
    const registry = evicting(newRegistry());
    const { id } = await newWorker(registry, "box");
    await patch(registry, id, { local_state: "paused" });
    await registry.report(report(1));
    expect(await ask(registry, id)).toBeNull();
    expect(await registry.ableWorkers(BLENDER)).toBe(0);
    expect(await registry.listWorkers()).toMatchObject({
      box: { local_state: "paused", draining: false, current_task: null },
    });
    expect(await registry.whyWorker(id)).toMatchObject({
      value: {
        rule: "draining",
        text: "It is paused on the machine, and takes no work until somebody resumes it there.",
      },
    });
    // An admin's switch is another one.
    await registry.patchWorker(id, { status: "enabled" }, ADMIN, "");
    expect(await ask(registry, id)).toBeNull();
    await patch(registry, id, { local_state: null });
    expect(await ask(registry, id)).toBe(1);
  });

  it("is woken for what waits when it is resumed", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    await patch(registry, id, { local_state: "paused" });
    await registry.report(report(1));
    const line = await connect(registry, id);
    await patch(registry, id, { local_state: null });
    // No `drain` before: the agent knows its own pause, and would take it for an admin's.
    expect(await line.received(1)).toEqual([{ type: "work" }]);
  });

  it("is not paused any more after its agent has ended, and when it registers without saying so", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    await patch(registry, id, { local_state: "draining" });
    expect(await registry.getWorker(id)).toMatchObject({ value: { local_state: "draining" } });
    await patch(registry, id, { leaving: true });
    expect(await registry.getWorker(id)).toMatchObject({ value: { local_state: null } });
    await patch(registry, id, { local_state: "paused" });
    await registry.registerWorker(machine("box"), self(id), "");
    expect(await registry.getWorker(id)).toMatchObject({ value: { local_state: null } });
    await registry.registerWorker(machine("box", { local_state: "paused" }), self(id), "");
    expect(await registry.getWorker(id)).toMatchObject({ value: { local_state: "paused" } });
  });

  it("P10: is paused by its own agent alone", async () => {
    const { id } = await overHttp(fresh("paused"));
    const refused = await problem(
      await send("PATCH", `/workers/${id}`, { json: { local_state: "paused" } }),
      422,
      "invalid",
    );
    expect(refused.errors).toMatchObject([{ field: "local_state" }]);
    expect(await workerOf(id)).toMatchObject({ local_state: null });
  });
});

describe("a worker that is stopped now", () => {
  it("P2: an agent that does not know how loses its leases at once, and takes no more", async () => {
    const worker = await overHttp(fresh("old"));
    const task = await newRender();
    const lease = await claim(worker.secret, task);
    const line = await connect(farmRegistry(), worker.id);
    const stopped = await send("PATCH", `/workers/${worker.id}`, { json: { status: "stop_now" } });
    expect(await okJson(stopped, 200)).toMatchObject({ task_id: null, status: "enabled" });
    const shown = await workerOf(worker.id);
    expect(shown).toMatchObject({ draining: true, current_task: null });
    expect(isDrained(shown)).toBe(true);
    expect(await framesOf(task)).toMatchObject({ leased: 0, pending: 4, failed: 0 });
    const json = { attempt: lease.attempt, done: [], progress: null };
    await problem(
      await send("POST", `/tasks/${task}/leases/${lease.lease_id}/renew`, { token: worker.secret, json }),
      409,
      "lease_lost",
    );
    // It is told in words that it knows, too.
    expect(await line.received(3)).toEqual(
      expect.arrayContaining([
        { type: "drain" },
        { type: "stop_now" },
        { type: "cancel", task_id: task, lease_ids: [lease.lease_id] },
      ]),
    );
    const asked = await send("PATCH", `/workers/${worker.id}`, {
      token: worker.secret,
      json: { status: "available" },
    });
    expect(await okJson(asked, 200)).toMatchObject({ task_id: null });
    // The frames are another worker's now.
    const other = await overHttp(fresh("other"));
    const again = await claim(other.secret, task);
    await finish(other.secret, again);
  });

  it("P5: one that knows how gives its leases back itself, and the frames that it has finished are kept", async () => {
    const worker = await overHttp(fresh("new"));
    await okJson(
      await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: { version: "0.2.0" } }),
      200,
    );
    const task = await newRender();
    const lease = await claim(worker.secret, task);
    const [{ frame, name }] = lease.plan.outputs as [{ frame: number; name: string }];
    const receipt = await upload(worker.secret, lease, name, "pixels");
    const line = await connect(farmRegistry(), worker.id);
    await pushesSoFar(line);
    const before = line.pushes.length;
    const stopped = send("PATCH", `/workers/${worker.id}`, { json: { status: "stop_now" } });
    expect((await line.received(before + 2)).slice(before)).toEqual([{ type: "drain" }, { type: "stop_now" }]);
    const json = {
      attempt: lease.attempt,
      done: [{ frame, seconds: 1, receipts: [receipt] }],
      reason: "stopped",
      cause: "stopping",
    };
    const released = await send("POST", `/tasks/${task}/leases/${lease.lease_id}/release`, {
      token: worker.secret,
      json,
    });
    expect(await okJson(released, 200)).toMatchObject({ committed: 1 });
    await okJson(await stopped, 200);
    expect(line.pushes.some((push) => typeof push !== "string" && push.type === "cancel")).toBe(false);
    expect(await framesOf(task)).toMatchObject({ leased: 0, done: 1, pending: 3 });
    expect(isDrained(await workerOf(worker.id))).toBe(true);
  });

  it("P2: a claim that was under way gets nothing: it is sent back to the registry", async () => {
    const worker = await overHttp(fresh("races"));
    const task = await newRender(undefined, { priority: 99 });
    const asked = await send("PATCH", `/workers/${worker.id}`, {
      token: worker.secret,
      json: { status: "available" },
    });
    const { task_id, epoch } = await okJson(asked, 200);
    expect(task_id).toBe(task);
    await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "stop_now" } }), 200);
    const late = await send("POST", `/tasks/${task}/leases`, {
      token: worker.secret,
      json: { key: fresh("late"), platform: "linux", epoch },
    });
    expect(await okJson(late, 200)).toMatchObject({ lease: null, reason: "outranked" });
    expect(isDrained(await workerOf(worker.id))).toBe(true);
  });

  it("may be stopped twice, and is enabled again as after a drain", async () => {
    const worker = await overHttp(fresh("twice"));
    for (let time = 0; time < 2; time++)
      await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "stop_now" } }), 200);
    await evictDurableObject(farmRegistry());
    expect(await workerOf(worker.id)).toMatchObject({ draining: true });
    await okJson(await send("PATCH", `/workers/${worker.id}`, { json: { status: "enabled" } }), 200);
    expect(await workerOf(worker.id)).toMatchObject({ draining: false, status: "enabled" });
    await problem(await send("PATCH", "/workers/999999", { json: { status: "stop_now" } }), 404, "not_found");
  });
});
