/**
 * D1 takes nothing more (10 GB on the paid plan, 500 MB on the free one): tasks go on, say what is
 * wrong, and hold a bounded number of events.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { DRAIN_EVENTS, MAX_WAITING_BYTES } from "../../src/history/outbox.ts";
import { queryDays } from "../../src/history/totals-store.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import type { TaskSummary } from "../../src/protocol/task.ts";
import { complete, history, later, lease, ring, stubOf, submit, view } from "./chaos-tasks.ts";
import { send } from "./http-client.ts";

const REASON = "D1_ERROR: Exceeded maximum DB size.";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** D1 refuses every write from now on. Counts the writes of one task; other objects write, too. */
function fill(id: number): { tries: number } {
  const counted = { tries: 0 };
  const prepare = env.HISTORY.prepare.bind(env.HISTORY);
  vi.spyOn(env.HISTORY, "prepare").mockImplementation((sql) => {
    const statement = prepare(sql);
    const bind = statement.bind.bind(statement);
    statement.bind = (...values) => {
      if (sql.includes("INSERT INTO history (") && String(values[0]).includes(`"task_id":${id},`)) counted.tries++;
      return bind(...values);
    };
    return statement;
  });
  vi.spyOn(env.HISTORY, "batch").mockRejectedValue(new Error(REASON));
  return counted;
}

async function listed(id: number): Promise<TaskSummary | undefined> {
  const list = await (registryStub(env) as unknown as RegistryRpc).listTasks({ limit: 500 });
  return list.ok ? list.value.tasks.find((task) => task.id === id) : undefined;
}

async function metric(name: string): Promise<number> {
  const text = await (await send("GET", "/metrics")).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}

describe("D1 is full", () => {
  test("P13: a task renders to its end and says why its history waits; D1 is asked at most every five minutes", async () => {
    const id = await submit("1-3", { lease_ms: 60_000 });
    const asked = fill(id);
    const logged = vi.spyOn(console, "error");
    for (let frame = 1; frame <= 3; frame++) expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    for (let minute = 0; minute < 60; minute++) {
      later(60_000);
      await ring(id);
    }
    expect(asked.tries).toBeGreaterThan(5);
    expect(asked.tries).toBeLessThanOrEqual(13);
    const failure = { reason: REASON, since_ms: expect.any(Number) as number, dropped: 0 };
    expect(await view(id)).toMatchObject({ status: "completed", frames: { done: 3 }, history_failure: failure });
    expect(await listed(id)).toMatchObject({ status: "completed", history_failure: failure });
    expect(await metric("tablao_history_refused_tasks")).toBeGreaterThanOrEqual(1);
    const lines = logged.mock.calls.map(([line]) => String(line)).filter((line) => line.includes(`"task":${id},`));
    expect(lines.filter((line) => line.includes(REASON))).toHaveLength(1);

    vi.restoreAllMocks();
    later(400_000);
    await ring(id);
    expect((await history(id)).map(({ kind }) => kind)).toEqual(["submitted", "done", "done", "done", "completed"]);
    expect((await view(id)).history_failure).toBeUndefined();
    expect((await listed(id))?.history_failure).toBeUndefined();
  });

  test("P7, P13: beyond its bound an outbox drops its oldest events, and counts them; D1 gets the others once", async () => {
    const id = await submit("1-2", { lease_ms: 60_000 });
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    fill(id);
    later(60_000);
    await ring(id);
    const before = await addWaiting(id, 41_000_000);
    later(400_000);
    await ring(id);
    const failure = (await view(id)).history_failure!;
    const bytes = await waitingBytes(id);
    expect(bytes).toBeLessThanOrEqual(MAX_WAITING_BYTES);
    expect(bytes).toBeGreaterThan(MAX_WAITING_BYTES - 1_000_000);
    expect(failure.reason).toBe(REASON);
    expect(failure.dropped).toBeGreaterThan(0);
    expect(failure.dropped % DRAIN_EVENTS).toBe(0);
    expect((await listed(id))?.history_failure?.dropped).toBe(failure.dropped);
    expect(await metric("tablao_history_dropped_events")).toBe(failure.dropped);
    // Rendering has gone on all the time.
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);

    vi.restoreAllMocks();
    later(400_000);
    // One drain makes a bounded number of tries, and says that it must be called again.
    for (let drains = 0; drains < 10 && (await waitingBytes(id)) > 0; drains++) await ring(id);
    await ring(id);
    const told = await env.HISTORY.prepare(
      "SELECT value ->> 'seq' AS seq FROM history, json_each(events) WHERE task_id = ? ORDER BY seq",
    )
      .bind(id)
      .all<{ seq: number }>();
    expect(told.results.map(({ seq }) => seq)).toEqual(
      Array.from({ length: before.events + 4 - failure.dropped }, (_, i) => failure.dropped + 1 + i),
    );
    expect((await view(id)).history_failure).toEqual({ since_ms: null, reason: null, dropped: failure.dropped });
    const days = await queryDays(env.HISTORY, before.day * 86_400_000, (before.day + 2) * 86_400_000);
    expect(days.reduce((sum, { errors }) => sum + errors, 0)).toBe(before.events - failure.dropped);
  });
});

async function waitingBytes(id: number): Promise<number> {
  return await runInDurableObject(
    stubOf(id),
    (_, { storage }) =>
      storage.sql.exec<{ bytes: number }>("SELECT coalesce(sum(octet_length(json)), 0) AS bytes FROM outbox").one()
        .bytes,
  );
}

/** Put so many bytes of events into the outbox of a task, before those that wait already. */
async function addWaiting(id: number, bytes: number): Promise<{ events: number; day: number }> {
  const perRow = 480;
  const atMs = Date.now();
  const detail = "x".repeat(1_000);
  const added = await runInDurableObject(stubOf(id), (_, { storage: { sql } }) => {
    let events = 0;
    for (let written = 0; written < bytes;) {
      const row = Array.from({ length: perRow }, () => ({
        at_ms: atMs,
        kind: "error",
        worker_id: 1,
        attempt: 1,
        frames: "1",
        frame_count: 1,
        seconds: null,
        detail,
        seq: ++events,
        task_id: id,
        type: "demo_render",
      }));
      const json = JSON.stringify(row);
      sql.exec("INSERT INTO outbox (seq, last_seq, json) VALUES (?, ?, ?)", row[0]!.seq, events, json);
      written += json.length;
    }
    // The events of the record come after them. The last drain has written the record as a whole.
    const record = JSON.parse(sql.exec<{ json: string }>("SELECT json FROM record").one().json) as {
      ledger: { event_seq: number };
      tail: { seq: number }[];
    };
    record.ledger.event_seq += events;
    for (const event of record.tail) event.seq += events;
    sql.exec("UPDATE record SET json = ?", JSON.stringify(record));
    return events;
  });
  await evictDurableObject(stubOf(id));
  return { events: added, day: Math.floor(atMs / 86_400_000) };
}
