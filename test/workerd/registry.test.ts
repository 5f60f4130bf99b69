import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sha256Hex } from "../../src/platform/secrets.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import type { WorkerRegistry } from "../../src/registry/worker-registry.ts";
import { TaskDO } from "../../src/task/task-do.ts";
import type { Lease } from "../../src/protocol/lease.ts";
import { ring } from "./alarms.ts";
import { newTask, newWorker as newHttpWorker, okJson, send } from "./http-client.ts";
import {
  ADMIN,
  ask,
  BLENDER,
  connect,
  evicting,
  joinToken,
  machine,
  newRegistry,
  newWorker,
  patch,
  report,
  rowsOf,
  pushesSoFar,
  type WorkerSocket,
} from "./registry-client.ts";
import { FULL, refusing } from "./statements.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Set the clock `ms` ahead of now; timers keep running. */
function later(ms: number): void {
  const nowMs = Date.now() + ms;
  if (!vi.isFakeTimers()) vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(nowMs);
}

/** Wait until the check passes: messages that are under way arrive. */
async function soon(check: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(check, 120_000);
}

async function alarmOf(registry: DurableObjectStub<WorkerRegistry>): Promise<number | null> {
  return await runInDurableObject(registry, (_instance, { storage }) => storage.getAlarm());
}

/** Calls of `outrank`, as task and epoch. */
function preemptCalls(): [number, number][] {
  const calls: [number, number][] = [];
  vi.spyOn(TaskDO.prototype, "outrank").mockImplementation(async function (this: TaskDO, epoch: number) {
    calls.push([Number((this as unknown as { ctx: DurableObjectState }).ctx.id.name), epoch]);
  });
  return calls;
}

const identity = async (registry: RegistryRpc, secret: string) => await registry.authenticate(await sha256Hex(secret));

describe("tokens", () => {
  it("P9: let their holder in until they are revoked or expire, and are stored as hashes only", async () => {
    const registry = newRegistry();
    const { token, secret } = await registry.createToken({ role: "artist", name: "ada", tags: [], expires_s: 60 });
    const worker = await newWorker(registry, "box");
    expect(await identity(registry, secret)).toEqual({ role: "artist", id: token.id, name: "ada" });
    expect(await identity(registry, worker.secret)).toEqual({
      role: "worker",
      id: worker.id,
      name: `worker:${worker.id}`,
    });
    expect(await registry.authenticate(secret)).toBeNull();
    const stored = await runInDurableObject(registry, (_instance, { storage }) =>
      ["tokens", "workers"].map((table) => JSON.stringify(storage.sql.exec(`SELECT * FROM ${table}`).toArray())).join(),
    );
    expect(stored).toContain(await sha256Hex(secret));
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(worker.secret);
    expect(JSON.stringify([await registry.listTokens(), await registry.listWorkers()])).not.toContain(
      await sha256Hex(secret),
    );
    later(60_000);
    expect(await identity(registry, secret)).toBeNull();

    const other = await registry.createToken({ role: "viewer", name: "wall", tags: [] });
    expect(await registry.revokeToken(other.token.id)).toMatchObject({
      ok: true,
      value: { revoked: true, name: "wall" },
    });
    expect(await identity(registry, other.secret)).toBeNull();
    expect(await registry.revokeToken(99)).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect((await registry.listTokens()).map(({ name, revoked }) => [name, revoked])).toEqual([
      ["ada", false],
      ["wall", true],
    ]);
  });

  it("write the time of their last use once a minute", async () => {
    const registry = newRegistry();
    const { secret } = await registry.createToken({ role: "viewer", name: "wall", tags: [] });
    const sha256 = await sha256Hex(secret);
    later(0);
    const firstMs = Date.now();
    expect((await rowsOf(registry, (r) => r.authenticate(sha256))).written).toBe(1);
    later(59_000);
    expect((await rowsOf(registry, (r) => r.authenticate(sha256))).written).toBe(0);
    expect((await registry.listTokens())[0]!.last_used_ms).toBe(firstMs);
    later(1_000);
    expect((await rowsOf(registry, (r) => r.authenticate(sha256))).written).toBe(1);
  });

  it("for joining register as many workers as they have uses, however many come at once", async () => {
    const registry = newRegistry();
    const { token, secret } = await registry.createToken(joinToken({ uses: 5, tags: ["cloud"] }));
    const caller = (await identity(registry, secret))!;
    const all = await Promise.all(
      Array.from({ length: 12 }, (_, n) => registry.registerWorker(machine(`box${n}`), caller, "192.0.2.9")),
    );
    const joined = all.filter((one) => one.ok).map((one) => one.value);
    expect(joined).toHaveLength(5);
    expect(new Set(joined.map((one) => one.secret)).size).toBe(5);
    expect(joined.every((one) => one.created && one.worker.tags.includes("cloud"))).toBe(true);
    for (const one of all) if (!one.ok) expect(one.error.code).toBe("unauthorized");
    expect(Object.keys(await registry.listWorkers())).toHaveLength(5);
    expect((await registry.listTokens()).find(({ id }) => id === token.id)!.uses_left).toBe(0);
    expect(await identity(registry, secret)).toBeNull();
  });

  it("of other roles, and invalid ones, register no worker", async () => {
    const registry = newRegistry();
    const { token } = await registry.createToken(joinToken());
    await registry.revokeToken(token.id);
    const tries = [
      { role: "join" as const, id: token.id, name: "tonight" },
      { role: "join" as const, id: 99, name: "never was" },
      { role: "artist" as const, id: 1, name: "ada" },
      { role: "worker" as const, id: 99, name: "worker:99" },
    ];
    const codes = [];
    for (const caller of tries) {
      const refused = await registry.registerWorker(machine("box"), caller, "192.0.2.9");
      codes.push(refused.ok ? "ok" : refused.error.code);
    }
    expect(codes).toEqual(["unauthorized", "unauthorized", "forbidden", "not_found"]);
    expect(await registry.listWorkers()).toEqual({});
  });
});

