/**
 * The totals of the history, on D1 as workerd has it: counted once whoever writes, packed, and kept
 * when events are deleted.
 */
import fc from "fast-check";
import { env as bindings } from "cloudflare:workers";
import type { D1Migration } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { historyPage, restoreTotals, totalsPage, type HistoryBackupPage } from "../../src/history/backup.ts";
import { tidyHistory } from "../../src/history/retention.ts";
import { queryKeptFrom, writeRows } from "../../src/history/store.ts";
import { packDays, queryDays, queryWorkers } from "../../src/history/totals-store.ts";
import { historyRowSchema, packedDaySchema, type BackupRow } from "../../src/protocol/backup.ts";
import { batchRows, type HistoryRow } from "../../src/protocol/history-rows.ts";
import type { DayTotal, HistoryEvent, WorkerTotal } from "../../src/protocol/history.ts";
import type { Env } from "../../src/rpc/env.ts";

const { HISTORY, TEST_MIGRATIONS } = bindings as unknown as Env & { TEST_MIGRATIONS: D1Migration[] };
const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2027, 0, 1);

/** As long after START_MS as tests have events. */
const END_MS = START_MS + 400 * DAY_MS;

function event(task: number, seq: number, more: Partial<HistoryEvent> = {}): HistoryEvent {
  return {
    task_id: task,
    seq,
    at_ms: START_MS + seq * 1_000,
    kind: "done",
    type: "blender_render",
    worker_id: 1,
    attempt: 1,
    frames: `${seq}`,
    frame_count: 1,
    seconds: 2.5,
    detail: null,
    ...more,
  };
}

/** As release 3c86281 wrote rows, which does not count them. */
async function writeAsBefore(rows: readonly HistoryRow[]): Promise<void> {
  const statement = HISTORY.prepare(`
    INSERT INTO history (task_id, seq, through_seq, from_ms, worker_id, type, frames_done, frames_error, frames_lost, seconds, events)
    SELECT value ->> 'task_id', value ->> 'seq', value ->> 'through_seq', value ->> 'from_ms', value ->> 'worker_id', value ->> 'type',
      value ->> 'frames_done', value ->> 'frames_error', value ->> 'frames_lost', value ->> 'seconds', value -> 'events'
    FROM json_each(?) WHERE true
    ON CONFLICT (task_id, seq) DO UPDATE SET
      through_seq = excluded.through_seq, frames_done = excluded.frames_done, frames_error = excluded.frames_error,
      frames_lost = excluded.frames_lost, seconds = excluded.seconds, events = excluded.events
    WHERE excluded.through_seq > history.through_seq`);
  await HISTORY.batch([statement.bind(JSON.stringify(rows))]);
}

/** The database, with the results of each batch shown to `see`. */
function counted(see: (results: D1Result[]) => unknown): D1Database {
  return new Proxy(HISTORY, {
    get: (db, name) =>
      name === "prepare"
        ? db.prepare.bind(db)
        : async (statements: D1PreparedStatement[]) => {
            const results = await db.batch(statements);
            see(results);
            return results;
          },
  });
}

async function clear(): Promise<void> {
  await HISTORY.batch(
    [
      "DELETE FROM history",
      "DELETE FROM history_days",
      "DELETE FROM history_open_days",
      "UPDATE history_kept SET from_ms = 0, deletes_after_ms = 0",
    ].map((sql) => HISTORY.prepare(sql)),
  );
}

beforeEach(clear);
afterEach(clear);

/**
 * Totals by brute force. A row belongs to the day of its first event, and all its events are on
 * that day; `last_ms` is the instant at which the last row begins.
 */
function expectedDays(events: readonly HistoryEvent[]): DayTotal[] {
  const days = Map.groupBy(events, ({ at_ms }) => new Date(at_ms).toISOString().slice(0, 10));
  return [...days]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([day, own]) => ({
      day,
      ...sumsOf(own),
      workers: new Set(own.filter(isAboutWorker).map(({ worker_id }) => worker_id)).size,
      tasks: new Set(own.map(({ task_id }) => task_id)).size,
    }));
}

