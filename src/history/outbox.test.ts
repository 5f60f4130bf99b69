import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs } from "../lib/retry.ts";
import type { EventKind, HistoryEvent } from "../protocol/history.ts";
import {
  DRAIN_EVENTS,
  drainOutbox,
  historyFailure,
  MAX_WAITING_BYTES,
  OUTBOX_BACKOFF,
  type OutboxDependencies,
} from "./outbox.ts";
import { batchRows, ROW_SPAN_MS, type HistoryRow } from "../protocol/history-rows.ts";

const NOON_MS = Date.UTC(2026, 10, 2, 12);

function event(seq: number, more: Partial<HistoryEvent> = {}): HistoryEvent {
  return {
    task_id: 7,
    seq,
    at_ms: NOON_MS + seq,
    kind: "done",
    type: "blender_render",
    worker_id: 1,
    attempt: 1,
    frames: "1",
    frame_count: 1,
    seconds: 2.5,
    detail: null,
    ...more,
  };
}

/** D1 after `writeRows`: keyed by the first event, and a row only grows. */
class Table {
  readonly rows = new Map<number, HistoryRow>();
  write(rows: readonly HistoryRow[]): void {
    for (const row of rows) {
      const old = this.rows.get(row.seq);
      if (!old || row.through_seq > old.through_seq) this.rows.set(row.seq, structuredClone(row));
    }
  }
  seqs(): number[] {
    return [...this.rows.values()].flatMap((row) => row.events.map((e) => e.seq)).toSorted((a, b) => a - b);
  }
}

function outbox(events: HistoryEvent[], write: (rows: HistoryRow[]) => Promise<void>): OutboxDependencies {
  return {
    read: (limit) => events.slice(0, limit),
    remove: (through) => void events.splice(0, events.filter((e) => e.seq <= through).length),
    drop: (_, count) => void events.splice(0, count),
    waitingBytes: () => 0,
    write,
    nowMs: () => NOON_MS,
    random: () => 0.5,
  };
}

/** First sequence numbers of the rows that events at these times give. */
function starts(...times: number[]): number[] {
  return batchRows(times.map((at_ms, seq) => event(seq, { at_ms }))).map((row) => row.seq);
}

describe("batchRows", () => {
  test("groups by worker under the group's first sequence number and adds up", () => {
    const rows = batchRows([
      event(1, { worker_id: null, kind: "submitted", frame_count: 9, seconds: null }),
      event(2),
      event(3, { worker_id: 2, kind: "error", frame_count: 1, seconds: 1 }),
      event(4, { frame_count: 3 }),
      event(5, { worker_id: 2, kind: "lost", frame_count: 4, seconds: null }),
    ]);
    expect(
      rows.map((row) => [
        row.seq,
        row.through_seq,
        row.worker_id,
        row.frames_done,
        row.frames_error,
        row.frames_lost,
        row.seconds,
      ]),
    ).toEqual([
      [1, 1, null, 0, 0, 0, 0],
      [2, 4, 1, 4, 0, 0, 5],
      [3, 5, 2, 0, 1, 4, 1],
    ]);
  });

  test("a row never spans midnight, more than a minute, or time that runs backwards", () => {
    const midnightMs = Date.UTC(2026, 10, 3);
    expect(starts(midnightMs - 1, midnightMs)).toEqual([0, 1]);
    expect(starts(NOON_MS, NOON_MS + ROW_SPAN_MS, NOON_MS + ROW_SPAN_MS + 1)).toEqual([0, 2]);
    expect(starts(NOON_MS, NOON_MS - 1)).toEqual([0, 1]);
  });

  test("long error texts start new rows before D1's limit", () => {
    const rows = batchRows(
      Array.from({ length: 40 }, (_, seq) => event(seq, { kind: "error", detail: "x".repeat(4_000) })),
    );
    expect(rows.length).toBeGreaterThan(4);
    for (const row of rows) expect(JSON.stringify(row.events).length).toBeLessThan(33_000);
  });

  test("P7: a longer prefix gives the same rows or supersets under the same keys", () => {
    fc.assert(
      fc.property(eventsArbitrary, fc.nat(), (events, cut) => {
        const longer = new Map(batchRows(events).map((row) => [row.seq, row]));
        for (const row of batchRows(events.slice(0, cut % (events.length + 1)))) {
          const grown = longer.get(row.seq)!;
          expect(grown.events.slice(0, row.events.length)).toEqual(row.events);
          expect(grown.from_ms).toBe(row.from_ms);
        }
      }),
    );
  });
});