describe("workers", () => {
  it("of one hostname are distinct, keep their identity, and their ids are never used again", async () => {
    const registry = newRegistry();
    const first = await newWorker(registry, "studio");
    const second = await newWorker(registry, "studio");
    const odd = await newWorker(registry, "__proto__");
    expect(Object.keys(await registry.listWorkers())).toEqual(["studio", `studio#${second.id}`, "__proto__"]);

    const again = await registry.registerWorker(
      machine("studio", { system: "Linux 6.2" }),
      (await identity(registry, second.secret))!,
      "192.0.2.2",
    );
    expect(again).toMatchObject({ ok: true, value: { key: `studio#${second.id}`, created: false, secret: null } });
    const list = await registry.listWorkers();
    expect(list[`studio#${second.id}`]).toMatchObject({ id: second.id, system: "Linux 6.2", ip_address: "192.0.2.2" });
    expect(list["studio"]).toMatchObject({ id: first.id, system: "Linux 6.1", ip_address: "192.0.2.1" });

    expect(await registry.removeWorker(odd.id)).toEqual({ ok: true, value: null });
    expect(await identity(registry, odd.secret)).toBeNull();
    expect(await registry.getWorker(odd.id)).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect(await registry.removeWorker(odd.id)).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect((await newWorker(registry, "next")).id).toBe(odd.id + 1);
  });

  it("show what they report, over evictions, and are offline a minute after their last request", async () => {
    const registry = newRegistry();
    const evicted = evicting(registry);
    const { id } = await newWorker(evicted, "box", { mac_address: 158929712651, tags: ["gpu"], slots: 2 });
    await patch(evicted, id, {
      activity: "loading",
      log: "line",
      time_cost: 2.5,
      port: 5000,
      programs: { blender: "4.2", ffmpeg: "7" },
    });
    const frequent = { load_average: { "1min": 2.18, "5min": 2.11, "15min": 2.18 }, worker_cpu_percent: 7 };
    await patch(evicted, id, { update_frequent: frequent });
    const info = await evicted.getWorker(id);
    expect(info).toMatchObject({
      ok: true,
      value: {
        hostname: "box",
        mac_address: 158929712651,
        activity: "loading",
        log: "line",
        time_cost: 2.5,
        port: 5000,
        slots: 2,
        tags: ["gpu"],
        connection: "online",
        status: "enabled",
      },
    });
    if (!info.ok) return;
    expect(info.value.update_frequent).toEqual(frequent);
    expect(info.value.task_types).toEqual(expect.arrayContaining(["blender_render", "ffmpeg_video", "print_string"]));
    expect(info.value.task_types).not.toContain("exec");
    later(60_000);
    expect((await registry.listWorkers())["box"]!.connection).toBe("offline");
    await patch(registry, id, { activity: null });
    expect((await registry.listWorkers())["box"]).toMatchObject({ connection: "online", activity: null });
    await patch(registry, id, { leaving: true });
    expect((await registry.listWorkers())["box"]!.connection).toBe("offline");
  });

  it("that only repeat their report cost no row: presence and load are kept in memory", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    later(0);
    const load = (percent: number) => ({
      update_frequent: { load_average: { "1min": 1, "5min": 1, "15min": 1 }, worker_cpu_percent: percent },
    });
    const written = async (percent: number) => (await rowsOf(registry, (r) => patch(r, id, load(percent)))).written;
    expect(await written(1)).toBe(1);
    expect(await written(2)).toBe(0);
    expect(await registry.getWorker(id)).toMatchObject({ value: load(2) });
    later(61_000);
    expect(await written(3)).toBe(1);
  });

  it("P8: are given a task with a piece list only in a version that reads it, over evictions and an update of the agent", async () => {
    const registry = newRegistry();
    const evicted = evicting(registry);
    await evicted.report(report(1, { needs: { ...BLENDER, agent: "0.2.0" } }));
    await evicted.report(report(2, { priority: 10 }));
    const silent = await newWorker(evicted, "silent");
    const old = await newWorker(evicted, "old", { version: "0.1.0" });
    const current = await newWorker(evicted, "current", { version: "0.2.0" });
    expect([await ask(evicted, silent.id), await ask(evicted, old.id), await ask(evicted, current.id)]).toEqual([
      2, 2, 1,
    ]);
    const why = await evicted.whyTask(1, []);
    expect(why.ok && why.value.workers.find((hold) => hold.worker_id === old.id)!.text).toBe(
      "The task needs an agent of version 0.2.0 or newer; this one is 0.1.0.",
    );
    await patch(evicted, old.id, { version: "0.2.1" });
    expect(await ask(evicted, old.id)).toBe(1);
  });

  it("of 2015 say `rendering` and `available`, report no programs, and are shown correctly", async () => {
    const registry = newRegistry();
    const registered = await registry.registerWorker({ hostname: "old", system: "Darwin 14.1.0" }, ADMIN, "127.0.0.1");
    const id = registered.ok ? registered.value.worker.id : 0;
    await registry.report(report(4));
    const shown = async () => {
      const { status, current_task } = (await registry.listWorkers())["old"]!;
      return [status, current_task];
    };
    // With whatever token it was given.
    const reportStatus = async (status: "available" | "rendering") => {
      const patched = await registry.patchWorker(id, { status }, ADMIN, "127.0.0.1");
      return patched.ok ? patched.value : null;
    };
    expect(await shown()).toEqual(["enabled", null]);
    expect(await reportStatus("available")).toMatchObject({ task_id: 4, status: "enabled" });
    expect(await reportStatus("rendering")).toMatchObject({ task_id: 4, status: "rendering" });
    expect(await shown()).toEqual(["rendering", 4]);
    await registry.report(report(4, { claimable: 0, task: { status: "completed" } }));
    expect(await shown()).toEqual(["rendering", null]);
    expect(await reportStatus("available")).toMatchObject({ task_id: null, status: "enabled" });
    expect(await shown()).toEqual(["enabled", null]);
  });

  it("count as online by a live lease alone, and show the task they claimed from last", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    await registry.report(report(1, { live_workers: [id] }));
    later(500_000);
    await registry.report(report(2, { live_workers: [id] }));
    later(1_000);
    await registry.report(report(1, { live_workers: [id] }));
    await evictDurableObject(registry);
    expect((await registry.listWorkers())["box"]).toMatchObject({
      connection: "online",
      status: "rendering",
      current_task: 2,
    });
    await registry.report(report(2));
    expect((await registry.listWorkers())["box"]).toMatchObject({ status: "rendering", current_task: 1 });
    await registry.report(report(1, { gone: true }));
    expect((await registry.listWorkers())["box"]).toMatchObject({
      connection: "offline",
      status: "enabled",
      current_task: null,
    });
  });
});

