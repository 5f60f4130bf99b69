/** P14: workers that are not seen any more are removed by a rule that is shown, and the history keeps their names. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { runDailyJobs } from "../../src/daily-jobs.ts";
import type { Env } from "../../src/rpc/env.ts";
import { connect, machine, newRegistry, newWorker, report, type Registry } from "./registry-client.ts";
import { newTask, newWorker as overHttp, okJson, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

const DAY_MS = 86_400_000;
afterEach(() => vi.useRealTimers());

function at(nowMs: number): void {
  vi.useFakeTimers({ now: nowMs, toFake: ["Date"] });
}

const namesIn = async (registry: Registry): Promise<string[]> => Object.keys(await registry.listWorkers());
const expiresOf = async (registry: Registry, name: string) => (await registry.listWorkers())[name]!.expires_ms;

describe("workers that are not seen any more", () => {
  it("P14: are removed 90 days after they were last seen, and say before when", async () => {
    const registry = newRegistry();
    const startMs = Date.now();
    await newWorker(registry, "gone");
    expect(await registry.removeUnseenWorkers()).toMatchObject({ removed: [] });
    at(startMs + DAY_MS);
    const { id: kept } = await newWorker(registry, "kept");
    at(startMs + 89 * DAY_MS);
    expect(await registry.removeUnseenWorkers()).toMatchObject({ removed: [] });
    expect(await expiresOf(registry, "gone")).toBeGreaterThanOrEqual(startMs + 90 * DAY_MS);
    expect(await expiresOf(registry, "gone")).toBeLessThan(startMs + 90 * DAY_MS + 60_000);
    at(startMs + 90 * DAY_MS + 60_000);
    expect(await registry.removeUnseenWorkers()).toMatchObject({ removed: [{ id: 1, name: "gone" }], more: false });
    expect(await namesIn(registry)).toEqual(["kept"]);
    expect(await registry.workerNames([1, kept, 99])).toEqual({ 1: "gone", [kept]: "kept" });
  });

  it("P14: stay while they are online, or render, or while the setting says forever", async () => {
    const registry = newRegistry();
    await newWorker(registry, "online");
    await newWorker(registry, "renders");
    await newWorker(registry, "offline");
    await registry.report(report(1, { live_workers: [2] }));
    await registry.removeUnseenWorkers();
    const laterMs = Date.now() + 1_000 * DAY_MS;
    at(laterMs);
    await registry.setSettings({ unseen_workers_days: "forever" });
    expect(await expiresOf(registry, "offline")).toBeNull();
    expect(await registry.removeUnseenWorkers()).toMatchObject({ removed: [] });
    await registry.setSettings({ unseen_workers_days: 7 });
    // A week in which a mistake can be mended.
    expect(await registry.removeUnseenWorkers()).toMatchObject({ removed: [] });
    expect(await expiresOf(registry, "offline")).toBe(laterMs + 7 * DAY_MS);
    at(laterMs + 7 * DAY_MS);
    await connect(registry, 1);
    const { removed } = await registry.removeUnseenWorkers();
    expect(removed.map(({ name }) => name)).toEqual(["offline"]);
    expect(await expiresOf(registry, "online")).toBeNull();
  });

  it("P14: of a farm of an earlier release stay for a week", async () => {
    const registry = newRegistry();
    await newWorker(registry, "old");
    await runInDurableObject(registry, (_, { storage }) => {
      storage.sql.exec("UPDATE workers SET contact_ms = 1, registered_ms = 1");
    });
    const fresh = env.REGISTRY.getByName(registry.name!) as unknown as Registry;
    at(Date.now() + 200 * DAY_MS);
    expect(await fresh.removeUnseenWorkers()).toMatchObject({ removed: [] });
    at(Date.now() + 7 * DAY_MS);
    expect(await fresh.removeUnseenWorkers()).toMatchObject({ removed: [{ name: "old" }] });
  });

  it.each([[6], [0], [36_501], [7.5], ["never"]])("P10: unseen_workers_days is not %j", async (value) => {
    const answer = await problem(
      await send("PATCH", "/settings/unseen_workers_days", { json: { value } }),
      422,
      "invalid",
    );
    expect(answer.errors).toEqual([
      { field: expect.stringContaining("unseen_workers_days"), message: expect.stringMatching(/from 7 to 36500/) },
    ]);
  });

  it("the daily job removes them; their secret is void, and the history names them", async () => {
    const { id, secret } = await overHttp("history-names-me");
    const task = await newTask();
    const claimed = await send("POST", `/tasks/${task}/leases`, {
      token: secret,
      json: { key: "key-of-unseen", platform: "linux" },
    });
    const { lease } = (await okJson(claimed, 200)) as { lease: { lease_id: string; attempt: number } };
    const release = { attempt: lease.attempt, done: [], reason: "test" };
    await send("POST", `/tasks/${task}/leases/${lease.lease_id}/release`, { token: secret, json: release });
    // The events of a task that has ended go to D1 at once, those of another one half a minute later.
    expect((await send("PATCH", `/tasks/${task}`, { json: { status: "cancel" } })).status).toBe(204);
    const history = async () => await okJson(await send("GET", `/history?worker_id=${id}`), 200);
    await until(
      async () => ((await history())["events"] as unknown[]).length > 0,
      () => "the event",
    );
    expect((await history())["workers"]).toEqual({ [id]: "history-names-me" });
    const own = { ...(env as unknown as Env) };
    await runDailyJobs(own, Date.now());
    at(Date.now() + 91 * DAY_MS);
    await runDailyJobs(own, Date.now());
    await problem(await send("GET", `/workers/${id}`), 404, "not_found");
    await problem(
      await send("POST", "/workers", { token: secret, json: machine("history-names-me") }),
      401,
      "unauthorized",
    );
    const { workers } = (await history()) as { workers: Record<string, string> };
    expect(workers).toEqual({ [id]: "history-names-me" });
  });
});
