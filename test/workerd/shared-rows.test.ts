/**
 * Group commit: lease calls that come while the storage is busy share a row. Each is answered as if
 * it had come alone, and not before the row is written. The changes of a refused row are never
 * visible (P4).
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { TaskDO } from "../../src/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { termsOf } from "../../src/task/rules/ledger.ts";
import { newRecord } from "../../src/task/rules/record.ts";
import { RegistryReporter } from "../../src/task/registry-reporter.ts";
import { definitionOf } from "../support/definition.ts";
import type {
  DependencyProgress,
  UnsignedClaimed,
  UnsignedLease as Lease,
  VerifiedFrame,
  TaskRpc,
} from "../../src/rpc/task.ts";
import {
  admin,
  alarmOf,
  claimBody,
  complete,
  history,
  later,
  lease,
  object,
  rendered,
  requeue,
  ring,
  submit,
  view,
} from "./chaos-tasks.ts";
import { FULL, refusing, rowsWhile } from "./statements.ts";

const WORKERS = 32;

interface Inside {
  task: TaskRpc;
  storage: DurableObjectStorage;
}

/** Work inside a task's object, where several calls can be made before any of them goes on. */
async function inside<T>(id: number, work: (inside: Inside) => Promise<T>): Promise<T> {
  return await runInDurableObject(
    taskStub(env, id),
    async (instance, { storage }) => await work({ task: instance as unknown as TaskRpc, storage }),
  );
}

function framesOf(given: readonly UnsignedClaimed[]): string[] {
  return given.map((one) => one.lease!.frames).toSorted((a, b) => Number(a) - Number(b));
}

async function claims(task: TaskRpc, workers: readonly number[]): Promise<UnsignedClaimed[]> {
  const answers = await Promise.all(workers.map((id) => task.claim({ id }, claimBody())));
  return answers.map((answer) => {
    if (!answer.ok) throw new Error(answer.error.detail);
    return answer.value;
  });
}

const workers = Array.from({ length: WORKERS }, (_, i) => i + 1);
const numbers = workers.map(String);

test("P4: calls of 32 workers at one instant write one row, and all of them are there after an eviction", async () => {
  const id = await submit("1-100");
  let given: UnsignedClaimed[] = [];
  const { written } = await inside(id, (object) =>
    rowsWhile(object.storage, async () => {
      given = await claims(object.task, workers);
    }),
  );
  expect(written).toBe(1);
  expect(framesOf(given)).toEqual(numbers);
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ leased: WORKERS, done: 0 });

  const done = await Promise.all(given.map(({ lease }) => rendered(lease!)));
  let next: (UnsignedClaimed | null)[] = [];
  const again = await inside(id, (object) =>
    rowsWhile(object.storage, async () => {
      const answers = await Promise.all(
        given.map(({ lease }, i) =>
          object.task.complete({ id: workers[i]! }, lease!.lease_id, {
            attempt: lease!.attempt,
            done: done[i]!,
            next: claimBody(),
          }),
        ),
      );
      next = answers.map((answer) => (answer.ok ? answer.value.next : null));
    }),
  );
  // The record and its pages, or one row.
  expect(again.written).toBeLessThanOrEqual(4);
  expect(framesOf(next.map((one) => one!))).toEqual(numbers.map((frame) => String(Number(frame) + WORKERS)));
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ leased: WORKERS, done: WORKERS });
});

test("P4: a call is not answered before its row is written; a read in between first writes the row", async () => {
  const id = await submit("1-3");
  await inside(id, async ({ task, storage }) => {
    const { sync } = storage;
    const disk = Promise.withResolvers<void>();
    storage.sync = () => disk.promise;
    try {
      let answered = 0;
      const first = task.claim({ id: 1 }, claimBody()).then(() => answered++);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(answered).toBe(0);
      const looked = await task.view();
      expect(looked.ok && looked.value.frames.leased).toBe(1);
      await first;
      expect(answered).toBe(1);
      const second = task.claim({ id: 2 }, claimBody()).then(() => answered++);
      disk.resolve();
      await second;
    } finally {
      storage.sync = sync;
    }
  });
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames.leased).toBe(2);
});

