/**
 * Retention: what is deleted was shown, has ended, and is used by nothing (P14). The objects and the
 * daily job inside workerd, with evictions between the steps, and with faults and races at each of them.
 */
import { env } from "cloudflare:workers";
import { createScheduledController, evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { NOTICE_MS } from "../../src/protocol/retention.ts";
import type { Task, TaskSummary } from "../../src/protocol/task.ts";
import { WorkerRegistry } from "../../src/registry/worker-registry.ts";
import { deleteExpired, MAX_TASKS } from "../../src/retention-job.ts";
import type { Env } from "../../src/rpc/env.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { TaskDO } from "../../src/task/task-do.ts";
import { definitionOf } from "../support/definition.ts";
import {
  admin,
  complete,
  files,
  history,
  later,
  lease,
  object,
  requeue,
  ring,
  stubOf,
  submit,
  view,
} from "./chaos-tasks.ts";
import { newTask, newToken, okJson, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

const DAY = 86_400_000;
const registry = registryStub(env) as unknown as RegistryRpc;
const farm = env as unknown as Env;

beforeEach(async () => {
  await registry.setSettings({ retention_days: null, retention_after_download_days: null });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  // Tasks of one test must not be found expired by another.
  for (const { id } of await listedTasks()) await object(id).remove(admin);
});

async function listedTasks(): Promise<TaskSummary[]> {
  const page = await registry.listTasks({ limit: 500 });
  return page.ok ? page.value.tasks : [];
}

const listed = async (id: number): Promise<TaskSummary | undefined> =>
  (await listedTasks()).find((task) => task.id === id);

async function evictAll(...ids: number[]): Promise<void> {
  for (const stub of [registryStub(env), ...ids.map(stubOf)]) await evictDurableObject(stub).catch(() => undefined);
}

/** Wait until the registry has the task's present state. */
async function reported(id: number): Promise<TaskSummary> {
  const now = await view(id);
  await until(
    async () => (await listed(id))?.updated_ms === now.updated_ms,
    () => `a report of task ${id}`,
  );
  return (await listed(id))!;
}

/** A task with two finished frames. */
async function rendered(over: Parameters<typeof submit>[1] = {}): Promise<number> {
  const id = await submit("1-2", { chunk: 2, ...over });
  expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  expect((await reported(id)).status).toBe("completed");
  return id;
}

const setRule = async (values: Record<string, unknown>): Promise<void> => {
  expect((await registry.setSettings(values)).ok).toBe(true);
};

/** Say that all files of a task were downloaded. */
async function download(id: number): Promise<void> {
  expect(await object(id).downloaded((await view(id)).files_version!, admin)).toEqual({ ok: true, value: null });
  await reported(id);
}

const isThere = async (id: number): Promise<boolean> => (await object(id).view()).ok;

describe("P14: when a task expires", () => {
  test("the farm's rule is shown at once in the list and in the task, also after evictions", async () => {
    const id = await rendered();
    const { ended_ms: ended } = await view(id);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ expires_ms: null, expires_by: null });
    expect(await listed(id)).toMatchObject({ expires_ms: null, ended_ms: ended });

    await okJson(await send("PATCH", "/settings/retention_days", { json: { value: 30 } }), 200);
    const expected = { expires_ms: ended! + 30 * DAY, expires_by: "farm", ended_ms: ended };
    expect(await listed(id)).toMatchObject(expected);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject(expected);
    await evictAll(id);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject(expected);
    expect(await listed(id)).toMatchObject(expected);

    await okJson(await send("PATCH", "/settings/retention_days", { json: { value: "forever" } }), 200);
    expect(await listed(id)).toMatchObject({ expires_ms: null });
    // A task that has not ended says nothing of it.
    await setRule({ retention_days: 30 });
    const open = await submit("1-2");
    expect(await okJson(await send("GET", `/tasks/${open}`), 200)).not.toHaveProperty("expires_ms");
  });

  test("nothing goes within a day after the rule was set or shortened, so that a mistyped 1 can be taken back", async () => {
    const id = await rendered();
    const { ended_ms: ended } = await view(id);
    later(90 * DAY);
    await setRule({ retention_days: 60 });
    const setMs = Date.now();
    expect((await listed(id))!.expires_ms).toBe(setMs + NOTICE_MS);
    expect((await deleteExpired(farm)).deleted).toEqual([]);

    later(NOTICE_MS / 2);
    await setRule({ retention_days: 1 });
    await evictAll(id);
    expect((await listed(id))!.expires_ms).toBe(setMs + NOTICE_MS / 2 + NOTICE_MS);
    later(NOTICE_MS / 2);
    expect((await deleteExpired(farm)).deleted).toEqual([]);
    // A longer rule begins no new day.
    await setRule({ retention_days: 120 });
    expect((await listed(id))!.expires_ms).toBe(ended! + 120 * DAY);
    await setRule({ retention_days: null });
    later(300 * DAY);
    expect((await deleteExpired(farm)).deleted).toEqual([]);
    expect(await isThere(id)).toBe(true);
  });

  test("a task's own values count before the farm's, and may be changed; a change gives a day of notice", async () => {
    await setRule({ retention_days: 10 });
    const id = await rendered({ retention_days: 50 });
    const { ended_ms: ended } = await view(id);
    expect(await listed(id)).toMatchObject({ expires_ms: ended! + 50 * DAY, expires_by: "task" });

    const patch = async (json: object): Promise<Record<string, unknown>> => {
      expect((await send("PATCH", `/tasks/${id}`, { json })).status).toBe(204);
      await evictAll(id);
      const shown = await okJson(await send("GET", `/tasks/${id}`), 200);
      expect((await reported(id)).expires_ms).toBe(shown["expires_ms"]);
      return shown;
    };
    expect(await patch({ retention_days: "forever" })).toMatchObject({ expires_ms: null, retention_days: "forever" });
    expect(await patch({ retention_days: null })).toMatchObject({ expires_ms: ended! + 10 * DAY, expires_by: "farm" });
    later(40 * DAY);
    const shown = await patch({ retention_days: 3 });
    expect(shown["expires_ms"]).toBe((shown["retention_set_ms"] as number) + NOTICE_MS);
    expect(shown["ended_ms"]).toBe(ended);
    expect((await history(id)).map(({ detail }) => detail)).not.toContain("retention_days by admin");
    await ring(id);
    expect((await history(id)).map(({ detail }) => detail)).toContain("retention_days by admin");
  });

  test("P10: bad values are refused by name at every door", async () => {
    const id = await newTask();
    for (const name of ["retention_days", "retention_after_download_days"]) {
      for (const value of [0, 1.5, 36_501, "never", -1, true, [1]]) {
        const submitted = { type: "print_string", settings: { text: "x" }, [name]: value };
        for (const [method, path, json] of [
          ["PATCH", `/settings/${name}`, { value }],
          ["PATCH", `/tasks/${id}`, { [name]: value }],
          ["POST", "/tasks", submitted],
        ] as const) {
          const refused = await problem(await send(method, path, { json }), 422, "invalid");
          expect(refused.errors).toEqual([
            { field: name, message: 'must be a whole number of days from 1 to 36500, or "forever"' },
          ]);
        }
      }
    }
    const form = { type: "print_string", settings: '{"text":"x"}', retention_days: "7" };
    expect(await okJson(await send("POST", "/tasks", { form }), 202)).toMatchObject({ retention_days: 7 });
    const json = { type: "print_string", settings: { text: "x" }, retention_after_download_days: "forever" };
    expect(await okJson(await send("POST", "/tasks", { json }), 202)).toMatchObject({
      retention_after_download_days: "forever",
    });
    const { detail } = await problem(await send("DELETE", `/tasks/${id}?if_ended_before=soon`), 422, "invalid");
    expect(detail).toContain("if_ended_before");
  });
});

