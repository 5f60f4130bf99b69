import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { outputKey } from "../../src/files/keys.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import type { Frame, Task } from "../../src/protocol/task.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import type { UnsignedClaimed, UnsignedLease, TaskDefinition, TaskRpc } from "../../src/rpc/task.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { definitionOf } from "../support/definition.ts";
import { ring } from "./alarms.ts";
import { rowsWhile } from "./statements.ts";

const admin = { role: "admin", id: 0, name: "admin" } as const;
const SHA = "ab".repeat(32);
let nextId = 1000;
let nextKey = 0;

const object = (id: number): TaskRpc => taskStub(env, id) as unknown as TaskRpc;

async function submit(over: Partial<TaskDefinition> & { frames?: string } = {}): Promise<number> {
  const id = nextId++;
  const { frames = "1-4", settings = { frames }, ...rest } = over;
  const definition = definitionOf(over.type ?? "demo_render", settings, { id, ...rest });
  const created = await object(id).create(definition, admin);
  if (!created.ok) throw new Error(created.error.detail);
  return id;
}

const claimBody = (key = `key-${String(nextKey++).padStart(8, "0")}`, epoch = 0) => ({
  key,
  platform: "linux" as const,
  epoch,
});

async function claim(id: number, worker: number, body = claimBody()): Promise<UnsignedClaimed> {
  const claimed = await object(id).claim({ id: worker }, body);
  if (!claimed.ok) throw new Error(claimed.error.detail);
  return claimed.value;
}

async function lease(id: number, worker: number): Promise<UnsignedLease> {
  const claimed = await claim(id, worker);
  if (!claimed.lease) throw new Error(`no lease: ${claimed.reason}`);
  return claimed.lease;
}

/** What the receipts for the frames of a lease say. */
async function done(given: UnsignedLease, only?: number[]) {
  const frames = parseFrameList(given.frames);
  const out = [];
  for (const frame of frames.ok ? framesOf(frames.value) : []) {
    if (only && !only.includes(frame)) continue;
    const name = given.plan.outputs.find((o) => o.frame === frame)?.name;
    if (name) await env.FILES.put(outputKey(given.task_id, given.attempt, name), `bytes of attempt ${given.attempt}`);
    const receipts = name ? [{ task: given.task_id, attempt: given.attempt, name, size: 20, sha256: SHA }] : [];
    out.push({ frame, seconds: 1.5, receipts });
  }
  return out;
}

async function view(id: number): Promise<Task> {
  const task = await object(id).view();
  if (!task.ok) throw new Error(task.error.detail);
  return task.value;
}

async function frames(id: number): Promise<Frame[]> {
  const page = await object(id).frames({ limit: 1000 });
  if (!page.ok) throw new Error(page.error.detail);
  return page.value.frames;
}

/** P1 from the rows: the counters equal what the frames themselves say. */
async function audit(id: number): Promise<void> {
  const { frames: counts } = await view(id);
  const counted = { total: 0, pending: 0, leased: 0, done: 0, failed: 0, skipped: 0 };
  for (const frame of await frames(id)) {
    counted.total++;
    counted[frame.state]++;
  }
  expect(counts).toEqual(counted);
}

async function later(ms: number): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

async function history(id: number): Promise<HistoryEvent[]> {
  const rows = await env.HISTORY.prepare("SELECT events FROM history WHERE task_id = ? ORDER BY seq")
    .bind(id)
    .all<{ events: string }>();
  return rows.results.flatMap((row) => JSON.parse(row.events) as HistoryEvent[]).sort((a, b) => a.seq - b.seq);
}

/** Three workers that the registry counts as online and able. */
async function threeWorkers(): Promise<number[]> {
  const registry = registryStub(env) as unknown as RegistryRpc;
  const ids: number[] = [];
  for (let i = 0; i < 3; i++) {
    const registered = await registry.registerWorker(
      { hostname: `host-${i}`, system: "Linux", programs: { "tablao-tool": "1" } },
      admin,
      "127.0.0.1",
    );
    if (!registered.ok) throw new Error(registered.error.detail);
    ids.push(registered.value.worker.id);
  }
  return ids;
}

afterEach(() => vi.useRealTimers());