test("P4: when the row is refused, every call in it fails, no read has seen any of it, and the same calls work later", async () => {
  const id = await submit("1-10");
  const before = await lease(id, 9);
  const bodies = [1, 2, 3].map(() => claimBody());
  await inside(id, async (object) => {
    const { task } = object;
    await refusing(object.storage, /^INSERT/, async () => {
      const calls = bodies.map((body, i) => task.claim({ id: i + 1 }, body));
      // Refused because of the other calls' changes: these are not committed, so this answer does
      // not hold, either.
      const other = task.renew({ id: 9 }, "0c55b5f5-6b0d-4b3c-8f3f-0d6f0c8f7a11", {
        attempt: 2,
        done: [],
        progress: null,
      });
      const outcomes = Promise.allSettled([...calls, other]);
      const looked = await task.view();
      expect(looked.ok && looked.value.frames).toMatchObject({ leased: 1, pending: 9 });
      for (const outcome of await outcomes)
        expect(outcome).toMatchObject({ status: "rejected", reason: { message: FULL } });
    });
    const again = await Promise.all(bodies.map((body, i) => task.claim({ id: i + 1 }, body)));
    expect(again.map((one) => one.ok && one.value.lease?.attempt)).toEqual(
      [2, 3, 4].map((n) => before.attempt - 1 + n),
    );
  });
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ leased: 4, pending: 6 });
});

test("P7: what a refused row held is not in the history; when the calls are made again, each event is written once", async () => {
  const id = await submit("1-4", { lease_ms: 3_600_000 });
  const leases = [await lease(id, 1), await lease(id, 2)];
  const done = [await rendered(leases[0]!), await rendered(leases[1]!)];
  await inside(id, async (inner) => {
    const calls = (): Promise<unknown>[] =>
      leases.map(({ lease_id, attempt }, i) =>
        inner.task.complete({ id: i + 1 }, lease_id, { attempt, done: done[i]!, next: null }),
      );
    await refusing(inner.storage, /^INSERT/, async () => {
      const outcomes = Promise.allSettled(calls());
      later(40_000);
      await (inner.task as unknown as { alarm(): Promise<void> }).alarm();
      expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    });
    expect(await Promise.all(calls())).toMatchObject([{ ok: true }, { ok: true }]);
  });
  later(600_000);
  await ring(id);
  const events = await history(id);
  expect(events.map(({ kind, frames }) => [kind, frames])).toEqual([
    ["submitted", null],
    ["done", "1"],
    ["done", "2"],
  ]);
  expect((await view(id)).frames).toMatchObject({ leased: 0, done: 2, pending: 2 });
});

test("P5: an object without further work wakes when the leases of a shared row end", async () => {
  const id = await submit("1-3", { lease_ms: 5_000 });
  for (let i = 0; (await alarmOf(id)) !== null; i++) {
    if (i === 10) throw new Error("a task on which nothing happens has something to do for ever");
    later(60_000);
    await ring(id);
  }
  const given = await inside(id, async ({ task }) => await claims(task, [1, 2, 3]));
  const endMs = Math.min(...given.map(({ lease }) => lease!.until_ms));
  expect(await alarmOf(id)).toBeLessThanOrEqual(endMs);
  later(5_001);
  await ring(id);
  expect((await view(id)).frames).toMatchObject({ leased: 0, pending: 3 });
});

test("P4: an expired lease leaves the rows with the next call, also with a refused one and where all its frames are done", async () => {
  const id = await submit("1-2");
  const given = await lease(id, 1);
  const stale = { attempt: given.attempt, progress: null };
  await object(id).renew({ id: 1 }, given.lease_id, { ...stale, done: await rendered(given) });
  later(6_000);
  const written = async (): Promise<number> =>
    await inside(id, async ({ task, storage }) => {
      const call = (): Promise<unknown> => task.renew({ id: 1 }, given.lease_id, { ...stale, done: [] });
      const rows = await rowsWhile(storage, async () => expect(await call()).toMatchObject({ ok: false }));
      return rows.written;
    });
  expect([await written(), await written()]).toEqual([1, 0]);
});

test("P4: storage that cannot say when it is idle, or says so by failing, delays no call", async () => {
  const id = await submit("1-9");
  await inside(id, async ({ task, storage }) => {
    const { sync } = storage;
    const fail = (): never => {
      throw new Error("broken");
    };
    try {
      for (const broken of [fail, async () => fail()]) {
        storage.sync = broken;
        expect(await claims(task, [1, 2, 3])).toHaveLength(3);
      }
    } finally {
      storage.sync = sync;
    }
  });
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames.leased).toBe(6);
});