describe("dispatch", () => {
  it("P8: gives the first task in order that the worker can do, over evictions between any two calls", async () => {
    const registry = evicting(newRegistry());
    const { id } = await newWorker(registry, "box", { tags: ["gpu"] });
    await registry.report(report(1, { priority: 90, needs: { ...BLENDER, allow_exec: true } }));
    await registry.report(report(3, { priority: 60, needs: { ...BLENDER, tags: ["gpu"] } }));
    await registry.report(report(2, { priority: 60 }));
    await registry.report(report(4, { priority: 70, claimable: 0 }));
    await registry.report(report(5, { priority: 80, kept_off: [{ worker_id: id, until_ms: Date.now() + 60_000 }] }));
    expect(await ask(registry, id)).toBe(2);
    await registry.report(report(2, { claimable: 0 }));
    expect(await ask(registry, id)).toBe(3);
    await registry.report(report(3, { priority: 10, needs: { ...BLENDER, tags: ["gpu"] } }));
    await registry.report(report(6, { priority: 20 }));
    expect(await ask(registry, id)).toBe(6);
    await registry.report(report(5, { priority: 80 }));
    expect(await ask(registry, id)).toBe(5);
    await registry.report(report(5, { gone: true }));
    await registry.report(report(6, { claimable: 0 }));
    expect(await ask(registry, id)).toBe(3);
    await registry.report(report(3, { claimable: 0, needs: { ...BLENDER, tags: ["gpu"] } }));
    expect(await ask(registry, id)).toBeNull();
    await patch(registry, id, { allow_exec: true });
    expect(await ask(registry, id)).toBe(1);
  });

  it("does not offer a task that had nothing for a worker to that worker for a time, unless the task has frames again", async () => {
    const registry = newRegistry();
    const [one, two] = [await newWorker(registry, "one"), await newWorker(registry, "two")];
    await registry.report(report(1));
    await registry.report(report(2, { priority: 10 }));
    const back = async (task_id: number, retry_after_ms: number) =>
      (await patch(registry, one.id, { status: "available", refused: { task_id, retry_after_ms } })).task_id;
    later(0);
    expect(await back(1, 5_000)).toBe(2);
    expect(await ask(registry, two.id)).toBe(1);
    expect(await back(2, 86_400_000)).toBeNull();
    later(5_000);
    expect(await ask(registry, one.id)).toBe(1);
    expect(await back(1, 60_000)).toBeNull();
    await registry.report(report(1, { claimable: 0 }));
    await registry.report(report(1, { claimable: 1 }));
    expect(await ask(registry, one.id)).toBe(1);
    expect(await back(1, 7_200_000)).toBeNull();
    // An hour at most, whatever the answer said.
    later(3_600_000);
    expect(await ask(registry, one.id)).toBe(1);
  });

  it("gives nothing to workers that are switched off or draining, and does not count them as able, over evictions", async () => {
    const registry = evicting(newRegistry());
    const [one, two] = [await newWorker(registry, "one"), await newWorker(registry, "two")];
    expect(await registry.report(report(1))).toEqual({ able_workers: 2, watched: false });
    expect(await registry.ableWorkers({ ...BLENDER, tags: ["gpu"] })).toBe(0);
    const off = await registry.patchWorker(one.id, { status: "disabled" }, ADMIN, "");
    expect(off).toMatchObject({ value: { task_id: null, status: "disabled" } });
    await patch(registry, two.id, { status: "drain" });
    expect([await ask(registry, one.id), await ask(registry, two.id)]).toEqual([null, null]);
    expect(await registry.ableWorkers(BLENDER)).toBe(0);
    expect(await registry.listWorkers()).toMatchObject({
      one: { status: "disabled" },
      two: { status: "enabled", draining: true },
    });
    await registry.patchWorker(one.id, { status: "enabled" }, ADMIN, "");
    await patch(registry, two.id, { status: "enabled" });
    expect([await ask(registry, one.id), await ask(registry, two.id)]).toEqual([1, 1]);
    expect(await registry.patchWorker(99, { status: "available" }, ADMIN, "")).toMatchObject({
      error: { code: "not_found" },
    });
  });

  it("P8: preempts workers of tasks below new work that they could do, with an epoch that only rises", async () => {
    const calls = preemptCalls();
    const registry = newRegistry();
    const [one, two] = [await newWorker(registry, "one"), await newWorker(registry, "two", { programs: {} })];
    await registry.report(report(101, { priority: 10, live_workers: [one.id] }));
    await registry.report(report(102, { priority: 10, live_workers: [two.id] }));
    await registry.report(report(103, { priority: 90, live_workers: [one.id], claimable: 0 }));
    expect(calls).toEqual([]);
    await registry.report(report(104, { priority: 50 }));
    await soon(() => expect(calls).toEqual([[101, 1]]));
    expect(await patch(registry, one.id, { status: "available" })).toMatchObject({ task_id: 104, epoch: 1 });
    // The same report again changes nothing.
    await registry.report(report(104, { priority: 50, claimable: 9 }));
    await evictDurableObject(registry);
    await registry.report(report(104, { priority: 60, claimable: 9 }));
    await soon(() =>
      expect(calls).toEqual([
        [101, 1],
        [101, 2],
      ]),
    );
    // The task fell below work that waits: its worker has something better to do.
    await registry.report(report(105, { priority: 70, live_workers: [one.id] }));
    await soon(() => expect(calls).toHaveLength(3));
    await registry.report(report(105, { priority: 5, live_workers: [one.id] }));
    await soon(() => expect(calls.slice(3)).toEqual([[105, 4]]));
  });

  it("P8: tells a task that wakes late about workers that were assigned to it before the epoch rose", async () => {
    const calls = preemptCalls();
    const registry = newRegistry();
    const { id } = await newWorker(registry, "one");
    const helper = await newWorker(registry, "two");
    await registry.report(report(201, { priority: 10 }));
    const assigned = await patch(registry, id, { status: "available" });
    expect(assigned).toMatchObject({ task_id: 201, epoch: 0 });
    await registry.report(report(203, { priority: 5, live_workers: [helper.id] }));
    await registry.report(report(202, { priority: 50 }));
    await soon(() => expect(calls).toContainEqual([203, 1]));
    expect(calls.some(([task]) => task === 201)).toBe(false);
    await registry.report(report(201, { priority: 10, live_workers: [id] }));
    await soon(() => expect(calls).toContainEqual([201, 1]));
  });

  it("P8: recalls a worker, once, to the task that had nothing for it when it took on one of lower priority", async () => {
    const calls = preemptCalls();
    const registry = newRegistry();
    const { id } = await newWorker(registry, "one");
    await registry.report(report(401, { priority: 90 }));
    await registry.report(report(402, { priority: 10 }));
    later(0);
    const back = async () =>
      await patch(registry, id, { status: "available", refused: { task_id: 401, retry_after_ms: 5_000 } });
    expect(await back()).toMatchObject({ task_id: 402, epoch: 0 });
    await registry.report(report(402, { priority: 10, live_workers: [id] }));
    later(5_000);
    await ring(registry);
    await soon(() => expect(calls).toEqual([[402, 1]]));
    expect(await ask(registry, id)).toBe(401);
    expect(await back()).toMatchObject({ task_id: 402, epoch: 1 });
    expect(await alarmOf(registry)).toBeNull();
    // Frames that return to the task recall the worker again.
    await registry.report(report(401, { priority: 90, claimable: 0 }));
    await registry.report(report(401, { priority: 90 }));
    await soon(() =>
      expect(calls).toEqual([
        [402, 1],
        [402, 2],
      ]),
    );
  });

  it("preempts the workers of a task when one of them is switched off, and tries again when the task cannot be reached", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "one");
    await registry.report(report(301, { live_workers: [id] }));
    let fails = 1;
    const told: number[] = [];
    vi.spyOn(TaskDO.prototype, "outrank").mockImplementation(async (epoch: number) => {
      if (fails-- > 0) throw new Error("the object is being reset");
      told.push(epoch);
    });
    await registry.patchWorker(id, { status: "disabled" }, ADMIN, "");
    await soon(async () => expect(await alarmOf(registry)).not.toBeNull());
    expect(told).toEqual([]);
    later(2_000);
    await ring(registry);
    await soon(() => expect(told).toEqual([1]));
  });
});