describe("P14: a download", () => {
  test("counts from the first time that all files were there, and is void when a frame is rendered again", async () => {
    await setRule({ retention_after_download_days: 5 });
    const id = await rendered();
    const first = (await view(id)).files_version!;
    expect((await listed(id))!.expires_ms).toBeNull();
    await download(id);
    await evictAll(id);
    const { downloaded_ms: downloadedMs } = await view(id);
    expect(await listed(id)).toMatchObject({ downloaded_ms: downloadedMs, expires_ms: downloadedMs! + 5 * DAY });
    later(DAY);
    await download(id);
    expect((await view(id)).downloaded_ms).toBe(downloadedMs);

    expect((await requeue(id, "2")).ok).toBe(true);
    expect(await view(id)).not.toHaveProperty("downloaded_ms");
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    expect((await reported(id)).expires_ms).toBeNull();
    await evictAll(id);
    expect(await view(id)).not.toHaveProperty("downloaded_ms");
    const stale = await object(id).downloaded(first, admin);
    expect(stale).toMatchObject({ error: { code: "conflict", errors: [{ field: "files_version" }] } });
    await download(id);
    expect((await listed(id))!.expires_ms).toBe((await view(id)).downloaded_ms! + 5 * DAY);
  });

  test("is told by the task's owner and admins only, and of a task that has files", async () => {
    const { token } = await newToken("artist", "ana");
    const { token: viewer } = await newToken("viewer");
    const id = await newTask(token);
    const json = { files_version: "0.0" };
    const { detail } = await problem(await send("POST", `/tasks/${id}/downloaded`, { token, json }), 409, "conflict");
    expect(detail).toBe(`task ${id} has no files`);
    await problem(await send("POST", `/tasks/${id}/downloaded`, { token: viewer, json }), 403, "forbidden");
    const other = await newToken("artist", "ana");
    await problem(await send("POST", `/tasks/${id}/downloaded`, { token: other.token, json }), 403, "forbidden");
    await problem(await send("POST", `/tasks/${id}/downloaded`, { json: {} }), 422, "invalid");
  });
});