test("P4: a row that is refused in the same instant fails its call, also where the storage cannot say when it is idle", async () => {
  const id = await submit("1-9");
  await inside(id, async ({ task, storage }) => {
    const { sync } = storage;
    storage.sync = () => {
      throw new Error("broken");
    };
    try {
      await refusing(storage, /^INSERT/, async () => {
        await expect(task.claim({ id: 1 }, claimBody())).rejects.toThrow(FULL);
      });
    } finally {
      storage.sync = sync;
    }
  });
  expect((await view(id)).frames).toMatchObject({ leased: 0, pending: 9 });
});

describe("dependents", () => {
  /**
   * Delay the answer to the first `dependencyMoved` call: it is under way from `begun` until `go`
   * is called.
   */
  function delayFirstUpdate(): { begun: Promise<void>; go: () => void; told: DependencyProgress[] } {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: gone, resolve: go } = Promise.withResolvers<void>();
    const told: DependencyProgress[] = [];
    // oxlint-disable-next-line typescript/unbound-method -- it is called with its `this`
    const real = TaskDO.prototype.dependencyMoved;
    vi.spyOn(TaskDO.prototype, "dependencyMoved").mockImplementation(async function (this: TaskDO, progress) {
      told.push(progress);
      const answer = await real.call(this, progress);
      begin();
      await gone;
      return answer;
    });
    return { begun, go, told };
  }

  afterEach(() => vi.restoreAllMocks());

  test("P4: are told nothing that is not written, however long the first of them takes to answer", async () => {
    const id = await submit("1", { lease_ms: 3_600_000 });
    const dependents = [];
    for (let i = 0; i < 2; i++) dependents.push(await submit("1", { depends_on: [{ task: id, frames: "all" }] }));
    const given = await lease(id, 1);
    const done = await rendered(given);
    const body = { attempt: given.attempt, done, next: null };
    await object(id).complete({ id: 1 }, given.lease_id, body);
    await ring(id);
    await requeue(id, "1");
    const again = await lease(id, 1);
    const { begun, go, told } = delayFirstUpdate();
    const rings = ring(id);
    await begun;
    const frames = await rendered(again);
    await inside(id, async (inner) => {
      const { sync } = inner.storage;
      inner.storage.sync = () => new Promise(() => undefined);
      const call = inner.task.complete({ id: 1 }, again.lease_id, { attempt: again.attempt, done: frames, next: null });
      const outcome = Promise.allSettled([call]);
      inner.storage.sync = sync;
      await refusing(inner.storage, /^INSERT/, async () => {
        go();
        for (let i = 0; i < 20 && told.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 5));
        await inner.task.view();
        expect((await outcome)[0]!.status).toBe("rejected");
      });
    });
    await rings;
    expect(told.map(({ state }) => state)).toEqual(["open", "open"]);
    for (const dependent of dependents) expect((await view(dependent)).waits_for).toEqual([id]);
    await complete(again, 1);
    later(10_000);
    await ring(id);
    for (const dependent of dependents) expect((await view(dependent)).waits_for).toEqual([]);
  });

  test("are told of an end that comes while they are being told of something else", async () => {
    for (const end of ["completed", "removed"] as const) {
      const id = await submit("1-2", { lease_ms: 3_600_000 });
      const dependent = await submit("1-2", { depends_on: [{ task: id, frames: "same" }] });
      await complete(await lease(id, 1), 1);
      const last = await lease(id, 1);
      later(2_000);
      const { begun, go, told } = delayFirstUpdate();
      const rings = ring(id);
      await begun;
      if (end === "completed") await complete(last, 1);
      else await object(id).remove(admin);
      go();
      await rings;
      vi.restoreAllMocks();
      for (let i = 0; i < 3; i++) {
        later(6_000);
        await ring(id);
      }
      expect(told[0]!.state).toBe("open");
      const { waits_for, status, error } = await view(dependent);
      if (end === "completed") expect(waits_for).toEqual([]);
      else expect([status, error]).toEqual(["failed", expect.stringContaining(String(id))]);
    }
  });
});