describe("sockets", () => {
  it("keep a worker online by pings alone, also in hibernation, until three are missed", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    const line = await connect(registry, id);
    await evictDurableObject(registry);
    later(0);
    line.socket.send("ping");
    expect(await line.received(1)).toEqual(["pong"]);
    line.socket.send("what is this?");
    later(44_000);
    expect((await registry.listWorkers())["box"]!.connection).toBe("online");
    later(60_000);
    expect((await registry.listWorkers())["box"]!.connection).toBe("offline");
    expect(line.closed).toBeNull();
  });

  it("are refused to unknown workers, and without an upgrade", async () => {
    const registry = newRegistry();
    const headers = { Upgrade: "websocket", "Tablao-Worker-Id": "1" };
    expect((await registry.fetch("https://farm.example/workers/1/socket", { headers })).status).toBe(404);
    expect((await registry.fetch("https://farm.example/workers/1/socket")).status).toBe(426);
  });

  it("are replaced by a newer one of the same worker; a removed worker's is closed for good", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    const older = await connect(registry, id);
    const newer = await connect(registry, id);
    // The older socket's closing handshake is still under way.
    await evictDurableObject(registry);
    await registry.report(report(1));
    expect(await newer.received(1)).toEqual([{ type: "work" }]);
    await soon(() => expect(older.closed).toMatchObject({ code: 4000 }));
    expect(older.pushes).toEqual([]);
    await registry.removeWorker(id);
    await soon(() => expect(newer.closed).toMatchObject({ code: 4001 }));
  });

  it("answer a close with the peer's own code", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    const line = await connect(registry, id);
    line.socket.close(4321, "bye");
    await soon(() => expect(line.closed).toMatchObject({ code: 4321 }));
    await registry.report(report(1));
    expect(line.pushes).toEqual([]);
  });

  it("send at once what waits: work, or that the worker is to drain", async () => {
    const registry = newRegistry();
    const [one, two] = [await newWorker(registry, "one"), await newWorker(registry, "two")];
    await registry.report(report(1));
    expect(await (await connect(registry, one.id)).received(1)).toEqual([{ type: "work" }]);
    await registry.patchWorker(two.id, { status: "disabled" }, ADMIN, "");
    const line = await connect(registry, two.id);
    expect(await line.received(1)).toEqual([{ type: "drain" }]);
    await registry.patchWorker(two.id, { status: "enabled" }, ADMIN, "");
    expect(await line.received(3)).toEqual([{ type: "drain" }, { type: "enable" }, { type: "work" }]);
    await registry.patchWorker(two.id, { status: "drain" }, ADMIN, "");
    await registry.pushCancel([
      { worker_id: two.id, task_id: 1, lease_ids: ["a"] },
      { worker_id: 99, task_id: 1, lease_ids: ["b"] },
    ]);
    expect((await line.received(5)).slice(3)).toEqual([
      { type: "drain" },
      { type: "cancel", task_id: 1, lease_ids: ["a"] },
    ]);
  });

  it("wake as many idle workers as there are frames; one that does not come is replaced, and no other is disturbed", async () => {
    const registry = newRegistry();
    const evicted = evicting(registry);
    const workers: { id: number; line: WorkerSocket }[] = [];
    for (let n = 0; n < 4; n++) {
      const { id } = await newWorker(registry, `box${n}`);
      workers.push({ id, line: await connect(registry, id) });
    }
    const unable = await newWorker(registry, "bare", { programs: {} });
    const bare = await connect(registry, unable.id);
    for (const { id } of workers) expect(await ask(registry, id)).toBeNull();
    expect(await alarmOf(registry)).toBeNull();
    /** Ids of the workers, once for each push that each has got. */
    const woken = async () => {
      const ids: number[] = [];
      for (const { id, line } of workers) ids.push(...(await pushesSoFar(line)).map(() => id));
      return ids;
    };
    later(0);
    await evicted.report(report(1, { claimable: 1 }));
    const [first] = await woken();
    expect(await woken()).toEqual([first]);
    // Another report of the same frame wakes no worker; a second frame wakes one more.
    await evicted.report(report(1, { claimable: 1 }));
    expect(await woken()).toEqual([first]);
    await evicted.report(report(1, { claimable: 2 }));
    const second = (await woken()).find((id) => id !== first)!;
    expect(new Set(await woken())).toEqual(new Set([first!, second]));
    expect(await woken()).toHaveLength(2);
    // The second comes, the first does not: another is woken in its place, or the first is woken
    // again.
    expect(await ask(registry, second)).toBe(1);
    await registry.report(report(1, { claimable: 1, live_workers: [second] }));
    expect(await woken()).toHaveLength(2);
    later(5_000);
    await evictDurableObject(registry);
    await ring(registry);
    expect(await woken()).toHaveLength(3);
    expect((await woken()).filter((id) => id === second)).toHaveLength(1);
    await registry.report(report(1, { claimable: 0, live_workers: [second] }));
    later(60_000);
    await ring(registry);
    expect(await alarmOf(registry)).toBeNull();
    expect(await pushesSoFar(bare)).toEqual([]);
  });

  it("P13: set the alarm anew when a due alarm is so late that it must be lost", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    await connect(registry, id);
    later(0);
    await registry.report(report(1));
    expect(await alarmOf(registry)).toBe(Date.now() + 5_000);
    later(35_000);
    await registry.report(report(1));
    // The overdue scan runs at once.
    expect(await alarmOf(registry)).toBe(Date.now() + 1);
  });

  it("wake a worker when the task that had nothing for it may be offered again", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    const line = await connect(registry, id);
    await registry.report(report(1));
    await line.received(1);
    later(0);
    const nowMs = Date.now();
    expect(
      await patch(registry, id, { status: "available", refused: { task_id: 1, retry_after_ms: 30_000 } }),
    ).toMatchObject({ task_id: null });
    // It was woken before, so the alarm may still be set for an earlier scan, which then sets this
    // one.
    later(5_000);
    await ring(registry);
    expect(await pushesSoFar(line)).toHaveLength(1);
    expect(await alarmOf(registry)).toBe(nowMs + 30_000);
    later(25_000);
    await ring(registry);
    expect(await pushesSoFar(line)).toHaveLength(2);
  });
});