describe("P14: the daily job", () => {
  test("deletes what has expired, files and all, names it in the log and in the history, and leaves the rest", async () => {
    await setRule({ retention_days: 30 });
    const goes = await rendered();
    const canceled = await submit("1-2", { chunk: 1 });
    expect((await complete(await lease(canceled, 1), 1)).ok).toBe(true);
    await object(canceled).patch({ status: "cancel" }, admin, null);
    const forever = await rendered({ retention_days: "forever" });
    const open = await submit("1-2");
    for (const id of [goes, canceled, forever, open]) await reported(id);
    later(20 * DAY);
    const younger = await rendered();
    later(11 * DAY);
    await evictAll(goes, canceled, forever, open, younger);
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    await worker.scheduled(createScheduledController({ scheduledTime: new Date(Date.now()) }), env);
    const line = log.mock.calls.map(([text]) => String(text)).find((text) => text.includes('"job":"retention"'));
    expect(JSON.parse(line!)).toMatchObject({ deleted: [goes, canceled], kept: [], failed: [], more: false });
    expect(await Promise.all([goes, canceled, forever, open, younger].map(isThere))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    for (const id of [goes, canceled]) {
      await ring(id);
      expect(await files(id)).toEqual([]);
      expect((await history(id)).at(-1)).toMatchObject({ kind: "deleted", detail: "retention" });
    }
    expect(await files(forever)).toHaveLength(2);
  });

  test.each(["before it is carried out", "after it was"])(
    "interrupted %s at each of its calls: what was deleted had expired, and the next run does the rest",
    async (when) => {
      await setRule({ retention_days: 2 });
      const old = [await rendered(), await rendered(), await rendered()];
      later(2 * DAY);
      const young = await rendered();
      for (let step = 1; ; step++) {
        const calls = { left: step };
        const run = await deleteExpired(breaking(calls, when === "after it was")).catch((error: unknown) => error);
        await evictAll(...old, young);
        expect(await isThere(young)).toBe(true);
        if (calls.left > 0) {
          expect(run).toMatchObject({ failed: [] });
          break;
        }
      }
      const all = await deleteExpired(farm);
      expect(all.failed).toEqual([]);
      expect(await Promise.all(old.map(isThere))).toEqual([false, false, false]);
      expect(await files(young)).toHaveLength(2);
    },
  );

  test("asks no more tasks in one run than it may, and says that there are more", async () => {
    await setRule({ retention_days: 1 });
    const id = await rendered();
    const summary = (await listed(id))!;
    const many = Array.from({ length: MAX_TASKS + 5 }, (_, i) => ({ ...summary, id: 900_000 + i }));
    const rule = await registry.retention();
    vi.spyOn(WorkerRegistry.prototype, "expiredTasks").mockImplementation(async () => ({
      tasks: many,
      next: null,
      farm: rule,
    }));
    const run = await deleteExpired(farm);
    expect(run).toMatchObject({ deleted: [], more: true });
    expect(run.gone).toHaveLength(MAX_TASKS);
  });

  test("expired tasks that stay do not take the turn of those behind them", async () => {
    await setRule({ retention_days: 1 });
    const id = await rendered();
    const summary = (await listed(id))!;
    const rule = await registry.retention();
    // As many again as one run asks, all before the task itself: a run has it with a chance of a half.
    const before = Array.from({ length: MAX_TASKS }, (_, i) => ({ ...summary, id: 900_000 + i }));
    vi.spyOn(WorkerRegistry.prototype, "expiredTasks").mockImplementation(async (after) =>
      after === 0
        ? { tasks: before, next: 950_000, farm: rule }
        : { tasks: before.map((task) => ({ ...task, id: task.id + 50_000 })), next: null, farm: rule },
    );
    const asked = (await deleteExpired(farm)).gone;
    expect(asked).toHaveLength(MAX_TASKS);
    expect(asked.some((gone) => gone < 950_000)).toBe(true);
    expect(asked.some((gone) => gone >= 950_000)).toBe(true);
  });
});

/** The farm's bindings, where one call of an object is answered with an error: before it, or after it. */
function breaking(calls: { left: number }, after: boolean): Env {
  const broken = (namespace: DurableObjectNamespace): DurableObjectNamespace =>
    ({
      getByName: (...of: Parameters<DurableObjectNamespace["getByName"]>) =>
        new Proxy(namespace.getByName(...of), {
          get: (stub, name) => {
            const methods = stub as unknown as Record<string | symbol, (...args: unknown[]) => Promise<unknown>>;
            return async (...args: unknown[]) => {
              const breaks = --calls.left === 0;
              if (breaks && !after) throw new Error("broken off");
              const answer = await methods[name]!(...args);
              if (breaks) throw new Error("broken off");
              return answer;
            };
          },
        }),
    }) as unknown as DurableObjectNamespace;
  return { ...farm, TASK: broken(env.TASK), REGISTRY: broken(env.REGISTRY) };
}

describe("P14: a task that is used stays", () => {
  /** Ended tasks that depend on each other: one that waited for the other's files. */
  async function pair(): Promise<{ first: number; second: number }> {
    const first = await rendered();
    const second = await submit("1-2", { chunk: 2, depends_on: [{ task: first, frames: "all" }] });
    return { first, second };
  }
  const expired = async (id: number) => {
    const rule = { retention_days: 1, retention_after_download_days: "forever", from_ms: null } as const;
    return await object(id).removeEnded(
      { farm: rule, ended_before_ms: null, ended_for_ms: null, downloaded: false },
      admin,
    );
  };

  test("while a task that depends on it has not ended; then it goes", async () => {
    await setRule({ retention_days: 1 });
    const { first, second } = await pair();
    later(3 * DAY);
    await evictAll(first, second);
    expect(await deleteExpired(farm)).toMatchObject({
      deleted: [],
      kept: [`task ${first} is used by task ${second}`],
    });
    expect((await complete(await lease(second, 1), 1)).ok).toBe(true);
    await reported(second);
    expect((await deleteExpired(farm)).deleted).toEqual([first]);
    expect(await isThere(second)).toBe(true);
  });

  test("when a dependent does not answer: nothing is deleted on a guess", async () => {
    await setRule({ retention_days: 1 });
    const { first, second } = await pair();
    expect((await complete(await lease(second, 1), 1)).ok).toBe(true);
    later(3 * DAY);
    vi.spyOn(TaskDO.prototype, "hasEnded").mockRejectedValue(new Error("away"));
    const run = await deleteExpired(farm);
    expect(run.deleted).toEqual([second]);
    expect(run.kept).toEqual([`task ${second}, which depends on it, does not answer; try again`]);
    expect(await isThere(first)).toBe(true);
  });

  test("when it is requeued while its dependents are asked", async () => {
    await setRule({ retention_days: 1 });
    const { first, second } = await pair();
    expect((await complete(await lease(second, 1), 1)).ok).toBe(true);
    later(3 * DAY);
    vi.spyOn(TaskDO.prototype, "hasEnded").mockImplementationOnce(async () => {
      expect((await requeue(first, "1")).ok).toBe(true);
      return true;
    });
    expect(await expired(first)).toMatchObject({ error: { code: "conflict" } });
    expect((await view(first)).status).toBe("queued");
  });

  test("when a dependent is submitted while the others are asked", async () => {
    await setRule({ retention_days: 1 });
    const { first, second } = await pair();
    expect((await complete(await lease(second, 1), 1)).ok).toBe(true);
    later(3 * DAY);
    let third = 0;
    vi.spyOn(TaskDO.prototype, "hasEnded").mockImplementationOnce(async () => {
      third = await submit("1-2", { chunk: 2, depends_on: [{ task: first, frames: "all" }] });
      return true;
    });
    expect(await expired(first)).toMatchObject({ error: { detail: `task ${first} is used by task ${third}` } });
    expect((await complete(await lease(third, 1), 1)).ok).toBe(true);
  });

  test("when a dependent has asked, and is created only afterwards", async () => {
    await setRule({ retention_days: 1 });
    const first = await rendered();
    later(3 * DAY);
    // What the object of a new task does before it exists.
    expect((await object(first).watch(999_999, "all")).ok).toBe(true);
    expect(await expired(first)).toMatchObject({ error: { detail: `task ${first} is used by task 999999` } });
    // Its submission failed: an hour later nothing uses the task.
    later(3_700_000);
    expect((await expired(first)).ok).toBe(true);
  });

  test("and a dependent that comes after the deletion is refused, so none waits for ever", async () => {
    await setRule({ retention_days: 1 });
    const first = await rendered();
    later(3 * DAY);
    expect((await expired(first)).ok).toBe(true);
    const definition = definitionOf(
      "demo_render",
      { frames: "1-2" },
      {
        id: 888_888,
        depends_on: [{ task: first, frames: "all" }],
      },
    );
    const created = await object(888_888).create(definition, admin);
    expect(created).toMatchObject({ error: { code: "invalid", detail: `task ${first} does not exist` } });
  });

  test("when a dependent that has ended is about to begin again", async () => {
    await setRule({ retention_days: 1 });
    const { first, second } = await pair();
    expect((await complete(await lease(second, 1), 1)).ok).toBe(true);
    later(3 * DAY);
    // The requeue asks its dependency first. The deletion comes between this and the requeue.
    // oxlint-disable-next-line typescript/unbound-method
    const { watch } = TaskDO.prototype;
    let between: Awaited<ReturnType<typeof expired>> | undefined;
    vi.spyOn(TaskDO.prototype, "watch").mockImplementationOnce(async function (this: TaskDO, ...of) {
      const answer = await watch.apply(this, of);
      between = await expired(first);
      return answer;
    });
    expect((await requeue(second, "all")).ok).toBe(true);
    expect(between).toMatchObject({ error: { detail: `task ${first} is used by task ${second}` } });
    expect((await view(second)).status).toBe("queued");
  });

  test("and when it is gone, a dependent that needs it cannot begin again and wait for ever", async () => {
    const first = await submit("1-2");
    const second = await submit("1-2", { depends_on: [{ task: first, frames: "all" }] });
    await object(first).remove(admin);
    await ring(first);
    await until(
      async () => (await view(second)).status === "failed",
      () => "the end of the dependent",
    );
    const refused = await object(second).patch({ status: "requeue" }, admin, null);
    expect(refused).toMatchObject({
      error: { code: "conflict", detail: expect.stringContaining(`task ${first}, which this task needs, was deleted`) },
    });
    expect((await view(second)).status).toBe("failed");
  });
});

describe("P14: a deletion on a condition", () => {
  test("by a person goes only for the state that was listed", async () => {
    const { token } = await newToken("artist", "ana");
    const { token: other } = await newToken("artist", "bob");
    const mine = await okJson(await send("GET", "/auth/session", { token }), 200);
    const id = await rendered({ owner: mine["owner"] as string });
    const at = (query: string, of: string = token): Promise<Response> =>
      send("DELETE", `/tasks/${id}?${query}`, { token: of });
    const { ended_ms: ended } = (await listed(id))!;

    await problem(await at(`if_ended_before=${ended! + 1}`, other), 403, "forbidden");
    const early = await problem(await at(`if_ended_before=${ended}`), 409, "conflict");
    expect(early.detail).toContain(`task ${id} has ended later: `);
    const not = await problem(await at("if_downloaded=1"), 409, "conflict");
    expect(not.detail).toBe(`task ${id} has not been downloaded as it is now`);
    // Requeued and completed again between the list and the deletion: it is not what was listed.
    later(1_000);
    expect((await requeue(id, "1")).ok).toBe(true);
    const open = await problem(await at(`if_ended_before=${ended! + 1}`), 409, "conflict");
    expect(open.detail).toBe(`task ${id} has not ended: it is queued`);
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    await problem(await at(`if_ended_before=${ended! + 1}`), 409, "conflict");
    expect(await files(id)).toHaveLength(3);

    const soon = await problem(await at("if_ended_for=600"), 409, "conflict");
    expect(soon.detail).toContain(`task ${id} has not ended long enough ago: `);
    await download(id);
    const task = (await okJson(await at("if_downloaded=1"), 202)) as unknown as Task;
    expect(task).toMatchObject({ id, status: "completed" });
    await problem(await send("GET", `/tasks/${id}`), 404, "not_found");
  });

  test("an unknown condition is refused and deletes nothing", async () => {
    const id = await newTask();
    await problem(await send("DELETE", `/tasks/${id}?if_ended=1`), 422, "invalid");
    expect((await send("GET", `/tasks/${id}`)).status).toBe(200);
  });
});

test("P14: after a restore the rule counts anew, so that a task that was brought back does not go in the first night", async () => {
  await setRule({ retention_days: 1 });
  const before = (await registry.retention()).from_ms!;
  later(5 * DAY);
  const backup = crypto.randomUUID();
  // The restore of an empty manager: the rows of the settings come with the backup.
  const stub = env.REGISTRY.getByName("restored") as unknown as RegistryRpc;
  expect((await stub.beginRestore(backup)).ok).toBe(true);
  const rows = [
    ["settings", { name: "retention_days", value: "1" }],
    ["counters", { name: "retention_from_ms", value: before }],
  ] as const;
  expect(
    await stub.restoreRows(
      rows.map(([table, row]) => [table, { ...row }]),
      true,
    ),
  ).toMatchObject({ ok: true });
  expect(await stub.retention()).toMatchObject({ retention_days: 1, from_ms: Date.now() });
});