test("P4: a task goes through all its states with an eviction between every two calls", async () => {
  const id = await submit({ frames: "1-3" });
  const evict = () => evictDurableObject(taskStub(env, id));
  await evict();
  let given = await lease(id, 1);
  const seen: number[] = [];
  for (let i = 0; i < 3; i++) {
    await evict();
    const renewed = await object(id).renew({ id: 1 }, given.lease_id, {
      attempt: given.attempt,
      done: [],
      progress: 0.5,
    });
    expect(renewed.ok).toBe(true);
    await evict();
    seen.push(given.attempt);
    const settled = await object(id).complete({ id: 1 }, given.lease_id, {
      attempt: given.attempt,
      done: await done(given),
      next: claimBody(),
    });
    if (!settled.ok) throw new Error(settled.error.detail);
    expect(settled.value.committed).toBe(1);
    await evict();
    await audit(id);
    if (i < 2) given = settled.value.next!.lease!;
    else expect(settled.value.next).toMatchObject({ lease: null, reason: "not_running" });
  }
  expect(seen).toEqual([1, 2, 3]);
  expect(await view(id)).toMatchObject({
    status: "completed",
    frame_current: 3,
    worker_id: 0,
    seconds: 4.5,
    frames: { done: 3, pending: 0 },
  });
  await ring(taskStub(env, id));
  const events = await history(id);
  expect(events.map((e) => e.kind)).toEqual(["submitted", "done", "done", "done", "completed"]);
  expect(events.map((e) => e.seq)).toEqual([1, 2, 3, 4, 5]);
});

test("P2: a superseded lease gets lease_lost for every verb and changes nothing", async () => {
  const id = await submit({ frames: "1" });
  const old = await lease(id, 1);
  await later(61_000);
  await ring(taskStub(env, id));
  const fresh = await lease(id, 2);
  expect(fresh.attempt).toBe(old.attempt + 1);
  const before = await view(id);
  const body = { attempt: old.attempt, done: await done(old) };
  for (const attempt of [old.attempt, fresh.attempt, fresh.attempt + 1]) {
    const with_ = { ...body, attempt, done: [] };
    expect(await object(id).renew({ id: 1 }, old.lease_id, { ...with_, progress: null })).toMatchObject({
      ok: false,
      error: { code: "lease_lost" },
    });
    expect(
      await object(id).fail({ id: 1 }, old.lease_id, { ...with_, frames: "1", error: "x", next: null }),
    ).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect(await object(id).release({ id: 1 }, old.lease_id, { ...with_, reason: "x" })).toMatchObject({
      ok: false,
      error: { code: "lease_lost" },
    });
  }
  expect(await object(id).complete({ id: 1 }, old.lease_id, { ...body, next: null })).toMatchObject({
    ok: false,
    error: { code: "lease_lost" },
  });
  // Another worker's lease, even with the right id and attempt, is not this worker's.
  expect(
    await object(id).complete({ id: 3 }, fresh.lease_id, {
      attempt: fresh.attempt,
      done: await done(fresh),
      next: null,
    }),
  ).toMatchObject({ ok: false, error: { code: "lease_lost" } });
  expect((await view(id)).frames).toEqual(before.frames);
  expect((await view(id)).leases).toEqual(before.leases);
});

test("P3: receipts of another attempt, task or file, or of an empty file, never become the frame", async () => {
  const id = await submit({ frames: "1-2" });
  const given = await lease(id, 1);
  const name = given.plan.outputs[0]!.name;
  const good = { task: id, attempt: given.attempt, name, size: 20, sha256: SHA };
  const bad = [
    { ...good, attempt: given.attempt + 1 },
    { ...good, task: id + 1 },
    { ...good, name: "frame_0002.png" },
    { ...good, size: 0 },
  ];
  for (const receipt of [...bad.map((r) => [r]), []]) {
    const result = await object(id).complete({ id: 1 }, given.lease_id, {
      attempt: given.attempt,
      done: [{ frame: 1, seconds: 1, receipts: receipt }],
      next: null,
    });
    expect(result).toMatchObject({ ok: false, error: { code: "invalid" } });
  }
  expect((await view(id)).frames).toMatchObject({ done: 0, leased: 1 });
});

