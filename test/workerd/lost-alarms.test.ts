/**
 * Alarms that were lost: the platform forgot them, or they could not be set. What is due is done all
 * the same, within the time of P13, and an idle farm pays nothing for it (decision 016).
 */
import { env } from "cloudflare:workers";
import { createScheduledController, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { WATCH_CRON } from "../../src/protocol/constants.ts";
import type { TaskSummary } from "../../src/protocol/task.ts";
import { Dispatcher } from "../../src/registry/dispatcher.ts";
import { ReservationStore } from "../../src/registry/reservation-store.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { TaskDO } from "../../src/task/task-do.ts";
import { ring as ringAlarm } from "./alarms.ts";
import { admin, alarmOf, complete, later, lease, object, ring, stubOf, submit, view } from "./chaos-tasks.ts";
import { newRegistry } from "./registry-client.ts";
import { rowsWhile } from "./statements.ts";
import { until } from "./wait.ts";

/** What the platform says on the free plan when the day's rows are used up. */
const QUOTA = "Exceeded allowed rows written in Durable Objects free tier.";
const registry = registryStub(env) as unknown as RegistryRpc;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A run of the cron trigger. */
async function watchdog(): Promise<void> {
  await worker.scheduled(createScheduledController({ cron: WATCH_CRON }), env);
}

async function deleteAlarm(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm());
}

/** The task as the registry lists it. */
async function listed(id: number): Promise<TaskSummary | undefined> {
  const page = await registry.listTasks({ limit: 500 });
  return page.ok ? page.value.tasks.find((task) => task.id === id) : undefined;
}

/** Wait until the registry lists the task with this status. */
async function becomes(id: number, status: TaskSummary["status"]): Promise<void> {
  await until(
    async () => (await listed(id))?.status === status,
    () => `task ${id} as ${status}`,
  );
}

/** All frames of a new task are leased, and the registry knows it. */
async function renderedAlone(): Promise<{ id: number; untilMs: number }> {
  const id = await submit("1-2", { chunk: 2 });
  const given = await lease(id, 1);
  await becomes(id, "rendering");
  return { id, untilMs: given.until_ms };
}

/** Whether the open marker is there. */
const isMarked = async (): Promise<boolean> => (await env.FILES.head("farm/open")) !== null;

/** Calls of objects by the Worker from now on. */
function calls(): () => number {
  const spies = [env.REGISTRY, env.TASK].map((namespace) => vi.spyOn(namespace, "getByName"));
  return () => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
}

/** The tasks that the watchdog calls from now on. */
function tasksCalled(): number[] {
  const called: number[] = [];
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
  const { nextWake } = TaskDO.prototype;
  vi.spyOn(TaskDO.prototype, "nextWake").mockImplementation(async function (this: TaskDO) {
    called.push(Number((this as unknown as { ctx: DurableObjectState }).ctx.id.name));
    return await nextWake.call(this);
  });
  return called;
}

describe("an idle farm", () => {
  test("P13: the watchdog wakes nothing where nothing was ever rendered", async () => {
    const called = calls();
    await watchdog();
    expect(called()).toBe(0);
  });

  test("P13: the watchdog wakes nothing any more when all tasks have ended and owe nothing", async () => {
    const id = await submit("1");
    await until(isMarked, () => "the open marker");
    await complete(await lease(id, 1), 1);
    await becomes(id, "completed");
    for (let run = 1; await isMarked(); run++) {
      expect(run).toBeLessThan(5);
      later(300_000);
      await ring(id);
      await watchdog();
    }
    const called = calls();
    for (let run = 0; run < 3; run++) {
      later(300_000);
      await watchdog();
    }
    expect(called()).toBe(0);
    expect(await alarmOf(id)).toBeNull();
    // The next task opens the farm again.
    await submit("1");
    await until(isMarked, () => "the open marker");
  });
});