test("reports go out one at a time, also when reading the task writes something that needs a report itself", async () => {
  const definition = definitionOf("demo_render", { frames: "1-3" }, { id: 1 });
  const task = { definition, terms: termsOf(definition), record: newRecord(definition, 0) };
  let [made, under, most] = [0, 0, 0];
  const registry = {
    report: async () => {
      made++;
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, 1));
      under--;
      return { able_workers: 1, watched: false };
    },
  };
  let pending = 0;
  const reporter: RegistryReporter = new RegistryReporter({
    env: { REGISTRY: { getByName: () => registry } } as unknown as Env,
    transactor: {
      get committed() {
        if (pending > 0) {
          pending--;
          void reporter.report();
        }
        return task;
      },
    },
    alarm: { arm: () => undefined },
  });
  for (let i = 0; i < 3; i++) {
    pending = 1;
    await reporter.report();
    pending = 1;
    await Promise.all([reporter.report(), reporter.report()]);
  }
  expect(most).toBe(1);
  expect(made).toBeLessThanOrEqual(12);
  expect(task.record.chores.report_due_ms).toBeNull();
});

test("P4, P10: an object that cannot read its rows after a refused write does not answer that its task is gone", async () => {
  const id = await submit("1-3");
  await inside(id, async (inner) => {
    await refusing(inner.storage, /./, async () => {
      await expect(inner.task.claim({ id: 1 }, claimBody())).rejects.toThrow(FULL);
      await expect(inner.task.view()).rejects.toThrow(FULL);
      await expect(inner.task.claim({ id: 1 }, claimBody())).rejects.toThrow(FULL);
    });
    expect((await inner.task.claim({ id: 1 }, claimBody())).ok).toBe(true);
  });
  expect((await view(id)).frames).toMatchObject({ leased: 1, pending: 2 });
  expect((await object(id).view()).ok).toBe(true);
});

test("P4: a call that breaks off halfway also fails the pending calls of the same row, and all of them work again", async () => {
  const id = await submit("1-100", { chunk: 16, lease_ms: 3_600_000 });
  const held = await lease(id, 2);
  const done = await rendered(held);
  // Its page is to be read from the rows, not from memory.
  await evictDurableObject(taskStub(env, id));
  const body = claimBody();
  await inside(id, async (inner) => {
    const complete = () => inner.task.complete({ id: 2 }, held.lease_id, { attempt: held.attempt, done, next: null });
    const first = inner.task.claim({ id: 1 }, body);
    await refusing(inner.storage, /^SELECT json FROM pages/, async () => {
      const outcomes = await Promise.allSettled([first, complete()]);
      for (const outcome of outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { message: FULL } });
    });
    expect(await complete()).toMatchObject({ ok: true, value: { committed: 16 } });
    expect(await inner.task.claim({ id: 1 }, body)).toMatchObject({ ok: true, value: { lease: { frames: "17-32" } } });
  });
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ leased: 16, done: 16, pending: 68 });
});

test("P4: waking reads four megabytes of journal, however many frames share its rows", async () => {
  const [chunk, callers, rounds] = [60, 16, 30];
  const id = await submit(`1-${chunk * callers * (rounds + 1)}`, { chunk, lease_ms: 3_600_000 });
  const all = workers.slice(0, callers);
  const doneOf = ({ plan, task_id: task, attempt }: Lease): VerifiedFrame[] =>
    plan.outputs.map(({ frame, name }) => ({
      frame,
      seconds: 1,
      receipts: [{ task, attempt, name, size: 9, sha256: "ab".repeat(32) }],
    }));
  const { longest, most, checkpoints } = await inside(id, async ({ task, storage: { sql } }) => {
    let leases = (await claims(task, all)).map((given) => given.lease!);
    const seen = { longest: 0, most: 0, checkpoints: 0 };
    let before = 0;
    for (let round = 0; round < rounds; round++) {
      const answers = await Promise.all(
        leases.map((one, i) => {
          const body = { attempt: one.attempt, done: doneOf(one), next: claimBody() };
          return task.complete({ id: all[i]! }, one.lease_id, body);
        }),
      );
      leases = answers.map((answer) =>
        answer.ok ? answer.value.next!.lease! : expect.unreachable(answer.error.detail),
      );
      const { chars, row } = sql
        .exec<{ chars: number; row: number }>(
          "SELECT coalesce(sum(length(json)), 0) AS chars, coalesce(max(length(json)), 0) AS row FROM journal WHERE version > (SELECT json ->> '$.ledger.version' FROM record)",
        )
        .one();
      if (chars < before) seen.checkpoints++;
      before = chars;
      seen.longest = Math.max(seen.longest, row);
      seen.most = Math.max(seen.most, chars);
    }
    return seen;
  });
  expect(longest).toBeGreaterThan(100_000);
  expect(most).toBeLessThan(4_500_000);
  expect(checkpoints).toBeGreaterThan(0);
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ done: chunk * callers * rounds, leased: chunk * callers });
});
