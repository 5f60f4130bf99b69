import fc from "fast-check";
import { expect, test } from "vitest";
import { claim } from "../rules/claim.ts";
import { act } from "../rules/user-actions.ts";
import { applyDependencyProgress } from "../rules/dependencies.ts";
import { filesVersion } from "../rules/files-version.ts";
import { frames, setOf, union } from "../rules/frame-set.ts";
import { apply, DirtyTracker, type Delta } from "./write-ahead-log.ts";
import type { FrameTable, FrameEntry } from "../rules/ledger.ts";
import { complete, expire, fail, release, renew, type RenderedFrame } from "../rules/settle.ts";
import { recordFrom } from "./record.ts";
import type { DeferredState, TaskRecord } from "../rules/record.ts";
import { at, newTask, terms, allFrames, type FarmTask } from "../../../test/support/rules-farm.ts";

const CHORES: DeferredState = {
  created_ms: 0,
  report_due_ms: null,
  able_workers: 1,
  news: [],
  news_due_ms: null,
  outbox_due_ms: null,
  outbox_failures: 0,
  remove: null,
};

type Step =
  | { do: "claim"; worker: number }
  | { do: "renew" | "complete" | "fail" | "release"; lease: number; part: number }
  | { do: "wait"; ms: number }
  | { do: "act"; action: "pause" | "resume" | "cancel" | "requeue" }
  | { do: "frames"; action: "requeue" | "skip"; frame: number | "all" }
  | { do: "news"; state: "open" | "completed" | "gone"; through: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("claim" as const), worker: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("renew" as const, "complete" as const, "fail" as const, "release" as const),
      lease: fc.nat(5),
      part: fc.nat(4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 70_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("act" as const),
      action: fc.constantFrom("pause" as const, "resume" as const, "cancel" as const, "requeue" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("frames" as const),
      action: fc.constantFrom("requeue" as const, "skip" as const),
      frame: fc.oneof(
        { weight: 5, arbitrary: fc.integer({ min: 1, max: 12 }) },
        { weight: 1, arbitrary: fc.constant("all" as const) },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("news" as const),
      state: fc.constantFrom("open" as const, "open" as const, "completed" as const, "gone" as const),
      through: fc.integer({ min: 1, max: 12 }),
    }),
  },
);

function carryOut(task: FarmTask, s: Step, i: number, nowMs: number, record: TaskRecord): void {
  const t = at(task, nowMs);
  if (s.do === "wait") expire(t);
  else if (s.do === "claim") claim(t, { worker: s.worker, key: `key-${i}`, epoch: 0, leaseId: `lease-${i}` });
  else if (s.do === "act") act(t, allFrames(task), s.action, {}, "test");
  else if (s.do === "frames")
    act(t, allFrames(task), s.action, { frames: String(s.frame), files_version: filesVersion(t.ledger) }, "test");
  else if (s.do === "news") {
    applyDependencyProgress(t, { id: 7, version: i, state: s.state, done: `1-${s.through}` });
    record.chores.news = union(record.chores.news, setOf([s.through]));
    if (i % 3 === 0) record.chores.remove = record.chores.remove ? null : { due_ms: nowMs, until_ms: nowMs + 1 };
    else if (record.chores.remove) record.chores.remove.due_ms += i;
    if (i % 5 === 0) record.shares = (record.shares ?? 0) + 1;
  } else {
    const lease = [...task.ledger.leases][s.lease % Math.max(1, task.ledger.leases.size)];
    if (!lease) return;
    const ref = { worker: lease.worker, leaseId: lease.lease_id, attempt: lease.attempt };
    const all = [...frames(lease.frames)];
    const done = all.map((frame): RenderedFrame => ({
      frame,
      seconds: i,
      files: [{ name: `f${frame}`, size: i, sha256: "a".repeat(64) }],
      warnings: frame % 2 === 0 ? ["dark", `frame ${frame}`] : [],
    }));
    const part = done.slice(0, s.part);
    const left = [...frames(lease.open)].filter((frame) => !part.some((d) => d.frame === frame));
    if (s.do === "renew") renew(t, ref, part);
    else if (s.do === "complete") complete(t, ref, done);
    else if (s.do === "release") release(t, ref, part, { cause: "stopping", reason: "test", frames: null });
    else fail(t, ref, part, left.slice(0, 1), "broken");
  }
}

/** As `TaskStore` does it: a checkpoint, and deltas that have been converted to JSON. */
function replayed(checkpoint: string, journal: readonly string[]): { record: TaskRecord; entries: object } {
  const { record: json, entries } = JSON.parse(checkpoint) as { record: string; entries: [number, FrameEntry][] };
  const record = recordFrom(json);
  const map = new Map(entries);
  const table: FrameTable = {
    get: (frame) => map.get(frame),
    set: (frame, entry) => void (entry ? map.set(frame, entry) : map.delete(frame)),
  };
  for (const row of journal) apply(record, table, JSON.parse(row) as Delta);
  return { record, entries: Object.fromEntries(map) };
}