describe("a task", () => {
  const reads: [string, (id: number) => Promise<unknown>][] = [
    ["view", (id) => object(id).view()],
    ["frames", (id) => object(id).frames({ limit: 10 })],
    ["files", (id) => object(id).files({ limit: 10 })],
    ["file", (id) => object(id).file(1)],
    ["timings", (id) => object(id).timings({ limit: 10 })],
    ["log", (id) => object(id).log({ limit: 10 })],
    ["shareGeneration", (id) => object(id).shareGeneration()],
    ["backupPage", (id) => object(id).backupPage(null)],
  ];

  test.each(reads)("P13: that lost its alarm sets it anew at the next read: %s", async (_name, read) => {
    const { id } = await renderedAlone();
    await deleteAlarm(stubOf(id));
    later(3_600_000);
    await read(id);
    expect(await alarmOf(id)).toBe(Date.now() + 1);
    await ring(id);
    expect((await view(id)).frames).toMatchObject({ leased: 0, pending: 2 });
    expect((await lease(id, 2)).frames).toBe("1-2");
  });

  test("P13: that lost its alarm sets it anew when it is constructed", async () => {
    const { id } = await renderedAlone();
    await deleteAlarm(stubOf(id));
    await evictDurableObject(stubOf(id));
    later(3_600_000);
    expect(await alarmOf(id)).toBe(Date.now() + 1);
  });

  test("that has its alarm sets none and writes nothing when it is read or constructed", async () => {
    const { id } = await renderedAlone();
    const armed = await alarmOf(id);
    await evictDurableObject(stubOf(id));
    await runInDurableObject(stubOf(id), async (instance, { storage }) => {
      const set = vi.spyOn(storage, "setAlarm");
      const rows = await rowsWhile(storage, async () => {
        for (let i = 0; i < 5; i++) await (instance as unknown as TaskDO).view();
        await (instance as unknown as TaskDO).nextWake();
      });
      expect([rows.written, set.mock.calls]).toEqual([0, []]);
    });
    expect(await alarmOf(id)).toBe(armed);
  });

  test.each([false, true])(
    "P13: that lost its alarm is called by the watchdog, and the frames go to another worker (evicted: %s)",
    async (evicted) => {
      const { id, untilMs } = await renderedAlone();
      await deleteAlarm(stubOf(id));
      if (evicted) await evictDurableObject(stubOf(id));
      const called = tasksCalled();
      // The first run comes too early to tell a lost alarm from one that is late.
      for (const atMs of [untilMs + 40_000, untilMs + 340_000]) {
        expect(called).not.toContain(id);
        vi.useFakeTimers({ toFake: ["Date"], now: atMs });
        await watchdog();
      }
      expect(called).toContain(id);
      expect(await alarmOf(id)).toBe(Date.now() + 1);
      await ring(id);
      await becomes(id, "queued");
      expect((await lease(id, 2)).frames).toBe("1-2");
    },
  );

  test("P13: whose alarm rings while the quota is used up goes on when it is not, by the watchdog or the next read", async () => {
    for (const [how, look] of [
      ["the watchdog", watchdog],
      ["a read", view],
    ] as const) {
      const { id } = await renderedAlone();
      later(6_000);
      await useUpQuota(id, async (task) => {
        for (let retryCount = 0; retryCount <= 6; retryCount++) {
          const rung = task.alarm({ retryCount, isRetry: retryCount > 0, scheduledTime: 0 });
          if (retryCount < 6) await expect(rung).rejects.toThrow("could not be set");
          else await rung;
        }
      });
      // This is what the platform does after the last try.
      await deleteAlarm(stubOf(id));
      later(86_400_000);
      await look(id);
      expect(await alarmOf(id), how).toBe(Date.now() + 1);
      await ring(id);
      await becomes(id, "queued");
    }
  });

  test("P13: whose rows cannot be read in seven runs of the watchdog recovers with the next", async () => {
    const { id, untilMs } = await renderedAlone();
    await deleteAlarm(stubOf(id));
    const prototype = await prototypeOfSql(id);
    const { exec } = prototype;
    let refused = 0;
    vi.spyOn(prototype, "exec").mockImplementation(function (this: SqlStorage, ...args) {
      // What a task's object reads first; the registry has its rows by now.
      if (!args[0].includes("name = 'migrations'")) return exec.apply(this, args);
      refused++;
      throw new Error(QUOTA);
    });
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    await evictDurableObject(stubOf(id));
    for (let run = 0; run < 7; run++) {
      const before = refused;
      vi.useFakeTimers({ toFake: ["Date"], now: untilMs + 60_000 + run * 300_000 });
      await watchdog();
      expect(refused).toBeGreaterThan(before);
    }
    expect(log.mock.calls.flat().join("\n")).toContain(QUOTA);
    vi.restoreAllMocks();
    vi.useFakeTimers({ toFake: ["Date"], now: untilMs + 3_600_000 });
    await watchdog();
    expect(await alarmOf(id)).toBe(Date.now() + 1);
    await ring(id);
    await becomes(id, "queued");
  });

  test("P13: that could not report, and lost its alarm, becomes known to the registry", async () => {
    vi.spyOn(env.REGISTRY, "getByName").mockImplementation(() => {
      throw new Error("away");
    });
    const id = await submit("1");
    vi.restoreAllMocks();
    await deleteAlarm(stubOf(id));
    expect(await listed(id)).toBeUndefined();
    later(60_000);
    await watchdog();
    expect(await alarmOf(id)).toBe(Date.now() + 1);
    await ring(id);
    await becomes(id, "queued");
    expect((await env.FILES.list({ prefix: "farm/unreported/" })).objects).toEqual([]);
  });

  test("P13: that is being removed, and lost its alarm, is removed all the same", async () => {
    const id = await submit("1");
    await object(id).remove(admin);
    await until(
      async () => (await listed(id)) === undefined,
      () => "the report of the removal",
    );
    await deleteAlarm(stubOf(id));
    for (let run = 0; (await tablesLeft(id)) > 0; run++) {
      expect(run).toBeLessThan(5);
      later(300_000);
      await watchdog();
      await ring(id);
    }
    // The watchdog learns that nothing is left of it, and forgets it.
    for (let run = 0; run < 2; run++) {
      later(300_000);
      await watchdog();
    }
    expect((await registry.overdueTasks()).map((task) => task.id)).not.toContain(id);
  });

  test("P13: that is removed while D1 is full for ever, and a dependent broken, ends a day later, and the log says what is lost", async () => {
    const id = await submit("1-2");
    const dependent = await submit("1", { depends_on: [{ task: id, frames: "all" }] });
    await complete(await lease(id, 1), 1);
    vi.spyOn(env.HISTORY, "batch").mockRejectedValue(new Error("D1_ERROR: Exceeded maximum DB size"));
    const getByName = env.TASK.getByName.bind(env.TASK);
    vi.spyOn(env.TASK, "getByName").mockImplementation((name, options) => {
      if (name === String(dependent)) throw new Error("the object is broken");
      return getByName(name, options);
    });
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    await object(id).remove(admin);
    let hours = 0;
    for (; (await tablesLeft(id)) > 0; hours++) {
      expect(hours).toBeLessThan(30);
      later(3_600_000);
      await ring(id);
    }
    expect(hours).toBeGreaterThan(23);
    const lines = log.mock.calls.map(([line]) => String(line)).filter((line) => line.includes('"chore":"remove"'));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { at: "task", task: id, chore: "remove", dropped: { events: 3, dependents: true } },
    ]);
  });
});