describe("submissions", () => {
  const submission = { owner: "ada", task_id: null, idempotency_key: null, body_sha256: "a" };

  it("get ids from 1 up, and the same id when they come again, over evictions", async () => {
    const registry = evicting(newRegistry());
    const reserve = async (change: Partial<Parameters<RegistryRpc["reserveTask"]>[0]>) => {
      const reserved = await registry.reserveTask({ ...submission, ...change });
      return reserved.ok ? [reserved.value.id, reserved.value.existing] : reserved.error;
    };
    expect(await reserve({})).toEqual([1, false]);
    expect(await reserve({})).toEqual([2, false]);
    expect(await reserve({ task_id: 0 })).toEqual([3, false]);
    expect(await reserve({ task_id: 0, body_sha256: "b" })).toEqual([3, true]);
    expect(await reserve({ task_id: 0, owner: "bob" })).toEqual([4, false]);
    expect(await reserve({ idempotency_key: "k" })).toEqual([5, false]);
    expect(await reserve({ idempotency_key: "k" })).toEqual([5, true]);
    expect(await reserve({ idempotency_key: "k", owner: "bob" })).toEqual([6, false]);
    expect(await reserve({ idempotency_key: "k", body_sha256: "b" })).toMatchObject({
      code: "invalid",
      errors: [{ field: "Idempotency-Key" }],
    });
    expect(await reserve({})).toEqual([7, false]);
  });

  it("are forgotten with their task; keys after a week, by an alarm that runs once for all of them", async () => {
    const registry = newRegistry();
    const reserve = async (key: string, task_id: number | null = null) => {
      const reserved = await registry.reserveTask({ ...submission, task_id, idempotency_key: key });
      return reserved.ok ? reserved.value : null;
    };
    later(0);
    const startMs = Date.now();
    expect(await reserve("one", 8)).toEqual({ id: 1, existing: false });
    await registry.report(report(1, { task: { task_id: 8 } }));
    await registry.report(report(1, { gone: true, task: { task_id: 8 } }));
    expect(await reserve("one", 8)).toEqual({ id: 2, existing: false });
    later(3_600_000);
    expect(await reserve("two")).toEqual({ id: 3, existing: false });
    const alarmMs = (await alarmOf(registry))!;
    expect(alarmMs).toBeGreaterThan(startMs + 7 * 86_400_000);
    vi.setSystemTime(alarmMs);
    await ring(registry);
    const left = await runInDurableObject(registry, (_instance, { storage }) =>
      ["submit_keys", "removed_tasks"].map((table) => storage.sql.exec(`SELECT count(*) AS n FROM ${table}`).one().n),
    );
    expect(left).toEqual([1, 0]);
    expect(await alarmOf(registry)).toBeGreaterThan(alarmMs);
    // The submitter's own id is kept as long as the task.
    expect(await reserve("one", 8)).toEqual({ id: 2, existing: true });
  });
});