function expectedWorkers(events: readonly HistoryEvent[]): Omit<WorkerTotal, "last_ms" | "frames_per_hour">[] {
  return [...Map.groupBy(events.filter(isAboutWorker), ({ worker_id }) => worker_id!)]
    .map(([worker_id, own]) => ({
      worker_id,
      ...sumsOf(own),
      tasks: new Set(own.map(({ task_id }) => task_id)).size,
    }))
    .toSorted((a, b) => b.frames - a.frames || a.worker_id - b.worker_id);
}

function isAboutWorker({ kind, worker_id }: HistoryEvent): boolean {
  return worker_id !== null && (kind === "done" || kind === "error" || kind === "lost");
}

function sumsOf(events: readonly HistoryEvent[]) {
  const of = (kind: string): number =>
    events.filter((one) => one.kind === kind).reduce((sum, { frame_count }) => sum + frame_count, 0);
  const seconds = events.reduce((sum, one) => sum + (one.seconds ?? 0), 0);
  return { frames: of("done"), errors: of("error"), lost: of("lost"), seconds };
}

async function expectTotalsOf(events: readonly HistoryEvent[]): Promise<void> {
  expect(await queryDays(HISTORY, START_MS, END_MS)).toEqual(expectedDays(events));
  const workers = await queryWorkers(HISTORY, START_MS, END_MS);
  const sums = workers.map((worker) => {
    const { last_ms: _, frames_per_hour: __, ...rest } = worker;
    return rest;
  });
  expect(sums).toEqual(expectedWorkers(events));
}

const step = fc.record({
  task: fc.constantFrom(1, 2, 3),
  /** How many events more than the try before has this one. */
  more: fc.nat({ max: 12 }),
  fate: fc.constantFrom("stored", "stored", "answer lost", "late", "refused"),
  release: fc.constantFrom("this", "this", "before"),
  /** What arrives of the writes that are under way, before this step. */
  arrives: fc.constantFrom(null, null, 0, 1, 2),
  repeats: fc.boolean(),
  packs: fc.constantFrom(false, false, false, true),
});
const eventStep = fc.record({
  kind: fc.constantFrom<HistoryEvent["kind"]>("done", "done", "error", "lost", "changed"),
  worker: fc.constantFrom(1, 2, 3, 4),
  count: fc.integer({ min: 1, max: 9 }),
  // Half a row, more than a row, and days on which nobody worked.
  stepMs: fc.constantFrom(0, 40, 20_000, 61_000, 30_000_000, 200_000_000),
});

