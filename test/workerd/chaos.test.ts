/**
 * Failures of a farm, one at a time. Titles name failure modes that other render farms had.
 * test/chaos tests them in combination.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { outputKey } from "../../src/files/keys.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { migrate } from "../../src/platform/sql.ts";
import type { TaskRpc } from "../../src/rpc/task.ts";
import {
  admin,
  alarmOf,
  claim,
  claimBody,
  complete,
  files,
  history,
  later,
  lease,
  object,
  rendered,
  requeue,
  ring,
  stubOf,
  submit,
  view,
} from "./chaos-tasks.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("reports that come too late", () => {
  test("P2: a late report of a superseded run, while another host renders the frame, changes nothing", async () => {
    const id = await submit("1");
    const old = await lease(id, 1);
    const done = await rendered(old);
    later(5_001);
    const fresh = await lease(id, 2);
    expect(await complete(old, 1, done)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect((await view(id)).leases.map((l) => l.attempt)).toEqual([fresh.attempt]);
    expect((await complete(fresh, 2)).ok).toBe(true);
    expect(await complete(old, 1, done)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    const [file] = (await object(id)
      .files({ limit: 10 })
      .then((r) => (r.ok ? r.value.files : [])))!;
    expect(file).toMatchObject({ frame: 1, attempt: fresh.attempt });
  });

  test("P3: the duplicate of a report that was handled is answered as the first was, and handled once", async () => {
    const id = await submit("1-2");
    const given = await lease(id, 1);
    const done = await rendered(given);
    const first = await complete(given, 1, done);
    await evictDurableObject(stubOf(id));
    expect(await complete(given, 1, done)).toEqual(first);
    expect((await view(id)).frames).toMatchObject({ done: 1, pending: 1 });
  });

  test("P6, P7: a stale success is answered as lost, not dropped in silence, and counts against none of the frame's tries", async () => {
    const id = await submit("1");
    const old = await lease(id, 1);
    later(5_001);
    expect(await complete(old, 1)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    const fresh = await lease(id, 2);
    await complete(fresh, 2);
    await ring(id);
    const told = (await history(id)).map(({ kind, attempt, detail }) => ({ kind, attempt, detail }));
    expect(told).toContainEqual({ kind: "lost", attempt: old.attempt, detail: "expired" });
    expect(told).toContainEqual({ kind: "done", attempt: fresh.attempt, detail: null });
    const page = await object(id).frames({ limit: 1 });
    expect(page.ok && page.value.frames[0]).toMatchObject({ failures: 0, attempt: fresh.attempt });
  });

  test("P2: a report of a worker that has moved on to another frame touches neither frame", async () => {
    const id = await submit("1-2");
    const old = await lease(id, 1);
    later(5_001);
    const moved = await lease(id, 1);
    expect(moved.frames).toBe(old.frames);
    const stale = { attempt: old.attempt, done: [], frames: old.frames, error: "x", next: null };
    expect(await object(id).fail({ id: 1 }, old.lease_id, stale)).toMatchObject({
      ok: false,
      error: { code: "lease_lost" },
    });
    const mixed = { ...stale, attempt: moved.attempt };
    expect(await object(id).fail({ id: 1 }, old.lease_id, mixed)).toMatchObject({
      ok: false,
      error: { code: "lease_lost" },
    });
    expect((await view(id)).leases).toMatchObject([{ attempt: moved.attempt, worker_id: 1 }]);
  });

  test("P10: a report for a frame that is not in the lease, or that no longer exists, is refused by name", async () => {
    const id = await submit("1-2");
    const given = await lease(id, 1);
    const foreign = [{ frame: 99, seconds: 1, receipts: [] }];
    expect(await complete(given, 1, foreign)).toMatchObject({ ok: false, error: { code: "invalid" } });
    expect((await view(id)).frames).toMatchObject({ leased: 1, done: 0 });
    await object(id).remove(admin);
    expect(await complete(given, 1, [])).toMatchObject({ ok: false, error: { code: "not_found" } });
  });
});

describe("hosts that are gone, or only seem to be", () => {
  test("P2, P5: a host that cannot be reached keeps the frame until the lease ends, and not longer", async () => {
    later(0);
    const id = await submit("1");
    const held = await lease(id, 1);
    later(4_900);
    expect(await claim(id, 2)).toMatchObject({ lease: null, reason: "nothing_pending" });
    later(101);
    const taken = await lease(id, 2);
    expect(taken.attempt).toBeGreaterThan(held.attempt);
  });

  test("P5: a restarted host claims afresh; the frames it held before come back when that lease ends", async () => {
    const id = await submit("1-2");
    const before = await lease(id, 1);
    const after = await lease(id, 1);
    expect(after.frames).not.toBe(before.frames);
    await complete(after, 1);
    later(5_001);
    await ring(id);
    const again = await lease(id, 1);
    expect(again.frames).toBe(before.frames);
    await complete(again, 1);
    expect((await view(id)).status).toBe("completed");
  });

  test("P3: a retry does not wait for the old process to die: the old process's late uploads never become the frame, and are swept", async () => {
    const id = await submit("1");
    const old = await lease(id, 1);
    later(5_001);
    const fresh = await lease(id, 2);
    const stray = await rendered(old);
    await complete(fresh, 2);
    expect(await complete(old, 1, stray)).toMatchObject({ ok: false });
    later(70_000);
    await ring(id);
    expect(await files(id)).toEqual([outputKey(id, fresh.attempt, fresh.plan.outputs[0]!.name)]);
  });

  test("P6: a task that only ever fails stops after a bounded number of tries, says why, and waits for a person", async () => {
    const id = await submit("1-50");
    let failures = 0;
    for (; failures < 200; failures++) {
      const { lease: given } = await claim(id, 1);
      if (!given) break;
      const body = { attempt: given.attempt, done: [], frames: given.frames, error: "no camera", next: null };
      await object(id).fail({ id: 1 }, given.lease_id, body);
    }
    expect(failures).toBeLessThanOrEqual(3);
    expect(await view(id)).toMatchObject({ status: "failed", error: expect.stringMatching(/no camera|stopped/) });
  });
});

describe("deferred work that fails", () => {
  test("one attempt that cannot be swept does not hold up the sweep of the others", async () => {
    const id = await submit("1-3");
    const lost = [await lease(id, 1), await lease(id, 2), await lease(id, 3)];
    for (const given of lost) await rendered(given);
    later(5_001);
    await ring(id);
    const list = env.FILES.list.bind(env.FILES);
    vi.spyOn(env.FILES, "list").mockImplementation(async (options) => {
      if (options?.prefix?.includes(`tasks/${id}/${lost[0]!.attempt}/`)) throw new Error("R2 is away");
      return await list(options);
    });
    later(70_000);
    for (let i = 0; i < 3; i++) await ring(id);
    const prefix = `tasks/${id}/${lost[0]!.attempt}/`;
    vi.restoreAllMocks();
    expect(await files(id)).toEqual([expect.stringContaining(prefix)]);
    later(10_000);
    await ring(id);
    expect(await files(id)).toEqual([]);
  });

  test("an update of a dependent fails twice, then works", async () => {
    const a = await submit("1");
    const b = await submit("1", { depends_on: [{ task: a, frames: "all" }] });
    const getByName = env.TASK.getByName.bind(env.TASK);
    let failures = 0;
    vi.spyOn(env.TASK, "getByName").mockImplementation((name, options) => {
      if (name !== String(b) || failures >= 2) return getByName(name, options);
      const refuse = (): Promise<never> => Promise.reject(new Error(`failure ${++failures}`));
      return new Proxy(getByName(name, options), { get: () => refuse });
    });
    await complete(await lease(a, 1), 1);
    for (let i = 0; i < 4; i++) {
      await ring(a);
      later(5_001);
    }
    expect(failures).toBe(2);
    vi.restoreAllMocks();
    expect((await view(b)).status).toBe("queued");
    expect((await lease(b, 2)).frames).toBe("1");
  });

  test("2,000 frames by as many attempts are requeued in one transition, and their files are deleted with a few requests", async () => {
    const id = await submit("1-2000", { lease_ms: 3_600_000 });
    await runInDurableObject(stubOf(id), async (instance) => {
      const task = instance as unknown as TaskRpc;
      const claimed = await task.claim({ id: 1 }, claimBody());
      let given = claimed.ok ? claimed.value.lease : null;
      while (given) {
        const { frame, name } = given.plan.outputs[0]!;
        const receipt = { task: id, attempt: given.attempt, name, size: 9, sha256: "ef".repeat(32) };
        const body = { attempt: given.attempt, done: [{ frame, seconds: 1, receipts: [receipt] }], next: claimBody() };
        const settled = await task.complete({ id: 1 }, given.lease_id, body);
        if (!settled.ok) throw new Error(settled.error.detail);
        given = settled.value.next!.lease;
      }
    });
    expect(await requeue(id, "1-1999")).toMatchObject({ ok: true });
    const kept = outputKey(id, 2_000, "frame_2000.png");
    for (const n of [1, 700, 1_999])
      await env.FILES.put(outputKey(id, n, `frame_${String(n).padStart(4, "0")}.png`), "x");
    await env.FILES.put(kept, "x");
    const record = (): Promise<number> =>
      runInDurableObject(
        stubOf(id),
        (_, { storage }) => storage.sql.exec<{ n: number }>("SELECT length(json) AS n FROM record").one().n,
      );
    expect(await record()).toBeLessThan(200_000);
    const remove = vi.spyOn(env.FILES, "delete");
    // The grants of leases of an hour have run out.
    later(3_600_000 + 70_000);
    await ring(id);
    expect(remove.mock.calls.length).toBeLessThan(10);
    expect(await files(id)).toEqual([kept]);
    expect(await record()).toBeLessThan(5_000);
  });
});

describe("races", () => {
  test("P2: twelve workers claim six frames at once: each frame is given out once, the cap is reached exactly", async () => {
    const id = await submit("1-6");
    const claims = await Promise.all(Array.from({ length: 12 }, (_, i) => claim(id, i + 1)));
    const given = claims.flatMap(({ lease: l }) => (l ? [l.frames] : []));
    expect(given.toSorted()).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect((await view(id)).frames).toMatchObject({ leased: 6, pending: 0 });
  });

  test("P1: cancel, requeue, completion and claims that race leave counters that equal the rows", async () => {
    const id = await submit("1-20", { chunk: 3 });
    const held = [await lease(id, 1), await lease(id, 2)];
    const done = await Promise.all(held.map(rendered));
    await Promise.all([
      complete(held[0]!, 1, done[0]),
      object(id).patch({ status: "cancel" }, admin, null),
      complete(held[1]!, 2, done[1]),
      object(id).patch({ status: "requeue" }, admin, null),
      claim(id, 3),
      claim(id, 4),
      object(id).patch({ status: "requeue", frames: "1-3" }, admin, null),
    ]);
    const page = await object(id).frames({ limit: 100 });
    const rows = page.ok ? page.value.frames : [];
    const counted = (state: string): number => rows.filter((frame) => frame.state === state).length;
    const { frames: counts } = await view(id);
    for (const state of ["pending", "leased", "done", "failed", "skipped"] as const)
      expect(counts[state], state).toBe(counted(state));
  });
});

describe("a schema that is upgraded", () => {
  const STEP = "ALTER TABLE record ADD COLUMN note TEXT NOT NULL DEFAULT 'old'; CREATE INDEX notes ON record (note);";
  const steps = (state: DurableObjectState): string[] => {
    const { n } = state.storage.sql.exec<{ n: number }>("SELECT max(id) AS n FROM migrations").one();
    return Array.from({ length: n }, () => "SELECT 'deployed long ago'");
  };

  test("P4: a step added to the code is carried out once on what an older version stored, and loses none of it", async () => {
    const id = await submit("1-2");
    const given = await lease(id, 1);
    await evictDurableObject(stubOf(id));
    await runInDurableObject(stubOf(id), (_, state) => {
      const known = steps(state);
      for (let i = 0; i < 2; i++) migrate(state.storage, [...known, STEP]);
      expect(state.storage.sql.exec("SELECT note FROM record").one()).toEqual({ note: "old" });
    });
    expect((await view(id)).leases.map((l) => l.lease_id)).toEqual([given.lease_id]);
    // This instance goes on, like one that was alive when the newer code was deployed.
    expect((await complete(given, 1)).ok).toBe(true);
  });

  test("P4: a step that fails changes nothing, and is tried again", async () => {
    const id = await submit("1");
    await runInDurableObject(stubOf(id), (_, state) => {
      const known = steps(state);
      expect(() => migrate(state.storage, [...known, `${STEP} SELECT nonsense FROM nowhere;`])).toThrow(/nowhere/);
      const columns = state.storage.sql
        .exec<{ name: string }>("SELECT name FROM pragma_table_info('record')")
        .toArray();
      expect(columns.map((c) => c.name)).toEqual(["id", "json"]);
      migrate(state.storage, [...known, STEP]);
      expect(state.storage.sql.exec("SELECT note FROM record").one()).toEqual({ note: "old" });
    });
  });

  test("P4: code that is older than what is stored refuses to write to it", async () => {
    const id = await submit("1");
    await runInDurableObject(stubOf(id), (_, state) => {
      const known = steps(state);
      migrate(state.storage, [...known, STEP]);
      expect(() => migrate(state.storage, known)).toThrow(/this code knows/);
    });
  });

  test("a record from before the tally existed is read, and the task goes on", async () => {
    const id = await submit("1-2");
    const given = await lease(id, 1);
    await runInDurableObject(stubOf(id), (_, state) => {
      const { json } = state.storage.sql.exec<{ json: string }>("SELECT json FROM record").one();
      const record = JSON.parse(json) as { ledger: Record<string, unknown> };
      delete record.ledger["tally"];
      state.storage.sql.exec("UPDATE record SET json = ?", JSON.stringify(record));
    });
    await evictDurableObject(stubOf(id));
    expect((await complete(given, 1)).ok).toBe(true);
    expect((await view(id)).frames).toMatchObject({ done: 1, pending: 1 });
  });
});

describe("alarms", () => {
  test("P5: an early alarm gives nothing back and sets itself anew; a late or doubled alarm does its work once", async () => {
    const id = await submit("1-2", { chunk: 2 });
    const given = await lease(id, 1);
    later(2_000);
    await ring(id);
    expect((await view(id)).frames).toMatchObject({ leased: 2 });
    const armed = await alarmOf(id);
    expect(armed).not.toBeNull();
    expect(armed!).toBeLessThanOrEqual(given.until_ms);
    later(3_600_000);
    await Promise.all([ring(id), ring(id)]);
    await ring(id);
    expect((await view(id)).frames).toMatchObject({ pending: 2, leased: 0 });
    expect((await history(id)).filter((event) => event.kind === "lost")).toHaveLength(1);
  });

  test("P5, P7: D1, R2, the registry and a dependent fail eight times in a row; alarms go on, and everything is done later", async () => {
    const id = await submit("1-3");
    const dependent = await submit("1-3", { depends_on: [{ task: id, frames: "same" }] });
    const stray = await lease(id, 1);
    await rendered(stray);
    later(5_001);
    const given = await lease(id, 2);
    await complete(given, 2);
    const away = (): never => {
      throw new Error("away");
    };
    vi.spyOn(env.HISTORY, "batch").mockImplementation(away);
    vi.spyOn(env.FILES, "list").mockImplementation(away);
    vi.spyOn(env.FILES, "delete").mockImplementation(away);
    vi.spyOn(env.REGISTRY, "getByName").mockImplementation(away);
    const getByName = env.TASK.getByName.bind(env.TASK);
    vi.spyOn(env.TASK, "getByName").mockImplementation((name, options) =>
      name === String(dependent) ? away() : getByName(name, options),
    );
    for (let i = 0; i < 8; i++) {
      later(300_000);
      await ring(id);
      if (i === 3) await evictDurableObject(stubOf(id));
      const armed = await alarmOf(id);
      expect(armed, `after failure ${i + 1}`).not.toBeNull();
      expect(armed!).toBeLessThanOrEqual(Date.now() + 300_000);
    }
    // Rendering goes on all the time.
    const during = await lease(id, 3);
    expect((await complete(during, 3)).ok).toBe(true);
    vi.restoreAllMocks();
    for (let i = 0; i < 3; i++) {
      later(300_000);
      await ring(id);
    }
    const committed = [given, during].map((l) => outputKey(id, l.attempt, l.plan.outputs[0]!.name));
    expect((await files(id)).toSorted()).toEqual(committed.toSorted());
    const told = await history(id);
    expect(told.map((event) => event.seq)).toEqual(told.map((_, i) => i + 1));
    expect(told.filter((event) => event.kind === "done")).toHaveLength(2);
    const listed = await (
      registryStub(env) as unknown as {
        listTasks(q: object): Promise<{ value: { tasks: { id: number; frames: { done: number } }[] } }>;
      }
    ).listTasks({ limit: 100 });
    expect(listed.value.tasks.find((task) => task.id === id)?.frames.done).toBe(2);
    expect((await lease(dependent, 4)).frames).toBe(given.frames);
  });
});

test("P7: two alarms that overlap drain one outbox one after the other: each event is written once", async () => {
  const id = await submit("1-3");
  await complete(await lease(id, 1), 1);
  // Objects of other tests write, too: only this task's statements count.
  const own = new WeakSet<D1PreparedStatement>();
  const prepare = env.HISTORY.prepare.bind(env.HISTORY);
  const batch = env.HISTORY.batch.bind(env.HISTORY);
  vi.spyOn(env.HISTORY, "prepare").mockImplementation((sql) => {
    const statement = prepare(sql);
    const bind = statement.bind.bind(statement);
    statement.bind = (...values) => {
      const bound = bind(...values);
      if (String(values[0]).includes(`"task_id":${id},`)) own.add(bound);
      return bound;
    };
    return statement;
  });
  let writing = 0;
  let most = 0;
  vi.spyOn(env.HISTORY, "batch").mockImplementation(async (statements) => {
    if (!own.has(statements[0]!)) return await batch(statements);
    most = Math.max(most, ++writing);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await batch(statements);
    writing--;
    throw new Error("the answer is lost");
  });
  later(60_000);
  const rings = runInDurableObject(stubOf(id), async (instance) => {
    const task = instance as unknown as { alarm(): Promise<void> };
    await Promise.all([task.alarm(), task.alarm(), task.alarm()]);
  });
  await complete(await lease(id, 2), 2);
  await rings;
  expect(most).toBe(1);
  vi.restoreAllMocks();
  later(600_000);
  await ring(id);
  const told = await history(id);
  expect(told.map((event) => event.seq)).toEqual([1, 2, 3]);
});

describe("D1 is away for an hour", () => {
  test("P7: 10,000 frames are rendered meanwhile: about a row for a hundred events, and afterwards D1 has each event once", async () => {
    const id = await submit("1-10000", { type: "print_string", lease_ms: 60_000 });
    const batch = vi.spyOn(env.HISTORY, "batch").mockRejectedValue(new Error("D1_ERROR: overloaded"));
    const rows = (): Promise<{ rows: number; bytes: number }> =>
      runInDurableObject(stubOf(id), (_, state) =>
        state.storage.sql
          .exec<{ rows: number; bytes: number }>(
            "SELECT count(*) AS rows, coalesce(sum(length(json)), 0) AS bytes FROM outbox",
          )
          .one(),
      );
    let given = await lease(id, 1);
    const startMs = Date.now();
    for (let minute = 0; minute < 60; minute++) {
      vi.useFakeTimers({ toFake: ["Date"], now: startMs + minute * 60_000 });
      given = await runInDurableObject(stubOf(id), async (instance) => {
        const task = instance as unknown as TaskRpc;
        // The lease of the minute before has run out, as happens when a worker is slow.
        const claimed = await task.claim({ id: 1 }, claimBody());
        let next = claimed.ok ? claimed.value.lease! : given;
        for (let i = 0; i < 166; i++) {
          const done = [{ frame: Number(next.frames), seconds: 0.3, receipts: [] }];
          const settled = await task.complete({ id: 1 }, next.lease_id, {
            attempt: next.attempt,
            done,
            next: claimBody(),
          });
          if (!settled.ok) throw new Error(settled.error.detail);
          next = settled.value.next!.lease!;
        }
        return next;
      });
      await ring(id);
    }
    const { frames } = await view(id);
    expect(frames.done).toBe(60 * 166);
    const waiting = await rows();
    expect(waiting.rows).toBeLessThanOrEqual(Math.ceil(frames.done / 80));
    expect(waiting.rows).toBeGreaterThan(40);
    expect(waiting.bytes).toBeLessThan(3_000_000);
    console.log(`outbox after an hour: ${waiting.rows} rows, ${waiting.bytes} bytes for ${frames.done} frames`);
    await evictDurableObject(stubOf(id));
    batch.mockRestore();
    for (let i = 0; i < 4; i++) {
      vi.useFakeTimers({ toFake: ["Date"], now: startMs + 3_700_000 + i * 400_000 });
      await ring(id);
    }
    expect((await rows()).rows).toBe(0);
    const told = await history(id);
    expect(told.map((event) => event.seq)).toEqual(told.map((_, i) => i + 1));
    expect(told.filter((event) => event.kind === "done")).toHaveLength(frames.done);
  });
});
