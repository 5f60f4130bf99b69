/**
 * Two agents with one identity: a machine's image, or a state folder, was copied. The first stays the
 * worker, the second is told, and everybody sees it.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Principal } from "../../src/protocol/token.ts";
import { OFFLINE_AFTER_MS, type WorkerPatch } from "../../src/protocol/worker.ts";
import { connect, machine, newRegistry, newWorker, report, type Registry } from "./registry-client.ts";
import { newWorker as overHttp, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

const [FIRST, SECOND] = ["instance-of-the-first", "instance-of-the-second"];
const self = (id: number): Principal => ({ role: "worker", id, name: `worker:${id}` });

afterEach(() => vi.useRealTimers());

async function farm(): Promise<{ registry: Registry; id: number }> {
  const registry = newRegistry();
  const { id } = await newWorker(registry, "render-07");
  return { registry, id };
}

async function register(registry: Registry, id: number, instance: string, hostname = "render-07") {
  return await registry.registerWorker(machine(hostname), self(id), `192.0.2.${instance.length}`, instance);
}

async function patch(registry: Registry, id: number, instance: string, body: WorkerPatch) {
  const patched = await registry.patchWorker(id, body, self(id), "192.0.2.9", instance);
  return patched.ok ? patched.value : patched.error;
}

async function other(registry: Registry, id: number) {
  return (await registry.listWorkers())["render-07"]!.id === id
    ? (await registry.listWorkers())["render-07"]!.other_agent
    : undefined;
}

const REFUSED = { ok: false, error: { code: "conflict", detail: expect.stringMatching(/^another agent .*render-07/) } };

describe("two agents with one identity", () => {
  it("P9: the second is refused while the first is there, and the lists show it", async () => {
    const { registry, id } = await farm();
    expect(await register(registry, id, FIRST)).toMatchObject({ ok: true });
    const first = await connect(registry, id, FIRST);
    expect(await other(registry, id)).toBeNull();

    expect(await register(registry, id, SECOND, "copy-of-07")).toEqual(REFUSED);
    await expect(connect(registry, id, SECOND)).rejects.toThrow(/no socket: 409 .*another agent/);
    expect(await other(registry, id)).toEqual({
      hostname: "copy-of-07",
      ip_address: "192.0.2.22",
      seen_ms: expect.any(Number),
    });
    expect((await registry.listWorkers())["render-07"]).toMatchObject({ id, connection: "online" });
    expect(first.closed).toBeNull();
  });

  it("P9: the second gets no work and changes nothing; the first goes on, also after an eviction", async () => {
    const { registry, id } = await farm();
    await register(registry, id, FIRST);
    const first = await connect(registry, id, FIRST);
    await registry.report(report(1));
    await evictDurableObject(registry);
    expect(await patch(registry, id, SECOND, { status: "available" })).toMatchObject({ task_id: null });
    await patch(registry, id, SECOND, { leaving: true });
    await patch(registry, id, SECOND, { hostname: "copy-of-07", system: "x" });
    expect((await registry.listWorkers())["render-07"]).toMatchObject({ connection: "online", system: "Linux 6.1" });
    expect(await patch(registry, id, FIRST, { status: "available" })).toMatchObject({ task_id: 1 });
    expect(first.closed).toBeNull();
  });

  it("P5: an agent that ended makes room at once: it said so, or its socket closed", async () => {
    const { registry, id } = await farm();
    await register(registry, id, FIRST);
    await connect(registry, id, FIRST);
    await patch(registry, id, FIRST, { leaving: true });
    expect(await register(registry, id, SECOND)).toMatchObject({ ok: true });
    const second = await connect(registry, id, SECOND);
    second.socket.close(1000, "killed");
    const third = "instance-of-a-third";
    let registered = false;
    await until(
      () => {
        void register(registry, id, third).then((answer) => (registered = answer.ok));
        return registered;
      },
      () => "the third registers",
    );
  });

  it("P5: an agent without a sign of life makes room after the time in which a worker shows as offline", async () => {
    const { registry, id } = await farm();
    await register(registry, id, FIRST);
    expect(await register(registry, id, SECOND)).toEqual(REFUSED);
    vi.useFakeTimers({ now: Date.now() + OFFLINE_AFTER_MS + 1, toFake: ["Date"] });
    expect(await register(registry, id, SECOND)).toMatchObject({ ok: true });
    expect(await register(registry, id, FIRST)).toEqual(REFUSED);
  });

  it("an agent whose own connection was replaced connects again, and so do agents up to 0.1", async () => {
    const { registry, id } = await farm();
    const first = await connect(registry, id, FIRST);
    const again = await connect(registry, id, FIRST);
    await until(
      () => first.closed !== null,
      () => "the older socket closes",
    );
    expect(first.closed).toMatchObject({ code: 4000 });
    expect(await registry.registerWorker(machine("render-07"), self(id), "192.0.2.1")).toMatchObject({ ok: true });
    expect(again.closed).toBeNull();
    await runInDurableObject(registry, () => undefined);
  });

  it("P9: over HTTP, the header tells the agents apart", async () => {
    const { id, secret } = await overHttp("two-agents");
    const as = async (instance: string) =>
      await send("POST", "/workers", { token: secret, headers: { "Tablao-Instance": instance }, json: machine("x") });
    expect((await as(FIRST)).status).toBe(200);
    const { detail } = await problem(await as(SECOND), 409, "conflict");
    expect(detail).toMatch(new RegExp(`another agent .* worker ${id}`));
    expect((await as("x".repeat(10_000))).status).toBe(200);
  });
});