const eventsArbitrary = fc
  .array(
    fc.record({
      worker_id: fc.constantFrom(null, 1, 2, 3),
      stepMs: fc.constantFrom(0, 5, 1_000, 40_000, 80_000_000, -10),
      kind: fc.constantFrom<EventKind>("done", "error", "lost", "changed"),
      detail: fc.constantFrom(null, "y".repeat(12_000)),
    }),
    { maxLength: 60 },
  )
  .map((steps) => {
    let atMs = NOON_MS;
    return steps.map(({ stepMs, ...rest }, index) => {
      atMs += stepMs;
      return event(index + 1, { at_ms: atMs, ...rest });
    });
  });

describe("drainOutbox", () => {
  test("P7: after any failure, loss or delay, every event is read exactly once in the end", async () => {
    const tryArbitrary = fc.record({
      arriving: fc.nat({ max: 700 }),
      fate: fc.constantFrom("ok", "refused", "lost reply", "late"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(tryArbitrary, { maxLength: 12 }),
        fc.array(fc.constantFrom(null, 1, 2, 3), { minLength: 1, maxLength: 9 }),
        async (tries, workers) => {
          const table = new Table();
          const late: HistoryRow[][] = [];
          const waiting: HistoryEvent[] = [];
          let seq = 0;
          let fate = "ok";
          const deps = outbox(waiting, async (rows) => {
            if (fate === "late") late.push(structuredClone(rows));
            if (fate === "ok" || fate === "lost reply") table.write(rows);
            if (fate !== "ok") throw new Error(fate);
          });
          let state = { failures: 0 };
          for (const next of [...tries, { arriving: 0, fate: "ok" }, { arriving: 0, fate: "ok" }]) {
            for (let i = 0; i < next.arriving; i++)
              waiting.push(event(++seq, { worker_id: workers[seq % workers.length]!, at_ms: NOON_MS + seq * 30 }));
            fate = next.fate;
            state = await drainOutbox(state, deps);
            if (fate === "ok") table.write(late.shift() ?? []);
          }
          for (const rows of late) table.write(rows);
          expect(waiting).toEqual([]);
          expect(table.seqs()).toEqual(Array.from({ length: seq }, (_, i) => i + 1));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a failure keeps every event, counts up and returns when to try again", async () => {
    const waiting = [event(1), event(2)];
    const failing = outbox(waiting, () => Promise.reject(new Error("D1 is away")));
    expect(await drainOutbox({ failures: 2 }, failing)).toEqual({
      failures: 3,
      retryAtMs: NOON_MS + 4_500,
      drained: 0,
      refusal: { reason: "D1 is away", lasting: false },
    });
    expect(waiting.length).toBe(2);
  });

  test("a D1 that is full is tried again after five to six minutes, however often it was tried", async () => {
    const full = outbox([event(1)], () => Promise.reject(new Error("D1_ERROR: Exceeded maximum DB size.")));
    for (const random of [0, 0.999]) {
      const { retryAtMs, refusal } = await drainOutbox({ failures: 0 }, { ...full, random: () => random });
      expect(retryAtMs! - NOON_MS).toBe(300_000 + Math.floor(random * 60_000));
      expect(refusal).toEqual({ reason: "D1_ERROR: Exceeded maximum DB size.", lasting: true });
    }
  });

  test("P7: beyond its bound it drops whole tries, counts them, and what is left is read exactly once", async () => {
    const bytesOfOne = MAX_WAITING_BYTES / 1_200;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            arriving: fc.nat({ max: 900 }),
            fate: fc.constantFrom("ok", "refused", "refused", "lost reply", "late"),
          }),
          { maxLength: 12 },
        ),
        async (tries) => {
          const table = new Table();
          const late: HistoryRow[][] = [];
          const waiting: HistoryEvent[] = [];
          const dropped = new Set<number>();
          let seq = 0;
          let fate = "ok";
          const deps: OutboxDependencies = {
            ...outbox(waiting, async (rows) => {
              if (fate === "late") late.push(structuredClone(rows));
              if (fate === "ok" || fate === "lost reply") table.write(rows);
              if (fate !== "ok") throw new Error(fate);
            }),
            waitingBytes: () => waiting.length * bytesOfOne,
            drop: (through, count) => {
              const gone = waiting.splice(0, count);
              expect(gone.at(-1)?.seq).toBe(through);
              for (const one of gone) dropped.add(one.seq);
            },
          };
          let state = { failures: 0 };
          for (const next of [...tries, { arriving: 1, fate: "ok" }]) {
            for (let i = 0; i < next.arriving; i++)
              waiting.push(event(++seq, { worker_id: (seq % 3) + 1, at_ms: NOON_MS + seq * 30 }));
            fate = next.fate;
            state = await drainOutbox(state, deps);
            if (fate !== "ok") expect(waiting.length).toBeLessThanOrEqual(1_200);
          }
          for (const rows of late) table.write(rows);
          const read = table.seqs();
          // An event whose try was stored although its answer was lost may count as dropped, too.
          expect(new Set(read).size).toBe(read.length);
          for (let one = 1; one <= seq; one++) if (!dropped.has(one)) expect(read).toContain(one);
        },
      ),
      // A run takes thousands of events, so a search for a smaller one that fails takes minutes.
      { numRuns: 20, endOnFailure: true },
    );
  });

  test("takes full batches until the outbox is empty, and forgets earlier failures", async () => {
    const waiting = Array.from({ length: DRAIN_EVENTS * 2 + 1 }, (_, i) => event(i + 1));
    const sizes: number[] = [];
    const result = await drainOutbox(
      { failures: 4 },
      outbox(waiting, async (rows) => void sizes.push(rows.reduce((sum, row) => sum + row.events.length, 0))),
    );
    expect(result).toEqual({ failures: 0, retryAtMs: null, drained: DRAIN_EVENTS * 2 + 1, refusal: null });
    expect(sizes).toEqual([DRAIN_EVENTS, DRAIN_EVENTS, 1]);
  });

  test("a failure after a success is the first in a row", async () => {
    const waiting = Array.from({ length: DRAIN_EVENTS + 1 }, (_, i) => event(i + 1));
    let writes = 0;
    const deps = outbox(waiting, async () => {
      if (++writes > 1) throw new Error("D1 went away");
    });
    expect(await drainOutbox({ failures: 4 }, deps)).toMatchObject({ failures: 1, drained: DRAIN_EVENTS });
    expect(waiting.length).toBe(1);
  });

  test("stops after its time limit and asks to continue at once", async () => {
    const waiting = Array.from({ length: DRAIN_EVENTS * 3 }, (_, i) => event(i + 1));
    let nowMs = NOON_MS;
    const deps = { ...outbox(waiting, async () => void (nowMs += 6_000)), nowMs: () => nowMs };
    expect(await drainOutbox({ failures: 0 }, deps)).toEqual({
      failures: 0,
      retryAtMs: NOON_MS + 12_000,
      drained: DRAIN_EVENTS * 2,
      refusal: null,
    });
  });

  test("stops after a number of tries, so that the queries of one event of the object stay few, and goes on at once", async () => {
    const events = Array.from({ length: 20 * DRAIN_EVENTS }, (_, i) => event(i + 1));
    const d1 = new Table();
    let writes = 0;
    const state = outbox(events, async (rows) => {
      writes++;
      d1.write(rows);
    });
    const first = await drainOutbox({ failures: 0 }, state);
    expect([writes, first.drained, first.retryAtMs]).toEqual([12, 12 * DRAIN_EVENTS, NOON_MS]);
    expect(await drainOutbox(first, state)).toMatchObject({ drained: 8 * DRAIN_EVENTS, retryAtMs: null });
    expect(d1.seqs()).toHaveLength(20 * DRAIN_EVENTS);
  });

  test("events that come during a write wait for the next run, so that they share a row", async () => {
    const waiting = [event(1)];
    const deps = outbox(waiting, async () => void waiting.push(event(waiting.length + 1)));
    expect(await drainOutbox({ failures: 0 }, deps)).toMatchObject({ failures: 0, retryAtMs: null, drained: 1 });
    expect(waiting.map((e) => e.seq)).toEqual([2]);
  });
});