test("P3: a repeated completion gets the same outcome and the same next lease", async () => {
  const id = await submit({ frames: "1-3" });
  const given = await lease(id, 1);
  const body = { attempt: given.attempt, done: await done(given), next: claimBody() };
  const first = await object(id).complete({ id: 1 }, given.lease_id, body);
  await evictDurableObject(taskStub(env, id));
  const second = await object(id).complete({ id: 1 }, given.lease_id, body);
  if (!first.ok || !second.ok) throw new Error("refused");
  expect(second.value.committed).toBe(first.value.committed);
  expect(second.value.next?.lease?.lease_id).toBe(first.value.next?.lease?.lease_id);
  expect((await view(id)).frames).toMatchObject({ done: 1, leased: 1, pending: 1 });
  const without = await object(id).complete({ id: 1 }, given.lease_id, { ...body, next: null });
  expect(without).toMatchObject({ ok: true, value: { committed: 1 } });
});

test("P5: the alarm returns a silent worker's frames after the lease, by itself and also after an eviction", async () => {
  const id = await submit({ frames: "1-2", lease_ms: 5_000 });
  const given = await lease(id, 1);
  const armed = await runInDurableObject(taskStub(env, id), (_, state) => state.storage.getAlarm());
  expect(armed).not.toBeNull();
  expect(armed!).toBeLessThanOrEqual(given.until_ms);
  await evictDurableObject(taskStub(env, id));
  await later(5_001);
  await ring(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ pending: 2, leased: 0 });
  await ring(taskStub(env, id));
  await ring(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ pending: 2, leased: 0 });
});

test("renewals are kept in memory and written when less than half of the lease is left, so an eviction never ends a held lease", async () => {
  const id = await submit({ frames: "1" });
  const given = await lease(id, 1);
  for (let i = 0; i < 6; i++) {
    await later(20_000);
    const renewed = await object(id).renew({ id: 1 }, given.lease_id, {
      attempt: given.attempt,
      done: [],
      progress: null,
    });
    expect(renewed.ok).toBe(true);
    await evictDurableObject(taskStub(env, id));
    await ring(taskStub(env, id));
  }
  expect((await view(id)).frames.leased).toBe(1);
});

test("P6: a worker that cannot deliver a frame is held off with its reason, also after an eviction; two refusals fail the frame", async () => {
  const id = await submit({ frames: "1" });
  const [first, second] = await threeWorkers();
  const refuse = async (worker: number, more: object): Promise<void> => {
    const given = await lease(id, worker);
    const body = { attempt: given.attempt, done: [], reason: "the worker's disk is full", ...more };
    expect(await object(id).release({ id: worker }, given.lease_id, body)).toMatchObject({ ok: true });
    await evictDurableObject(taskStub(env, id));
  };
  await refuse(first!, { cause: "disk", frames: "1" });
  const held = { worker_id: first, reason: "the worker's disk is full" };
  expect(await view(id)).toMatchObject({ status: "queued", error: held.reason, kept_off: [held] });
  expect(await claim(id, first!)).toMatchObject({ lease: null, reason: "kept_off" });
  await audit(id);
  // An agent of release 0.1 says it in words only.
  await refuse(second!, {});
  expect(await view(id)).toMatchObject({ status: "failed", error: held.reason, frames: { failed: 1 } });
  expect((await frames(id))[0]).toMatchObject({ state: "failed", failures: 0, error: held.reason });
  await audit(id);
});

test("P6: a frame fails after three workers failed it, and the task shows the renderer's own words", async () => {
  const id = await submit({ frames: "1-2" });
  const good = await lease(id, 9);
  await object(id).complete({ id: 9 }, good.lease_id, { attempt: good.attempt, done: await done(good), next: null });
  for (const worker of await threeWorkers()) {
    const given = await lease(id, worker);
    await object(id).fail({ id: worker }, given.lease_id, {
      attempt: given.attempt,
      done: [],
      frames: "2",
      error: `Error: out of memory, try ${given.attempt}`,
      next: null,
    });
  }
  expect(await view(id)).toMatchObject({
    status: "failed",
    error: "Error: out of memory, try 4",
    frames: { done: 1, failed: 1 },
  });
  const [frame] = (await frames(id)).filter((f) => f.state === "failed");
  expect(frame).toMatchObject({ failures: 3, error: "Error: out of memory, try 4" });
  expect(await object(id).patch({ status: "requeue" }, admin, null)).toMatchObject({ ok: true });
  expect(await view(id)).toMatchObject({ status: "queued", error: null, frames: { pending: 1, failed: 0, done: 1 } });
});