describe("the registry", () => {
  test("P13: that lost its alarm sets it anew when it is constructed, read, or called by the watchdog", async () => {
    const submission = { owner: "ada", task_id: null, idempotency_key: "lost", body_sha256: "a" };
    await registry.reserveTask(submission);
    await submit("1");
    await until(isMarked, () => "the open marker");
    const alarm = (): Promise<number | null> =>
      runInDurableObject(registryStub(env), (_, { storage }) => storage.getAlarm());
    const due = await alarm();
    expect(due).not.toBeNull();
    for (const look of [
      async () => await evictDurableObject(registryStub(env)),
      async () => await registry.listTokens(),
      async () => await registry.authenticate("0".repeat(64)),
      watchdog,
    ]) {
      await deleteAlarm(registryStub(env));
      // The keys of submissions are kept for a week.
      later(8 * 86_400_000);
      await look();
      expect(await alarm()).toBe(Date.now() + 1);
    }
  });

  test("P13: whose constructor throws seven times goes on when it does not", async () => {
    const prototype = await prototypeOfSql(await submit("1"));
    const fresh = newRegistry();
    await fresh.reserveTask({ owner: "ada", task_id: null, idempotency_key: "k", body_sha256: "a" });
    const due = await runInDurableObject(fresh, (_, { storage }) => storage.getAlarm());
    await deleteAlarm(fresh);
    await evictDurableObject(fresh);
    const { exec } = prototype;
    const refuse = vi.spyOn(prototype, "exec").mockImplementation(function (this: SqlStorage, ...args) {
      if (args[0].includes("migrations")) throw new Error(QUOTA);
      return exec.apply(this, args);
    });
    const call = async (): Promise<unknown> => await fresh.listTokens();
    for (let i = 0; i < 7; i++) await expect(call()).rejects.toThrow(QUOTA);
    refuse.mockRestore();
    expect(await fresh.listTokens()).toEqual([]);
    expect(await runInDurableObject(fresh, (_, { storage }) => storage.getAlarm())).toBe(due);
  });

  test("P13: a job of its alarm that fails holds back none of the others, and is tried again", async () => {
    const fresh = newRegistry();
    await fresh.reserveTask({ owner: "ada", task_id: null, idempotency_key: "k", body_sha256: "a" });
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(ReservationStore.prototype, "sweep").mockImplementation(() => {
      throw new Error(QUOTA);
    });
    const rescan = vi.spyOn(Dispatcher.prototype, "rescan");
    later(8 * 86_400_000);
    await ringAlarm(fresh);
    expect(rescan).toHaveBeenCalled();
    const next = await runInDurableObject(fresh, (_, { storage }) => storage.getAlarm());
    expect(next).toBeGreaterThan(Date.now());
    expect(next).toBeLessThanOrEqual(Date.now() + 60_000);
  });
});

