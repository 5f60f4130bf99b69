/**
 * P14: inputs that nothing uses are deleted, and no others, whatever breaks off where. On the real
 * objects, D1 and R2 of workerd; the sweep's clock is set 40 days ahead.
 */
import { createScheduledController, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { listsWithoutPieces } from "../../src/files/input-index.ts";
import { sweepAtNight } from "../../src/files/input-sweep.ts";
import { noteStored, sizesOfInputs } from "../../src/files/stored-inputs.ts";
import worker from "../../src/index.ts";
import { SWEEP_CRON } from "../../src/protocol/constants.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { unusedInputsSchema } from "../../src/protocol/unused-inputs.ts";
import { failing, hashOfNumber } from "./input-storage.ts";
import { okJson, problem, send } from "./http-client.ts";
import { DAY_MS, env, FILES, HISTORY, submitWith, SweepFarm } from "./sweep-farm.ts";

let farm: SweepFarm;
const tasks: number[] = [];

async function submitted(...inputs: readonly string[]): Promise<number> {
  const sizes = new Map((await farm.rows()).map(({ sha256, size }) => [sha256, size]));
  const id = await submitWith(inputs.map((sha256) => ({ sha256, size: sizes.get(sha256)! })));
  tasks.push(id);
  return id;
}

async function remove(task: number): Promise<void> {
  expect((await send("DELETE", `/tasks/${task}`)).status).toBe(202);
}

beforeEach(async () => {
  for (const task of tasks.splice(0)) await send("DELETE", `/tasks/${task}`);
  farm = await SweepFarm.empty();
});

describe("P14: a sweep of inputs", () => {
  test("deletes what no task names, and spares what one does, however long ago it was submitted", async () => {
    const [used, unused, young] = [await farm.store("used"), await farm.store("unused"), await farm.store("young")];
    await submitted(used);
    await HISTORY.prepare("UPDATE inputs SET used_ms = ?2 WHERE sha256 = ?1")
      .bind(young, farm.nowMs - 29 * DAY_MS)
      .run();
    const progress = await farm.sweepAll();
    expect(progress).toMatchObject({ phase: "idle", done: true, deleted: { inputs: 1, bytes: 6 } });
    expect(await farm.stored()).toEqual(new Set([used, young]));
    await farm.expectTruth([used, young]);
    expect((await farm.rows()).find(({ sha256 }) => sha256 === unused)).toMatchObject({ deleted: 1 });
    // A month later still, the task is there.
    farm.nowMs += 31 * DAY_MS;
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set([used]));
    // The rows of deleted inputs go a day later.
    farm.nowMs += 2 * DAY_MS;
    await farm.sweepAll();
    expect((await farm.rows()).map(({ sha256 }) => sha256)).toEqual([used]);
  });

  test("deletes the inputs of a task that was removed, but not those that another task names", async () => {
    const [shared, own] = [await farm.store("shared"), await farm.store("its own")];
    const task = await submitted(shared, own);
    await submitted(shared);
    await remove(task);
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set([shared]));
  });

  test("deletes a piece list before its pieces, and spares a piece that a live list names", async () => {
    const live = await farm.storeList(["shared piece", "piece of the live list"]);
    const dead = await farm.storeList(["piece of the dead list"]);
    const used_ms = Date.now() - 1_000;
    const both = await farm.store("list of both", {
      used_ms,
      pieces: JSON.stringify([live.pieces[0], dead.pieces[0]]),
    });
    await submitted(live.list);
    const order: string[][] = [];
    farm.step = async (carryOut, what) => {
      const before = await farm.stored();
      const result = await carryOut();
      const after = await farm.stored();
      if (what === "R2 delete") order.push([...before].filter((hash) => !after.has(hash)));
      return result;
    };
    await farm.sweepAll();
    expect(order.map((hashes) => new Set(hashes))).toEqual([new Set([dead.list, both]), new Set(dead.pieces)]);
    expect(await farm.stored()).toEqual(new Set([live.list, ...live.pieces]));
    await farm.expectTruth([live.list, ...live.pieces]);
  });

  test("P10: asks about more piece lists at a time than D1 takes in one value", async () => {
    const named = await farm.storeList(["piece of a named list"]);
    const lists = [named.list, ...Array.from({ length: 40_000 }, (_, number) => hashOfNumber(number))];
    const bytes: number[] = [];
    const measured = {
      prepare: (sql: string) => ({
        bind: (text: string) => {
          bytes.push(text.length);
          return HISTORY.prepare(sql).bind(text);
        },
      }),
      batch: async (statements: D1PreparedStatement[]) => await HISTORY.batch(statements),
    } as unknown as D1Database;
    expect(new Set(await listsWithoutPieces(measured, lists))).toEqual(new Set(lists.slice(1)));
    // https://developers.cloudflare.com/d1/platform/limits/
    expect(Math.max(...bytes)).toBeLessThan(2_000_000);
  });

  test("deletes the parts of a large input, and none of an upload that is under way", async () => {
    const storeLarge = async (): Promise<string> => {
      const large = await farm.store("manifest", { size: 64 * 1024 * 1024, used_ms: 0 });
      const target = `assets/${large}`;
      await FILES.put(target, "manifest", { customMetadata: { sha256: large, size: "67108864", upload: "first" } });
      await FILES.put(`parts/${target}/first/0001-${"0".repeat(64)}`, "first");
      return target;
    };
    const parts = async (): Promise<number> => (await FILES.list({ prefix: "parts/" })).objects.length;
    const target = await storeLarge();
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set());
    expect(await parts()).toBe(0);
    // Parts that have just come are of an upload that is under way.
    farm = await SweepFarm.empty();
    await storeLarge();
    await FILES.put(`parts/${target}/second/0001-${"0".repeat(64)}`, "second");
    farm.nowMs = Date.now();
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set());
    expect(await parts()).toBe(2);
  });

  test("asks a task whose first report has not reached the registry", async () => {
    const used = await farm.store("of an unreported task");
    const task = await submitted(used);
    await runInDurableObject(registryStub(env), async (_, { storage }) => {
      storage.sql.exec("DELETE FROM tasks WHERE id = ?", task);
      storage.sql.exec("INSERT INTO unreported_tasks (id, at_ms) VALUES (?, 0)", task);
    });
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set([used]));
  });

  test("knows of each id that is given out until its task has reported, and forgets ids without a task", async () => {
    const registry = registryStub(env);
    const identity = { owner: "admin", task_id: null, idempotency_key: null, body_sha256: "0" };
    const reserved = await registry.reserveTask(identity);
    if (!reserved.ok) throw new Error(reserved.error.detail);
    const { id } = reserved.value;
    const known = async (): Promise<boolean> => {
      const ids = await registryStub(env).taskIds(id - 1, 1);
      return ids.ok && ids.value.includes(id);
    };
    expect(await known()).toBe(true);
    // It was given out just now: its task may be created in a moment.
    await registry.tasksNotThere([id]);
    expect(await known()).toBe(true);
    await runInDurableObject(registryStub(env), async (_, { storage }) => {
      storage.sql.exec("UPDATE unreported_tasks SET at_ms = 0 WHERE id = ?", id);
    });
    await registry.tasksNotThere([id]);
    expect(await known()).toBe(false);
    const task = await submitted(await farm.store("reported"));
    await runInDurableObject(registryStub(env), async (_, { storage }) => {
      const rows = storage.sql.exec("SELECT id FROM unreported_tasks WHERE id = ?", task).toArray();
      expect(rows).toEqual([]);
    });
  });

  test("ends its work at a task that does not answer, and goes on there", async () => {
    const [used, unused] = [await farm.store("used"), await farm.store("unused")];
    await submitted(used);
    farm.step = async (carryOut, what) => {
      if (what === "inputs named") throw new Error("the task does not answer");
      return await carryOut();
    };
    await expect(farm.sweep()).rejects.toThrow("does not answer");
    await expect(farm.sweep()).rejects.toThrow("does not answer");
    expect(await farm.stored()).toEqual(new Set([used, unused]));
    farm.step = async (carryOut) => await carryOut();
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set([used]));
  });

  test("waits until checks that saw no marker have left their notes, and reads the notes first", async () => {
    farm.nowMs = Date.now();
    const [noted, unused] = [await farm.store("noted", { used_ms: 0 }), await farm.store("unused", { used_ms: 0 })];
    const full = { FILES, HISTORY: failing(HISTORY, "writes") };
    const sizes = await sizesOfInputs(full, [noted], () => farm.nowMs);
    expect(sizes).toEqual({ ok: true, value: new Map([[noted, { size: 5, whole: null }]]) });
    const waits: number[] = [];
    const sleep = async (ms: number): Promise<void> => {
      waits.push(ms);
      // D1 does not take it that the other input is used, either; but now a sweep may be deleting.
      const late = await sizesOfInputs(full, [unused], () => farm.nowMs);
      expect(late).toMatchObject({ ok: false, error: { code: "overloaded" } });
      farm.nowMs += ms;
    };
    const night = await sweepAtNight(farm.dependencies, farm.order, sleep);
    expect(night).toMatchObject({ done: true, deleted: { inputs: 1 } });
    expect(waits).toEqual([expect.any(Number)]);
    expect(waits[0]).toBeGreaterThan(60_000);
    expect(await farm.stored()).toEqual(new Set([noted]));
    expect((await FILES.list({ prefix: "used/" })).objects).toEqual([]);
  });

  test("holds while a backup is being restored, because its tasks are not all known", async () => {
    await farm.store("of a task to come");
    const registry = registryStub(env);
    await runInDurableObject(registry, async (_, { storage }) => storage.kv.put("restoring", "a backup"));
    await expect(farm.sweep()).rejects.toThrow("a backup is being restored");
    await runInDurableObject(registry, async (_, { storage }) => void storage.kv.delete("restoring"));
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set());
  });

  test("deletes nothing in the first week of an upgraded farm, and nothing before all inputs are in the index", async () => {
    const unused = await farm.store("unused");
    await HISTORY.prepare("UPDATE input_sweep SET deletes_after_ms = ?")
      .bind(farm.nowMs + 7 * DAY_MS)
      .run();
    expect(await farm.sweep()).toMatchObject({
      done: true,
      held: expect.stringContaining("the first week of this farm or release ends at"),
    });
    farm.nowMs += 8 * DAY_MS;
    await HISTORY.prepare("UPDATE inputs_fill SET complete = 0").run();
    expect(await farm.sweep()).toMatchObject({ done: true, held: expect.stringContaining("index") });
    expect(await farm.stored()).toEqual(new Set([unused]));
    await HISTORY.prepare("UPDATE inputs_fill SET complete = 1").run();
    await farm.sweepAll();
    expect(await farm.stored()).toEqual(new Set());
  });
});