test("P6: a scene that no worker can render stops its task at the first try, also after an eviction, until it is requeued", async () => {
  const id = await submit({ frames: "1-9" });
  const [first, second] = await threeWorkers();
  const given = await lease(id, first!);
  const words = "the file has drivers that need Python, and scripts are off";
  const failed = { frames: given.frames, error: words, fault: "scene" as const };
  const body = { attempt: given.attempt, done: [], next: claimBody(), ...failed };
  expect(await object(id).fail({ id: first! }, given.lease_id, body)).toMatchObject({
    ok: true,
    value: { next: { lease: null, reason: "not_running" } },
  });
  await evictDurableObject(taskStub(env, id));
  expect(await claim(id, second!)).toMatchObject({ lease: null, reason: "not_running" });
  const why = "stopped at once: every other worker would find the same in the scene";
  expect(await view(id)).toMatchObject({ status: "failed", error: `${words} (${why})`, kept_off: [] });
  await audit(id);
  await ring(taskStub(env, id));
  const ends = (await history(id)).filter(({ kind }) => kind === "failed");
  expect(ends).toMatchObject([{ detail: why }]);
  expect(await object(id).patch({ status: "requeue" }, admin, null)).toMatchObject({ ok: true });
  expect(await view(id)).toMatchObject({ status: "queued", error: null });
  expect((await lease(id, first!)).attempt).toBe(2);
});

test("P7: history waits until a failing D1 works again, without stopping work, and arrives once", async () => {
  const id = await submit({ frames: "1-2" });
  const prepare = vi.spyOn(env.HISTORY, "batch").mockRejectedValue(new Error("D1_ERROR: overloaded"));
  const given = await lease(id, 1);
  const settled = await object(id).complete({ id: 1 }, given.lease_id, {
    attempt: given.attempt,
    done: await done(given),
    next: claimBody(),
  });
  if (!settled.ok) throw new Error("refused");
  const next = settled.value.next!.lease!;
  expect(
    (await object(id).complete({ id: 1 }, next.lease_id, { attempt: next.attempt, done: await done(next), next: null }))
      .ok,
  ).toBe(true);
  for (let i = 0; i < 12; i++) {
    await later(300_000);
    await ring(taskStub(env, id));
  }
  expect((await view(id)).status).toBe("completed");
  expect(await history(id)).toEqual([]);
  prepare.mockRestore();
  await later(600_000);
  await ring(taskStub(env, id));
  await ring(taskStub(env, id));
  expect((await history(id)).map((e) => e.kind)).toEqual(["submitted", "done", "done", "completed"]);
});

test("superseded uploads are swept when their grant has expired; committed bytes stay", async () => {
  const id = await submit({ frames: "1-2", chunk: 2, lease_ms: 5_000 });
  const old = await lease(id, 1);
  const part = await done(old);
  await object(id).renew({ id: 1 }, old.lease_id, { attempt: old.attempt, done: part.slice(0, 1), progress: null });
  await later(6_000);
  await ring(taskStub(env, id));
  await later(70_000);
  await ring(taskStub(env, id));
  const left = await env.FILES.list({ prefix: `tasks/${id}/` });
  expect(left.objects.map((o) => o.key)).toEqual([outputKey(id, old.attempt, old.plan.outputs[0]!.name)]);
});

test("depends_on: a task waits for all of another, or frame by frame, also across evictions", async () => {
  const a = await submit({ frames: "1-2" });
  const whole = await submit({ frames: "1-2", depends_on: [{ task: a, frames: "all" }] });
  const same = await submit({ frames: "1-3", depends_on: [{ task: a, frames: "same" }] });
  expect(await claim(whole, 1)).toMatchObject({ lease: null, reason: "waiting" });
  expect(await view(same)).toMatchObject({ status: "waiting", waits_for: [a] });
  const one = await lease(a, 1);
  await object(a).complete({ id: 1 }, one.lease_id, { attempt: one.attempt, done: await done(one), next: null });
  await evictDurableObject(taskStub(env, a));
  await evictDurableObject(taskStub(env, same));
  await later(2_000);
  await ring(taskStub(env, a));
  const opened = await lease(same, 2);
  expect(opened.frames).toBe("1");
  expect(await claim(same, 3)).toMatchObject({ lease: null, reason: "waiting" });
  const two = await lease(a, 1);
  await object(a).complete({ id: 1 }, two.lease_id, { attempt: two.attempt, done: await done(two), next: null });
  await later(2_000);
  await ring(taskStub(env, a));
  expect((await lease(whole, 1)).frames).toBe("1");
  expect((await lease(same, 3)).frames).toBe("2");
  expect((await lease(same, 4)).frames).toBe("3");
});