test("P4: a checkpoint and the journal after it give exactly the state in memory, after any calls", () => {
  const shapes = fc.record({
    chunk: fc.constantFrom(1, 3, 5, "auto" as const),
    waits: fc.constantFrom<"all" | "same" | null>(null, null, "all", "same"),
    checkpointAt: fc.nat(30),
    // Transitions that share a row.
    shared: fc.constantFrom(1, 1, 2, 5),
  });
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 60 }), ({ chunk, waits, checkpointAt, shared }, steps) => {
      const task = newTask(terms("1-12", { chunk }), waits === null ? [] : [{ task: 7, frames: waits }]);
      const record: TaskRecord = { ledger: task.ledger, chores: { ...CHORES }, tail: [] };
      const dirty = new DirtyTracker();
      let checkpoint = "";
      let journal: string[] = [];
      let before = new Map<number, FrameEntry>();
      let nowMs = 0;
      const save = (): void => {
        dirty.flushed(record);
        checkpoint = JSON.stringify({ record: JSON.stringify(record), entries: [...task.entries] });
        journal = [];
      };
      save();
      for (const [i, s] of steps.entries()) {
        nowMs += s.do === "wait" ? s.ms : 0;
        const told = task.events.length;
        carryOut(task, s, i, nowMs, record);
        task.ledger.version++;
        for (const event of task.events.slice(told))
          record.tail.push({ ...event, seq: ++task.ledger.event_seq, task_id: 1, type: "demo_render" });
        if ((i + 1) % shared !== 0 && i < steps.length - 1) continue;
        const changed = new Map<number, FrameEntry | null>();
        for (const [frame, entry] of task.entries) if (before.get(frame) !== entry) changed.set(frame, entry);
        for (const frame of before.keys()) if (!task.entries.has(frame)) changed.set(frame, null);
        before = new Map(task.entries);
        if (i >= checkpointAt && i < checkpointAt + shared) save();
        else journal.push(JSON.stringify(dirty.drainDelta(record, changed)));
        const again = replayed(checkpoint, journal);
        expect(JSON.parse(JSON.stringify(again.record))).toEqual(JSON.parse(JSON.stringify(record)));
        expect(again.entries).toEqual(JSON.parse(JSON.stringify(Object.fromEntries(task.entries))));
      }
    }),
    { numRuns: 500 },
  );
});

test("a delta holds exactly the changes", () => {
  const task = newTask(terms("1-1000"));
  const record: TaskRecord = { ledger: task.ledger, chores: { ...CHORES }, tail: [] };
  const leases = [1, 2, 3].map((worker) => {
    const outcome = claim(at(task, 0), { worker, key: `key-${worker}`, epoch: 0, leaseId: `lease-${worker}` });
    return outcome.lease!;
  });
  const dirty = new DirtyTracker();
  dirty.flushed(record);
  const { lease_id, attempt, worker } = leases[1]!;
  complete(at(task, 5), { worker, leaseId: lease_id, attempt }, [
    { frame: 2, seconds: 1, files: [{ name: "f2", size: 1, sha256: "a".repeat(64) }] },
  ]);
  claim(at(task, 5), { worker, key: "key-4", epoch: 0, leaseId: "lease-4" });
  const delta = dirty.drainDelta(record, task.entries);
  expect(delta.leases.map((lease) => lease.lease_id)).toEqual(["lease-4"]);
  expect(delta.ended).toEqual(["lease-2"]);
  expect(Object.keys(delta.ledger).toSorted()).toEqual(
    ["attempt", "counts", "cursor", "frame_current", "seconds", "stats", "stored", "tally"].toSorted(),
  );
  expect(delta.chores).toEqual({});
  expect(JSON.stringify(delta).length).toBeLessThan(1_000);
});

test("P4: changes of a failed write do not count as written, nor does a field that no longer exists", () => {
  const task = newTask(terms("1-4"));
  const record: TaskRecord = { ledger: task.ledger, chores: { ...CHORES }, tail: [] };
  const dirty = new DirtyTracker();
  dirty.flushed(record);
  const before = JSON.stringify(record);
  record.shares = 1;
  expect(dirty.drainDelta(record, []).rest).toEqual({ shares: 1 });
  // The write failed: the rows are read anew, and the same change is tried again.
  const again = recordFrom(before);
  dirty.flushed(again);
  again.shares = 1;
  expect(dirty.drainDelta(again, []).rest).toEqual({ shares: 1 });
});