/** The calls of an undisturbed sweep of the farm below. */
async function scene(): Promise<{ used: string[]; unused: string[] }> {
  farm = await SweepFarm.empty();
  const live = await farm.storeList(["live piece"]);
  const dead = await farm.storeList(["dead piece"]);
  const [used, unused] = [await farm.store("used"), await farm.store("unused")];
  await submitted(used, live.list);
  return { used: [used, live.list, ...live.pieces], unused: [unused, dead.list, ...dead.pieces] };
}

describe("P14: at every call that a sweep makes", () => {
  test.each(["is refused", "loses its answer"])(
    "one that %s breaks it off; it goes on, takes nothing that is used, and ends",
    async (how) => {
      await scene();
      await farm.sweepAll();
      const calls = farm.calls.length;
      expect(calls).toBeGreaterThan(20);
      for (let broken = 1; broken <= calls; broken++) {
        const { used } = await scene();
        farm.step = async (carryOut, what) => {
          if (farm.calls.length !== broken) return await carryOut();
          if (how === "loses its answer") await carryOut();
          throw new Error(`chaos: ${what}`);
        };
        await expect(farm.sweepAll()).rejects.toThrow("chaos");
        await farm.expectTruth(used);
        for (const task of tasks) await evictDurableObject(taskStub(env, task)).catch(() => undefined);
        // The leases of the call that broke off run out.
        farm.nowMs += 10 * 60_000;
        await farm.sweepAll();
        await farm.expectTruth(used);
        expect(await farm.stored()).toEqual(new Set(used));
        await remove(tasks.pop()!);
      }
    },
  );

  test("a question, an upload or another sweep may come: what is called stored stays, and is there", async () => {
    await scene();
    await farm.sweepAll();
    const calls = farm.calls.length;
    for (let at = 1; at <= calls; at++) {
      const { used, unused } = await scene();
      const claimed: string[] = [];
      let inside = false;
      farm.step = async (carryOut) => {
        if (inside || farm.calls.length !== at) return await carryOut();
        inside = true;
        const now = (): number => ++farm.nowMs;
        const [asked, sent, list] = [unused[0]!, unused[2]!, unused[1]!];
        const sizes = await sizesOfInputs(env, [asked, list], now);
        if (sizes.ok) claimed.push(...sizes.value.keys());
        const beganMs = now();
        await FILES.put(`assets/${sent}`, "dead piece");
        const refused = await noteStored(env, [{ sha256: sent, size: 10 }], beganMs, now);
        if (refused.size === 0) claimed.push(sent);
        if (at % 2 === 0) await farm.sweep();
        await farm.expectTruth([...used, ...claimed]);
        return await carryOut();
      };
      await farm.sweepAll();
      await farm.expectTruth([...used, ...claimed]);
      await remove(tasks.pop()!);
    }
  });
});