describe("task lists", () => {
  const idsOf = async (registry: RegistryRpc, query: Parameters<RegistryRpc["listTasks"]>[0]) => {
    const page = await registry.listTasks(query);
    return page.ok ? { ids: page.value.tasks.map(({ id }) => id), cursor: page.value.cursor } : page.error;
  };

  it("page through the tasks that have reported, newest first, by status, type and owner", async () => {
    const registry = newRegistry();
    await registry.reserveTask({ owner: "ada", task_id: null, idempotency_key: null, body_sha256: "a" });
    expect(await idsOf(registry, { limit: 10 })).toEqual({ ids: [], cursor: null });
    for (let id = 1; id <= 7; id++) {
      await registry.report(
        report(id, {
          task: {
            owner: id % 2 ? "ada" : "bob",
            status: id > 5 ? "completed" : "queued",
            type: id === 4 ? "exec" : "blender_render",
          },
        }),
      );
    }
    const first = await idsOf(registry, { limit: 3 });
    expect(first).toMatchObject({ ids: [7, 6, 5] });
    await registry.report(report(8));
    const second = await idsOf(registry, { limit: 3, cursor: "cursor" in first ? first.cursor! : "" });
    expect(second).toMatchObject({ ids: [4, 3, 2] });
    expect(await idsOf(registry, { limit: 3, cursor: "cursor" in second ? second.cursor! : "" })).toEqual({
      ids: [1],
      cursor: null,
    });
    expect(await idsOf(registry, { limit: 500, owner: "bob", status: "queued" })).toMatchObject({ ids: [4, 2] });
    expect(await idsOf(registry, { limit: 500, type: "exec" })).toMatchObject({ ids: [4] });
    expect(await idsOf(registry, { limit: 500, status: "nonsense" })).toMatchObject({ ids: [] });
  });

  it.each([
    [{ limit: 0 }, "limit"],
    [{ limit: 501 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ limit: 1, cursor: "" }, "cursor"],
    [{ limit: 1, cursor: "1 OR 1" }, "cursor"],
    [{ limit: 1, cursor: "-1" }, "cursor"],
  ])("P10: refuse %j", async (query, field) => {
    expect(await idsOf(newRegistry(), query)).toMatchObject({ code: "invalid", errors: [{ field }] });
  });

  it("P4: are reported again after a refused write, with nothing in memory that is not in a row", async () => {
    const registry = newRegistry();
    const needs = { ...BLENDER, tags: [`never-seen-${Date.now()}`] };
    await runInDurableObject(registry, async (instance, { storage }) => {
      await refusing(storage, /^INSERT INTO tasks/, async () => {
        await expect((instance as unknown as RegistryRpc).report(report(1, { needs }))).rejects.toThrow(FULL);
      });
    });
    await registry.report(report(1, { needs }));
    const worker = await newWorker(registry, "late", { tags: needs.tags });
    expect(await ask(registry, worker.id)).toBe(1);
  });

  it("ignore old reports, also of deleted tasks, but not of a task that was submitted anew", async () => {
    const registry = newRegistry();
    const [oldest, old, fresh, late] = [
      report(1),
      report(1, { task: { name: "old" } }),
      report(1, { task: { name: "new" } }),
      report(1),
    ];
    await registry.report(fresh);
    await registry.report(old);
    await registry.report({ ...fresh, claimable: 0 });
    expect(await registry.listTasks({ limit: 1 })).toMatchObject({ value: { tasks: [{ name: "new" }] } });
    const { id } = await newWorker(registry, "box");
    expect(await ask(registry, id)).toBe(1);
    await registry.report(report(1, { gone: true }));
    await registry.report(late);
    await registry.report(oldest);
    expect(await idsOf(registry, { limit: 1 })).toEqual({ ids: [], cursor: null });
    expect(await ask(registry, id)).toBeNull();
    await registry.report(report(1, { version: 1, task: { created_ms: Date.now() + 1 } }));
    expect(await idsOf(registry, { limit: 1 })).toEqual({ ids: [1], cursor: null });
  });
});