describe("totals", () => {
  test("P7: each event is counted once: repeated, longer, late and reordered writes, two releases, days that are packed meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(eventStep, { minLength: 40, maxLength: 40 }),
        fc.array(step, { minLength: 10, maxLength: 40 }),
        async (kinds, steps) => {
          await clear();
          const tasks = [1, 2, 3].map((id) => {
            let atMs = START_MS + id;
            const events = kinds.map(({ kind, worker, count, stepMs }, i) => {
              atMs += stepMs;
              const worker_id = kind === "changed" ? null : ((worker + id) % 4) + 1;
              const seconds = kind === "done" ? 1.25 : null;
              return event(id, i + 1, { kind, worker_id, seconds, frame_count: count, at_ms: atMs });
            });
            return { events, head: 0, tried: 0 };
          });
          const stored = new Map<string, HistoryEvent>();
          const underWay: { rows: HistoryRow[]; release: string }[] = [];
          const write = async ({ rows, release }: (typeof underWay)[number]): Promise<void> => {
            await (release === "this" ? writeRows(HISTORY, rows) : writeAsBefore(rows));
            for (const one of rows.flatMap((row) => row.events)) stored.set(`${one.task_id}/${one.seq}`, one);
          };
          for (const { task, more, fate, release, arrives, repeats, packs } of steps) {
            if (arrives !== null) for (const late of underWay.splice(arrives, 1)) await write(late);
            if (packs) await packDays(HISTORY, END_MS);
            const outbox = tasks[task - 1]!;
            if (outbox.head === outbox.events.length) continue;
            // A try begins at the same event until it is answered, and is never shorter.
            outbox.tried = Math.min(outbox.events.length, Math.max(outbox.tried, outbox.head + 1) + more);
            const attempt = { rows: batchRows(outbox.events.slice(outbox.head, outbox.tried)), release };
            if (fate === "late") underWay.push(attempt);
            if (fate === "stored" || fate === "answer lost") await write(attempt);
            if (fate === "stored" && repeats) await write(attempt);
            if (fate === "stored") outbox.head = outbox.tried;
          }
          for (const late of underWay) await write(late);
          const events = [...stored.values()];
          await expectTotalsOf(events);
          for (let i = 0; i < 20; i++) await packDays(HISTORY, END_MS);
          const open = await HISTORY.prepare("SELECT count(*) AS n FROM history_open_days").first<{ n: number }>();
          expect(open).toEqual({ n: 0 });
          await expectTotalsOf(events);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("P7: one write that has the same row twice counts it once", async () => {
    const events = [1, 2, 3].map((seq) => event(1, seq));
    await writeRows(HISTORY, [...batchRows(events.slice(0, 2)), ...batchRows(events), ...batchRows(events)]);
    await expectTotalsOf(events);
  });

  test("a write costs one row more than its events, however many workers it is about", async () => {
    const written: number[] = [];
    const counting = counted((results) => written.push(results.reduce((sum, { meta }) => sum + meta.rows_written, 0)));
    const minute = (first: number): HistoryRow[] =>
      batchRows(
        Array.from({ length: 24 }, (_, i) =>
          event(1, first + i, { worker_id: (i % 8) + 1, at_ms: START_MS + first * 3_000 + i }),
        ),
      );
    for (const first of [1, 31, 61]) await writeRows(counting, minute(first));
    // A row of events for each of eight workers, its index entry, and the totals.
    expect(written).toEqual([17, 17, 17]);
    await writeRows(counting, minute(61));
    expect(written.at(-1)).toBe(0);
  });

  test("a year of a hundred workers is read from fewer than 1,000 rows, by day and by worker", async () => {
    const [days, workers, tasksADay] = [365, 100, 20];
    const insert = HISTORY.prepare(
      `INSERT INTO history_open_days (day, task_id, through_seq, entries)
       SELECT value ->> 0, value ->> 1, 0, value ->> 2 FROM json_each(?)`,
    );
    for (let first = 0; first < days; first += 5) {
      const rows = Array.from({ length: 5 * tasksADay }, (_, i) => {
        const day = START_MS / DAY_MS + first + Math.floor(i / tasksADay);
        const task = i % tasksADay;
        // Each worker works in five tasks a day.
        const entries = Array.from({ length: workers }, (__, n) => n + 1)
          .filter((worker) => [0, 4, 8, 12, 16].some((shift) => (worker + shift) % tasksADay === task))
          .map((worker) => [worker, 3, 1, 2, 4.5, day * DAY_MS + worker]);
        return [day, day * tasksADay + task, entries];
      });
      await HISTORY.batch([insert.bind(JSON.stringify(rows))]);
    }
    const until = START_MS + days * DAY_MS;
    const before = {
      days: await queryDays(HISTORY, START_MS, until),
      workers: await queryWorkers(HISTORY, START_MS, until),
    };
    // The last day is not over.
    while ((await packDays(HISTORY, until - 1)) > 0);
    let read = 0;
    const counting = counted((results) => (read += results.reduce((sum, { meta }) => sum + meta.rows_read, 0)));
    const readBy = async (query: () => Promise<unknown>): Promise<number> => {
      read = 0;
      await query();
      return read;
    };
    const rows = {
      days: await readBy(() => queryDays(counting, START_MS, until)),
      workers: await readBy(() => queryWorkers(counting, START_MS, until)),
    };
    console.log(`a year of ${workers} workers: ${rows.days} rows for its days, ${rows.workers} for its workers`);
    expect(Math.max(rows.days, rows.workers)).toBeLessThanOrEqual(1_000);
    expect(Math.min(rows.days, rows.workers)).toBeGreaterThanOrEqual(days - 1);
    expect(await queryDays(HISTORY, START_MS, until)).toEqual(before.days);
    expect(await queryWorkers(HISTORY, START_MS, until)).toEqual(before.workers);
    expect(before.days).toHaveLength(days);
    expect(before.workers).toHaveLength(workers);
  });
});

test("the schema step counts what a farm has stored, once, and the next release goes on from there", async () => {
  const [, step] = TEST_MIGRATIONS;
  expect(step?.name).toBe("0002_history_totals.sql");
  const drop = ["TRIGGER history_inserted", "TRIGGER history_grown", "TABLE history_days", "TABLE history_open_days"];
  await HISTORY.batch([...drop, "TABLE history_kept"].map((what) => HISTORY.prepare(`DROP ${what}`)));
  const events = Array.from({ length: 200 }, (_, i) =>
    event((i % 3) + 1, Math.floor(i / 3) + 1, {
      worker_id: i % 7 === 0 ? null : (i % 5) + 1,
      kind: i % 7 === 0 ? "changed" : i % 11 === 0 ? "error" : "done",
      at_ms: START_MS + i * 7_000_000,
    }),
  );
  const rowsOf = (from: number, to: number): HistoryRow[] =>
    [1, 2, 3].flatMap((id) =>
      batchRows(events.filter(({ task_id, seq }) => task_id === id && seq >= from && seq < to)),
    );
  await writeAsBefore(rowsOf(1, 30));
  for (const query of step!.queries) await HISTORY.prepare(query).run();
  await expectTotalsOf(events.filter(({ seq }) => seq < 30));
  // The objects of the release before write on until they are restarted, and once more after a
  // rollback.
  await writeAsBefore(rowsOf(30, 40));
  await writeRows(HISTORY, rowsOf(30, 50));
  await writeAsBefore(rowsOf(50, 60));
  await writeRows(HISTORY, rowsOf(60, 100));
  await expectTotalsOf(events);
  const kept = await HISTORY.prepare("SELECT from_ms, deletes_after_ms FROM history_kept").first<{
    from_ms: number;
    deletes_after_ms: number;
  }>();
  expect(kept!.from_ms).toBe(0);
  expect(kept!.deletes_after_ms - Date.now()).toBeGreaterThan(6 * DAY_MS);
});

describe("P14: deleting old events", () => {
  /** Events on each of so many days. */
  async function fill(days: number, perDay = 4): Promise<HistoryEvent[]> {
    const events = Array.from({ length: days * perDay }, (_, i) =>
      event(1, i + 1, {
        worker_id: (i % 3) + 1,
        at_ms: START_MS + Math.floor(i / perDay) * DAY_MS + (i % perDay) * 100_000,
      }),
    );
    for (let i = 0; i < events.length; i += 500) await writeRows(HISTORY, batchRows(events.slice(i, i + 500)));
    return events;
  }
  const now = (day: number): number => START_MS + day * DAY_MS + 4 * 3_600_000;
  /** The days that have events, counted from the first. */
  async function daysLeft(): Promise<number[]> {
    const { results } = await HISTORY.prepare(
      "SELECT DISTINCT from_ms / 86400000 AS day FROM history ORDER BY day",
    ).all<{
      day: number;
    }>();
    return results.map(({ day }) => day - START_MS / DAY_MS);
  }

  test("whole days go, the oldest first, and the totals of all days stay", async () => {
    const events = await fill(12);
    for (let i = 0; i < 3; i++) await tidyHistory(HISTORY, 7, now(12));
    expect(await daysLeft()).toEqual([5, 6, 7, 8, 9, 10, 11]);
    expect(await queryKeptFrom(HISTORY)).toBe(START_MS + 5 * DAY_MS);
    await expectTotalsOf(events);
    await tidyHistory(HISTORY, 7, now(13));
    expect(await daysLeft()).toEqual([6, 7, 8, 9, 10, 11]);
    await expectTotalsOf(events);
  });

  test("nothing goes without a rule, nor in the first week, and then it goes on", async () => {
    const events = await fill(12);
    await tidyHistory(HISTORY, null, now(300));
    await HISTORY.prepare("UPDATE history_kept SET deletes_after_ms = ?").bind(now(301)).run();
    await tidyHistory(HISTORY, 7, now(300));
    expect([await queryKeptFrom(HISTORY), (await daysLeft()).length]).toEqual([null, 12]);
    for (let i = 0; i < 3; i++) await tidyHistory(HISTORY, 7, now(301));
    expect(await daysLeft()).toEqual([]);
    await expectTotalsOf(events);
  });

  /**
   * Days with so many rows each, which nobody counts: totals are not what these tests are about.
   */
  async function fillRows(days: number, perDay: number): Promise<void> {
    const insert = HISTORY.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?3)
       INSERT INTO history (task_id, seq, through_seq, from_ms, worker_id, type, frames_done, frames_error, frames_lost, seconds, events)
       SELECT ?1, i + 1, i + 1, ?2 + i, 1, 'sleep_simple', 1, 0, 0, 1.0, '[]' FROM n`,
    );
    const names = ["history_inserted", "history_grown"];
    await HISTORY.batch([
      ...names.map((name) => HISTORY.prepare(`DROP TRIGGER ${name}`)),
      ...Array.from({ length: days }, (_, day) => insert.bind(day + 1, START_MS + day * DAY_MS, perDay)),
    ]);
    for (const query of TEST_MIGRATIONS[1]!.queries.filter((sql) =>
      names.some((name) => sql.includes(`TRIGGER ${name}`)),
    ))
      await HISTORY.prepare(query).run();
  }

  test("a run is bounded: many small days at once, but no more than two large ones", async () => {
    await fillRows(5, 12_000);
    expect(await tidyHistory(HISTORY, 7, now(100))).toMatchObject({
      deleted: 24_000,
      kept_from_ms: START_MS + 2 * DAY_MS,
    });
    expect(await daysLeft()).toEqual([2, 3, 4]);
    await clear();
    await fillRows(30, 900);
    expect(await tidyHistory(HISTORY, 7, now(100))).toMatchObject({ deleted: 22 * 900 });
  });

  test("a run that broke off is finished by the next one, also when the rule was taken back", async () => {
    await fillRows(3, 4_000);
    let deletions = 0;
    const breaking = new Proxy(HISTORY, {
      get: (db, name) =>
        name === "batch"
          ? db.batch.bind(db)
          : (sql: string) => {
              if (sql.startsWith("DELETE") && ++deletions > 1) throw new Error("D1_ERROR: away");
              return db.prepare(sql);
            },
    });
    await expect(tidyHistory(breaking, 7, now(100))).rejects.toThrow("away");
    expect(await daysLeft()).toEqual([1, 2]);
    expect(await queryKeptFrom(HISTORY)).toBe(START_MS + 93 * DAY_MS);
    expect(await tidyHistory(HISTORY, null, now(100))).toMatchObject({ deleted: 7_000 });
    expect(await daysLeft()).toEqual([]);
  });

  test("P7: a row that comes once more after its day was deleted is neither stored nor counted again", async () => {
    const events = await fill(12);
    for (let i = 0; i < 3; i++) await tidyHistory(HISTORY, 7, now(12));
    await writeRows(HISTORY, batchRows(events.slice(0, 30)));
    await writeAsBefore(batchRows(events.slice(0, 8)));
    await expectTotalsOf(events);
    for (let i = 0; i < 3; i++) await tidyHistory(HISTORY, 7, now(12));
    expect((await daysLeft())[0]).toBe(5);
    await expectTotalsOf(events);
  });
});

describe("backups", () => {
  async function all(page: typeof historyPage): Promise<{ rows: BackupRow[]; pages: number }> {
    const rows: BackupRow[] = [];
    let pages = 0;
    for (let cursor: string | null = null; pages === 0 || cursor !== null; pages++) {
      const next: HistoryBackupPage | null = await page(HISTORY, cursor);
      rows.push(...next!.rows);
      cursor = next!.cursor;
    }
    return { rows, pages };
  }

  test("a page is measured in bytes: thousands of small rows, or a few dozen large ones", async () => {
    const small = Array.from({ length: 5_000 }, (_, i) => event(1, i + 1, { at_ms: START_MS + i * 70_000 }));
    const large = Array.from({ length: 200 }, (_, i) =>
      event(2, i + 1, { kind: "error", detail: "絵".repeat(4_000), at_ms: START_MS + i * 70_000 }),
    );
    for (let i = 0; i < 5_000; i += 1_000) await writeRows(HISTORY, batchRows(small.slice(i, i + 1_000)));
    await writeRows(HISTORY, batchRows(large));
    const { rows, pages } = await all(historyPage);
    expect(rows.map(([table, row]) => [table, row["task_id"], row["seq"]])).toEqual(
      [...small, ...large].map(({ task_id, seq }) => ["history", task_id, seq]),
    );
    // 5,000 rows of about 320 bytes, and 200 of 12 kB.
    expect(pages).toBeGreaterThanOrEqual(4);
    expect(pages).toBeLessThanOrEqual(7);
    expect(await historyPage(HISTORY, "x")).toBeNull();
    expect(await totalsPage(HISTORY, "x")).toBeNull();
  });

  test("P14: a restored history has the totals of deleted events, whatever was deleted while it was saved", async () => {
    const days = Array.from({ length: 40 }, (_, i) =>
      event((i % 2) + 1, i + 1, { worker_id: (i % 3) + 1, at_ms: START_MS + i * DAY_MS }),
    );
    await writeRows(
      HISTORY,
      [1, 2].flatMap((id) => batchRows(days.filter(({ task_id }) => task_id === id))),
    );
    const tidy = async (day: number): Promise<void> => {
      for (let i = 0; i < 5; i++) await tidyHistory(HISTORY, 7, START_MS + day * DAY_MS);
    };
    await tidy(30);
    const events = await all(historyPage);
    await tidy(33);
    const totals = await all(totalsPage);
    const before = {
      days: await queryDays(HISTORY, START_MS, END_MS),
      workers: await queryWorkers(HISTORY, START_MS, END_MS),
    };
    expect(before.days).toHaveLength(40);

    const restore = async (): Promise<void> => {
      const packed = totals.rows.filter(([table]) => table === "history_days");
      await restoreTotals(HISTORY, {
        keptFromMs: Number(totals.rows[0]![1]["from_ms"]),
        days: packed.map(([, row]) =>
          packedDaySchema.parse({ ...row, entries: JSON.parse(String(row["entries"])) as unknown }),
        ),
      });
      const rows = events.rows.map(([, row]) =>
        historyRowSchema.parse({ ...row, events: JSON.parse(String(row["events"])) as unknown }),
      );
      await writeRows(HISTORY, rows);
    };
    await clear();
    await restore();
    // A restore that broke off is done again from its beginning.
    await restore();
    expect(await queryDays(HISTORY, START_MS, END_MS)).toEqual(before.days);
    expect(await queryWorkers(HISTORY, START_MS, END_MS)).toEqual(before.workers);
    expect(await queryKeptFrom(HISTORY)).toBe(START_MS + 26 * DAY_MS);
  });
});