test("P14: the trigger of the sweep deletes, and the daily trigger of a wrangler.toml without it does not", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await farm.store("unused", { used_ms: 0 });
  // The marker has been there for long enough, as the real clock has it.
  const since_ms = Date.now() - 2 * 60_000;
  const head = async (key: string): Promise<unknown> =>
    key === "farm/sweeping"
      ? { uploaded: new Date(since_ms), customMetadata: { until_ms: String(since_ms + 20 * 60_000) } }
      : await FILES.head(key);
  const run = async (cron: string): Promise<void> => {
    const bucket = new Proxy(FILES, {
      get: (target, name) => {
        if (name === "head") return head;
        const member = (target as unknown as Record<PropertyKey, unknown>)[name];
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
    await worker.scheduled(createScheduledController({ cron }), { ...env, FILES: bucket });
  };
  await run("23 4 * * *");
  expect((await farm.stored()).size).toBe(1);
  await run(SWEEP_CRON);
  expect((await farm.stored()).size).toBe(0);
  const lines = log.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>);
  expect(lines.filter(({ job }) => job === "unused inputs")).toMatchObject([
    { at: "sweep", done: true, deleted: { inputs: 1, bytes: 6 } },
  ]);
  log.mockRestore();
});

describe("P14: /storage/unused-inputs", () => {
  const ask = async (method: string, json?: unknown) =>
    unusedInputsSchema.parse(await okJson(await send(method, "/storage/unused-inputs", { json }), 200));

  test("tells what would be deleted: exactly when the tasks were asked, which a dry run does", async () => {
    const used = await farm.store("used", { used_ms: 0 });
    await farm.store("unused", { used_ms: 0 });
    await submitted(used);
    await HISTORY.prepare("UPDATE inputs SET used_ms = 0").run();
    expect(await ask("GET")).toMatchObject({
      days: 30,
      unused: { inputs: 2 },
      exact: false,
      phase: "idle",
      done: true,
    });
    expect(await ask("POST", { dry_run: true })).toMatchObject({
      unused: { inputs: 1, bytes: 6 },
      exact: true,
      phase: "delete",
      done: true,
      run_deleted: { inputs: 0, bytes: 0 },
    });
    expect((await farm.stored()).size).toBe(2);
    // Nothing is deleted before the marker has been there for a while.
    const answer = await ask("POST", {});
    expect(answer).toMatchObject({ done: false, run_deleted: { inputs: 0 } });
    expect(answer.wait_ms).toBeGreaterThan(0);
    expect((await farm.stored()).size).toBe(2);
  });

  test("deletes by the days that a person says, and nothing that was used in the last seven", async () => {
    await send("PATCH", "/settings/unused_inputs_days", { json: { value: "forever" } });
    await farm.store("unused", { used_ms: 0 });
    expect(await ask("POST", {})).toMatchObject({ days: null, done: true, held: expect.stringContaining("for ever") });
    expect(await ask("POST", { dry_run: true, days: 7 })).toMatchObject({ days: 7, unused: { inputs: 1 } });
    const refused = await send("POST", "/storage/unused-inputs", { json: { days: 6 } });
    expect((await problem(refused, 422, "invalid")).errors).toMatchObject([{ field: "days" }]);
    await send("PATCH", "/settings/unused_inputs_days", { json: { value: null } });
  });

  test("tells why it does not get further", async () => {
    await farm.store("unused", { used_ms: 0 });
    await HISTORY.prepare("ALTER TABLE input_sweep RENAME TO gone").run();
    const refused = await problem(await send("GET", "/storage/unused-inputs"), 503, "overloaded");
    expect(refused.detail).toContain("input_sweep");
    await HISTORY.prepare("ALTER TABLE gone RENAME TO input_sweep").run();
  });
});