describe("settings", () => {
  it("are stored, listed with their defaults, reset by null, and changed all or none", async () => {
    const registry = evicting(newRegistry());
    expect(await registry.listSettings()).toEqual({
      lease_s: 60,
      history_days: 90,
      retention_days: "forever",
      retention_after_download_days: "forever",
      unused_inputs_days: 30,
      unseen_workers_days: 90,
      webhook_hosts: [],
      node_mirror: "https://nodejs.org/dist",
      agent_updates: "staged",
      blender_path_linux: "",
      blender_path_win: "",
      blender_path_osx: "",
    });
    expect(
      await registry.setSettings({ lease_s: 120, note: { any: ["thing"] }, "render.final": { samples: 128 } }),
    ).toEqual({ ok: true, value: null });
    expect(await registry.getSetting("lease_s")).toEqual({ ok: true, value: 120 });
    expect(await registry.listSettings()).toMatchObject({ lease_s: 120, note: { any: ["thing"] } });
    expect(await registry.listPresets()).toEqual(["final"]);
    expect(await registry.getSetting("final")).toEqual({ ok: true, value: { samples: 128 } });
    expect(await registry.getSetting("render.final")).toEqual({ ok: true, value: { samples: 128 } });

    const refused = await registry.setSettings({ note: 1, lease_s: 1, "render.bad": [] });
    expect(refused).toMatchObject({
      ok: false,
      error: { code: "invalid", errors: [{ field: "lease_s" }, { field: "render.bad" }] },
    });
    expect(await registry.getSetting("note")).toEqual({ ok: true, value: { any: ["thing"] } });

    await registry.setSettings({ lease_s: null, note: null });
    expect(await registry.getSetting("lease_s")).toEqual({ ok: true, value: 60 });
    for (const name of ["note", "constructor"])
      expect(await registry.getSetting(name)).toMatchObject({ error: { code: "not_found" } });
  });
});