test("a removed task is gone at once; its files and storage are deleted, its dependents are told, its history stays", async () => {
  const a = await submit({ frames: "1-2" });
  const dependent = await submit({ frames: "1", depends_on: [{ task: a, frames: "all" }] });
  const given = await lease(a, 1);
  await object(a).renew({ id: 1 }, given.lease_id, { attempt: given.attempt, done: await done(given), progress: null });
  expect(await object(a).remove(admin)).toMatchObject({ ok: true });
  expect(await object(a).view()).toMatchObject({ ok: false, error: { code: "not_found" } });
  expect(
    await object(a).renew({ id: 1 }, given.lease_id, { attempt: given.attempt, done: [], progress: null }),
  ).toMatchObject({ ok: false });
  for (let i = 0; i < 4; i++) {
    await later(130_000);
    await ring(taskStub(env, a));
  }
  expect((await env.FILES.list({ prefix: `tasks/${a}/` })).objects).toEqual([]);
  const tables = await runInDurableObject(taskStub(env, a), (_, state) =>
    state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'record'").toArray(),
  );
  expect(tables).toEqual([]);
  expect(await view(dependent)).toMatchObject({
    status: "failed",
    error: `task ${a}, which this task waits for, was deleted`,
  });
  expect((await history(a)).map((e) => e.kind)).toContain("deleted");
  const listed = await (
    registryStub(env) as unknown as { listTasks(q: { limit: number }): Promise<{ ok: true; value: { tasks: Task[] } }> }
  ).listTasks({ limit: 500 });
  expect(listed.value.tasks.map((t) => t.id)).not.toContain(a);
});

test("cancel ends leases at once, pause lets them finish, resume and requeue go on", async () => {
  const id = await submit({ frames: "1-3" });
  const given = await lease(id, 1);
  await object(id).patch({ status: "pause" }, admin, null);
  expect(await claim(id, 2)).toMatchObject({ lease: null, reason: "not_running" });
  expect(
    (
      await object(id).complete({ id: 1 }, given.lease_id, {
        attempt: given.attempt,
        done: await done(given),
        next: null,
      })
    ).ok,
  ).toBe(true);
  expect((await view(id)).status).toBe("paused");
  await object(id).patch({ status: "resume" }, admin, null);
  const second = await lease(id, 1);
  await object(id).patch({ status: "cancel" }, admin, null);
  expect(
    await object(id).renew({ id: 1 }, second.lease_id, { attempt: second.attempt, done: [], progress: null }),
  ).toMatchObject({ ok: false, error: { code: "lease_lost" } });
  expect(await view(id)).toMatchObject({ status: "canceled", frames: { done: 1, pending: 2 } });
  await object(id).patch({ status: "requeue" }, admin, null);
  expect((await lease(id, 1)).frames).toBe("2");
  await audit(id);
});

test("P8: a claim from before a preemption is sent back to the registry, a newer one is served", async () => {
  const id = await submit({ frames: "1-3" });
  await object(id).outrank(7);
  await evictDurableObject(taskStub(env, id));
  expect(await claim(id, 1, claimBody(undefined, 6))).toMatchObject({ lease: null, reason: "outranked" });
  expect((await claim(id, 1, claimBody(undefined, 7))).lease).not.toBeNull();
});

test("an object that was only read stores no database", async () => {
  const stub = taskStub(env, 987_654);
  expect(await object(987_654).view()).toMatchObject({ ok: false, error: { code: "not_found" } });
  const tables = await runInDurableObject(stub, (_, state) =>
    state.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").one(),
  );
  expect(tables.n).toBe(0);
});

