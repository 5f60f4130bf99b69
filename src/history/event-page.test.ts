import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { HistoryEvent } from "../protocol/history.ts";
import { decodeCursor, encodeCursor, NEWEST, readAll, readPage, type EventKey, type ReadRow } from "./event-page.ts";
import { batchRows, type HistoryRow } from "../protocol/history-rows.ts";

const START_MS = Date.UTC(2026, 10, 2, 23, 58);

function order(a: EventKey, b: EventKey): number {
  return b.at_ms - a.at_ms || b.task_id - a.task_id || b.seq - a.seq;
}

/** The result of the SQL of `store.ts`, by brute force. */
function reader(rows: HistoryRow[], start: EventKey) {
  return async (after: EventKey, limit: number): Promise<ReadRow[]> =>
    rows
      .map((row) => ({
        at_ms: row.from_ms,
        task_id: row.task_id,
        seq: row.seq,
        events: row.events.filter((e) => order(e, start) > 0),
      }))
      .filter((row) => order(row, after) > 0)
      .toSorted(order)
      .slice(0, limit);
}

const tasksArbitrary = fc.array(
  fc.array(fc.record({ worker: fc.constantFrom(null, 1, 2), stepMs: fc.constantFrom(0, 1, 700, 20_000, 100_000) }), {
    maxLength: 80,
  }),
  { minLength: 1, maxLength: 4 },
);

function rowsOf(tasks: { worker: number | null; stepMs: number }[][], firstSeq: number, fromMs: number): HistoryRow[] {
  return tasks.flatMap((steps, index) => {
    let atMs = fromMs;
    const events = steps.map(({ worker, stepMs }, i): HistoryEvent => {
      atMs += stepMs;
      return {
        task_id: index + 1,
        seq: firstSeq + i,
        at_ms: atMs,
        kind: "done",
        type: "print_string",
        worker_id: worker,
        attempt: 1,
        frames: "1",
        frame_count: 1,
        seconds: 1,
        detail: null,
      };
    });
    return batchRows(events);
  });
}

test("no event is skipped, repeated or out of order at any page size, also while newer ones arrive", async () => {
  await fc.assert(
    fc.asyncProperty(
      tasksArbitrary,
      fc.integer({ min: 1, max: 13 }),
      fc.record({
        rows: fc.integer({ min: 1, max: 6 }),
        mostRows: fc.constant(24),
        pageRows: fc.integer({ min: 1, max: 40 }),
      }),
      async (tasks, limit, reading) => {
        const rows = rowsOf(tasks, 1, START_MS);
        const expected = rows.flatMap((row) => row.events).toSorted(order);
        const seen: HistoryEvent[] = [];
        let start = NEWEST;
        for (let pages = 0; ; pages++) {
          expect(pages).toBeLessThan(2_000);
          const page = await readPage(start, limit, reader(rows, start), reading);
          expect(page.events.length).toBeLessThanOrEqual(limit);
          seen.push(...page.events);
          if (!page.next) break;
          expect(order(page.next, start)).toBeGreaterThan(0);
          start = page.next;
          if (pages < 3)
            rows.push(...rowsOf([[{ worker: 1, stepMs: pages }]], 10_000 + pages, START_MS + 30 * 86_400_000));
        }
        expect(seen).toEqual(expected);
      },
    ),
    { numRuns: 150 },
  );
});

test("all events come once and in order, however many rows a query reads", async () => {
  await fc.assert(
    fc.asyncProperty(
      tasksArbitrary,
      fc.record({
        rows: fc.integer({ min: 1, max: 6 }),
        mostRows: fc.constant(24),
        events: fc.integer({ min: 1, max: 40 }),
      }),
      async (tasks, reading) => {
        const rows = rowsOf(tasks, 1, START_MS);
        const expected = rows.flatMap((row) => row.events).toSorted(order);
        const seen: HistoryEvent[] = [];
        for await (const events of readAll(reader(rows, NEWEST), reading)) seen.push(...events);
        expect(seen).toEqual(expected);
      },
    ),
    { numRuns: 150 },
  );
});

test("a page of rare events asks for as many rows as seem to be needed", async () => {
  const all = rowsOf([Array.from({ length: 20_000 }, () => ({ worker: 1, stepMs: 61_000 }))], 1, START_MS);
  const asked: number[] = [];
  const rare: typeof all = all.map((row, i) => ({ ...row, events: i % 100 === 0 ? row.events : [] }));
  const read = reader(rare, NEWEST);
  const page = await readPage(NEWEST, 100, async (after, rows) => {
    asked.push(rows);
    return await read(after, rows);
  });
  expect(page.events).toHaveLength(100);
  expect(asked.slice(0, 4)).toEqual([100, 400, 1_600, 3_200]);
  expect(asked.length).toBeLessThan(10);
});

test("many rows that overlap in time come in the order of their events, not of their rows", async () => {
  // 300 workers, each with events in the same minute: more rows than one query reads.
  const rows = Array.from({ length: 300 }, (_, worker) =>
    rowsOf([Array.from({ length: 5 }, (_, i) => ({ worker: 1, stepMs: i * 5_000 + worker }))], worker * 10, START_MS),
  ).flat();
  const expected = rows.flatMap((row) => row.events).toSorted(order);
  const first = await readPage(NEWEST, 40, reader(rows, NEWEST));
  expect(first.events).toEqual(expected.slice(0, 40));
  const second = await readPage(first.next!, 40, reader(rows, first.next!));
  expect(second.events).toEqual(expected.slice(40, 80));
});

test("a cursor is parsed back unchanged, and any other text is refused", () => {
  const key = { at_ms: START_MS, task_id: 12, seq: 345 };
  expect(decodeCursor(encodeCursor(key))).toEqual(key);
  for (const bad of ["", "!!", btoa("[1,2]"), btoa('[1,2,"3"]'), btoa("[1,2,3.5]"), btoa("null"), btoa("{")])
    expect(decodeCursor(bad)).toBeNull();
});