describe("P13: what a task says of its history", () => {
  const away = { reason: "away", lasting: false };
  const full = { reason: "full", lasting: true };
  const said = { since_ms: 5, reason: "away", dropped: 0 };
  test.each([
    ["nothing while D1 takes events", null, { failures: 0, refusal: null }, null],
    ["nothing of a short failure", null, { failures: 2, refusal: away }, null],
    ["the third failure in a row", null, { failures: 3, refusal: away }, { since_ms: 9, reason: "away", dropped: 0 }],
    ["a full D1 at once", null, { failures: 1, refusal: full }, { since_ms: 9, reason: "full", dropped: 0 }],
    ["since when it lasts", said, { failures: 4, refusal: full }, { ...said, reason: "full" }],
    ["nothing once it is over", said, { failures: 0, refusal: null }, null],
    [
      "for ever that events were lost",
      { ...said, dropped: 7 },
      { failures: 0, refusal: null },
      { since_ms: null, reason: null, dropped: 7 },
    ],
  ])("%s", (_, before, result, expected) => {
    expect(historyFailure(before, result, 9)).toEqual(expected);
  });
});

test("waits grow from one second to five minutes, with jitter over the whole range", () => {
  const waitMs = (failures: number, random: number) => backoffMs(failures, { ...OUTBOX_BACKOFF, random: () => random });
  expect([waitMs(1, 0), waitMs(1, 0.999), waitMs(50, 0), waitMs(50, 0.9999999)]).toEqual([
    1_000, 1_999, 1_000, 299_999,
  ]);
});