describe("cost", () => {
  /**
   * Fill a registry with tasks of 1,000 per needs, straight into its rows: 100,000 reports would
   * take a minute.
   */
  async function fill(registry: DurableObjectStub<WorkerRegistry>, tasks: number): Promise<void> {
    await registry.report(report(1_000_000, { priority: -1 }));
    await runInDurableObject(registry, (_instance, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?)
         INSERT INTO tasks (id, version, summary, status, type, owner, needs_id, priority, claimable, open, kept_off, live, busy, tally)
         SELECT n.id, 1, summary, status, type, owner, needs_id, n.id % 5, 1, 1, kept_off, live, busy, tally
         FROM n, (SELECT * FROM tasks WHERE id = 1000000)`,
        tasks,
      );
    });
    await evictDurableObject(registry);
  }

  it("of a request for work is the same with 10 tasks and with 100,000", async () => {
    const reads: number[] = [];
    for (const tasks of [10, 100_000]) {
      const registry = newRegistry();
      const { id } = await newWorker(registry, "box");
      await fill(registry, tasks);
      await registry.report(report(2_000_000, { priority: 99, needs: { ...BLENDER, tags: ["gpu"] } }));
      const { read, written } = await rowsOf(registry, async (r) => expect(await ask(r, id)).toBe(4));
      expect(written).toBe(1);
      // The last task but one: those before it have been declined.
      for (const refused of [4, 9])
        await patch(registry, id, { refused: { task_id: refused, retry_after_ms: 60_000 } });
      const again = await rowsOf(registry, async (r) => expect(await ask(r, id)).toBe(tasks === 10 ? 3 : 14));
      const cold = await (async () => {
        await evictDurableObject(registry);
        return await rowsOf(registry, (r) => r.report(report(3_000_000, { priority: 0 })));
      })();
      reads.push(read, again.read, cold.read);
    }
    expect(reads.slice(3)).toEqual(reads.slice(0, 3));
    expect(Math.max(...reads)).toBeLessThan(40);
  });

  it("of a request, a connection and a rescan does not grow with tasks of tags that no such worker has", async () => {
    const reads: number[][] = [];
    for (const tasks of [1, 400]) {
      const registry = newRegistry();
      const { id } = await newWorker(registry, "box");
      for (let task = 1; task <= tasks; task++)
        await registry.report(report(task, { priority: 90, needs: { ...BLENDER, tags: [`artist-${task}`] } }));
      await registry.report(report(1_000, { priority: 1 }));
      const asked = await rowsOf(registry, async (r) => expect(await ask(r, id)).toBe(1_000));
      await connect(registry, id);
      const connected = await rowsOf(registry, (r) => patch(r, id, { status: "enabled" }));
      const rung = await rowsOf(registry, (r) => (r as unknown as WorkerRegistry).alarm());
      const reported = await rowsOf(registry, (r) => r.report(report(1_000, { priority: 1, live_workers: [id] })));
      reads.push([asked.read, connected.read, rung.read, reported.read]);
    }
    expect(reads[1]).toEqual(reads[0]);
  });

  it("of requests and reports is the same with 10 workers and with 10,000, except one walk over their rows after an eviction", async () => {
    const rows = [];
    for (const workers of [10, 10_000]) {
      const registry = newRegistry();
      const { id } = await newWorker(registry, "box");
      await runInDurableObject(registry, (_instance, { storage }) => {
        const columns =
          "offer, info, granted_tags, enabled, draining, said_rendering, assigned_task, registered_ms, contact_ms, left_ms";
        storage.sql.exec(
          `WITH RECURSIVE n (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM n WHERE id < ?)
           INSERT INTO workers (id, secret_sha256, hostname, ${columns})
           SELECT n.id, n.id, 'box' || n.id, ${columns} FROM n, (SELECT * FROM workers WHERE id = 1)`,
          workers,
        );
      });
      await evictDurableObject(registry);
      const cold = await rowsOf(registry, async (r) =>
        expect(await r.report(report(1))).toEqual({ able_workers: workers, watched: false }),
      );
      expect(cold.read).toBeLessThan(workers + 30);
      rows.push([await rowsOf(registry, (r) => ask(r, id)), await rowsOf(registry, (r) => r.report(report(1)))]);
    }
    expect(rows[1]).toEqual(rows[0]);
  });

  it("of a report is one row written, and one for each index whose key changes", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "box");
    await registry.report(report(1, { claimable: 10, live_workers: [id], task: { status: "rendering" } }));
    const cost = async (change: Parameters<typeof report>[1]) =>
      await rowsOf(registry, (r) =>
        r.report(report(1, { live_workers: [id], task: { status: "rendering" }, ...change })),
      );
    expect((await cost({ claimable: 9 })).written).toBe(1);
    // Closing only deletes an index entry, which is not billed.
    expect((await cost({ claimable: 0 })).written).toBe(1);
    expect((await cost({ claimable: 0, kept_off: [{ worker_id: id, until_ms: 9 }] })).written).toBe(1);
    expect((await cost({ claimable: 2 })).written).toBe(2);
    expect((await cost({ claimable: 2, priority: 60 })).written).toBe(2);
    expect((await cost({ claimable: 0, task: { status: "paused" } })).written).toBe(2);
    const old = { ...report(1), version: 1 };
    expect(await rowsOf(registry, (r) => r.report(old))).toMatchObject({ written: 0 });
  });
});

describe("with task objects", () => {
  const asWorker = (secret: string) => async (method: string, path: string, json: unknown) =>
    await okJson(await send(method, path, { token: secret, json }), 200);

  it("P8: a worker changes from its task to one of higher priority with its next frame, and back when that is done", async () => {
    const told = vi.spyOn(TaskDO.prototype, "outrank");
    const { id, secret } = await newHttpWorker("box");
    const call = asWorker(secret);
    let keys = 0;
    const claim = (epoch: number) => ({ key: `claim-${String(keys++).padStart(4, "0")}`, platform: "linux", epoch });
    const available = async () =>
      (await call("PATCH", `/workers/${id}`, { status: "available" })) as { task_id: number | null; epoch: number };
    const done = (lease: Lease) => ({
      attempt: lease.attempt,
      done: [{ frame: Number(lease.frames), seconds: 1, receipts: [] }],
    });

    const low = await newTask(undefined, { priority: 10 });
    const first = await available();
    expect(first.task_id).toBe(low);
    const { lease } = (await call("POST", `/tasks/${low}/leases`, claim(first.epoch))) as { lease: Lease };
    const high = await newTask(undefined, { priority: 90, settings: { text: "urgent", frames: "1" } });
    await soon(() => expect(told).toHaveBeenCalled());
    const settled = await call("POST", `/tasks/${low}/leases/${lease.lease_id}/complete`, {
      ...done(lease),
      next: claim(first.epoch),
    });
    expect(settled).toMatchObject({ committed: 1, next: { lease: null, reason: "outranked" } });

    const second = await available();
    expect(second).toMatchObject({ task_id: high, epoch: first.epoch + 1 });
    const urgent = (await call("POST", `/tasks/${high}/leases`, claim(second.epoch))) as { lease: Lease };
    await call("POST", `/tasks/${high}/leases/${urgent.lease.lease_id}/complete`, done(urgent.lease));
    await soon(async () => expect((await available()).task_id).toBe(low));
    expect(await call("POST", `/tasks/${low}/leases`, claim(second.epoch))).toMatchObject({ lease: { task_id: low } });
  });
});