/** How many of its tables a task's object still has. */
async function tablesLeft(id: number): Promise<number> {
  return await runInDurableObject(
    stubOf(id),
    (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('record', 'log')").toArray()
        .length,
  );
}

/** The prototype that the statements of all objects share. */
async function prototypeOfSql(id: number): Promise<SqlStorage> {
  return await runInDurableObject(stubOf(id), (_, { storage }) => Object.getPrototypeOf(storage.sql) as SqlStorage);
}

/** Until `work` has ended, all objects are refused what writes a row, as on the free plan. */
async function useUpQuota(id: number, work: (task: TaskDO) => Promise<void>): Promise<void> {
  await runInDurableObject(stubOf(id), async (instance, { storage }) => {
    const sql = Object.getPrototypeOf(storage.sql) as SqlStorage;
    const { exec } = sql;
    const spies = [
      vi.spyOn(sql, "exec").mockImplementation(function (this: SqlStorage, ...args) {
        if (/^\s*(INSERT|UPDATE|DELETE|CREATE|ALTER)/i.test(args[0])) throw new Error(QUOTA);
        return exec.apply(this, args);
      }),
      vi.spyOn(Object.getPrototypeOf(storage) as DurableObjectStorage, "setAlarm").mockRejectedValue(new Error(QUOTA)),
      vi.spyOn(console, "error").mockImplementation(() => {}),
    ];
    await work(instance as unknown as TaskDO);
    for (const spy of spies) spy.mockRestore();
  });
}