test("the log is bounded, has no control characters, and comes with the lease calls", async () => {
  const id = await submit({ frames: "1-2" });
  const given = await lease(id, 1);
  await object(id).renew({ id: 1 }, given.lease_id, {
    attempt: given.attempt,
    done: [],
    progress: null,
    log: "Fra:1\u001b[2J\nSaved\r\n",
  });
  for (let i = 0; i < 6; i++) await object(id).appendLog(1, 1, "x".repeat(1_000_000));
  const page = await object(id).log({ limit: 100 });
  if (!page.ok) throw new Error("refused");
  expect(page.value.dropped).toBe(true);
  expect(page.value.lines.reduce((sum, line) => sum + line.text.length, 0)).toBeLessThanOrEqual(4_000_000);
  const other = await submit({ frames: "1" });
  await object(other).appendLog(1, 1, "Fra:1\u001b[2J\nSaved\r\n");
  const clean = await object(other).log({ limit: 10, tail: 1 });
  expect(clean.ok && clean.value.lines[0]!.text).toBe("Fra:1[2J\nSaved\n");
});

test("the log of a failed attempt is kept while other attempts print without end", async () => {
  const id = await submit({ frames: "1-9" });
  const failed = await lease(id, 1);
  await object(id).appendLog(1, failed.attempt, "Error: there is no texture\n");
  await object(id).appendLog(1, failed.attempt, "x".repeat(200_000));
  const body = { attempt: failed.attempt, done: [], frames: "1", error: "exit code 1", next: null };
  expect((await object(id).fail({ id: 1 }, failed.lease_id, body)).ok).toBe(true);
  const other = await lease(id, 2);
  for (let i = 0; i < 9; i++) {
    await object(id).appendLog(2, other.attempt, `${i}`.repeat(900_000));
    await evictDurableObject(taskStub(env, id));
  }
  const page = await object(id).log({ limit: 100 });
  if (!page.ok) throw new Error("refused");
  const { lines, dropped } = page.value;
  expect(dropped).toBe(true);
  expect(lines.filter(({ attempt }) => attempt === failed.attempt).map(({ text }) => text.length)).toEqual([
    27, 200_000,
  ]);
  expect(lines.at(-1)!.text[0]).toBe("8");
  expect(lines.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(4_000_000);
});

test("a chunk of one frame costs two rows: the record and one page", async () => {
  const id = await submit({ frames: "1-1000" });
  let given = await lease(id, 1);
  let rowsWritten = 0;
  let rowsRead = 0;
  const chunks = 32;
  for (let i = 0; i < chunks; i++) {
    const body = { attempt: given.attempt, done: await done(given), next: claimBody() };
    await runInDurableObject(taskStub(env, id), async (instance, { storage }) => {
      const { read, written } = await rowsWhile(storage, async () => {
        const settled = await (instance as unknown as TaskRpc).complete({ id: 1 }, given.lease_id, body);
        if (!settled.ok) throw new Error(settled.error.detail);
        given = settled.value.next!.lease!;
      });
      rowsRead += read;
      rowsWritten += written;
    });
  }
  expect(rowsWritten / chunks).toBeGreaterThanOrEqual(1);
  expect(rowsWritten / chunks).toBeLessThanOrEqual(2.05);
  expect(rowsRead / chunks).toBeLessThanOrEqual(4);
});

test("P12: warnings of frames are kept when the task has completed, survive a restart, and go when the frames are rendered anew", async () => {
  const id = await submit({ frames: "1-3", chunk: 3 });
  const given = await lease(id, 1);
  const warnings = [
    { text: "dark", frames: "2-3" },
    { text: "of no frame here", frames: "7" },
  ];
  const body = { attempt: given.attempt, done: await done(given), warnings, next: null };
  for (let i = 0; i < 2; i++) {
    // The second call is the first one again, whose answer was lost: it counts nothing twice.
    expect(await object(id).complete({ id: 1 }, given.lease_id, body)).toMatchObject({ ok: true });
    await evictDurableObject(taskStub(env, id));
    expect(await view(id)).toMatchObject({
      status: "completed",
      warning_count: 1,
      warnings: [{ text: "dark", frames: 2, first_frame: 2 }],
    });
  }
  expect((await frames(id)).map((frame) => frame.warnings)).toEqual([undefined, ["dark"], ["dark"]]);
  const { files_version } = await view(id);
  expect(await object(id).patch({ status: "requeue", frames: "2-3", files_version }, admin, null)).toMatchObject({
    ok: true,
  });
  const after = await view(id);
  expect(after).not.toHaveProperty("warnings");
  expect(after).not.toHaveProperty("warning_count");
});
