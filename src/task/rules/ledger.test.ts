import fc from "fast-check";
import { expect, test } from "vitest";
import { framesOf, parseFrameList } from "../../protocol/frame-list.ts";
import { act } from "./user-actions.ts";
import { filesVersion } from "./files-version.ts";
import { frames, take } from "./frame-set.ts";
import { claim } from "./claim.ts";
import { complete, expire, fail, release, renew, type RenderedFrame } from "./settle.ts";
import { SWEEP_AFTER_MS } from "../../protocol/constants.ts";
import { countsOf, statusOf, type FrameEntry } from "./ledger.ts";
import { countOf, countStep, storedBytes } from "./stored-bytes.ts";
import { at, audit, newTask, terms, allFrames, type FarmTask } from "../../../test/support/rules-farm.ts";

/** More texts than a task keeps, some of several frames. */
const of = (frame: number) => (frame % 2 === 0 ? [`even`, `frame ${frame}`] : []);
const file = (frame: number, attempt: number) => ({ name: `f${frame}`, size: 1 + attempt, sha256: "a".repeat(64) });

type Step =
  | { do: "claim"; worker: number; key: number }
  | { do: "renew" | "complete" | "fail" | "release"; lease: number; stale: boolean; part: number }
  | { do: "wait"; ms: number }
  | { do: "act"; action: "pause" | "resume" | "cancel" | "requeue" }
  | { do: "frames"; action: "requeue" | "skip"; frame: number | "all" }
  /** An earlier release had the task, which keeps no sum of the stored bytes; or they are counted. */
  | { do: "forget" }
  | { do: "count"; frames: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("claim" as const),
      worker: fc.integer({ min: 1, max: 4 }),
      key: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("renew" as const, "complete" as const, "fail" as const, "release" as const),
      lease: fc.nat(20),
      stale: fc.boolean(),
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
  { weight: 1, arbitrary: fc.constant({ do: "forget" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("count" as const), frames: fc.integer({ min: 1, max: 5 }) }) },
);

interface UnsignedClaimed {
  worker: number;
  leaseId: string;
  attempt: number;
  frames: number[];
}

/** The entries of a task's frames from `from` on, as the store reads them. */
function entriesFrom(task: FarmTask, from: number): [number, FrameEntry][] {
  return [...task.entries].filter(([frame]) => frame >= from).toSorted(([a], [b]) => a - b);
}

function drive(task: FarmTask, steps: Step[], observe: (nowMs: number) => void): number {
  let nowMs = 0;
  const given: UnsignedClaimed[] = [];
  for (const [i, s] of steps.entries()) {
    const t = at(task, nowMs);
    if (s.do === "wait") nowMs += s.ms;
    else if (s.do === "claim") {
      const before = task.ledger.attempt;
      const outcome = claim(t, { worker: s.worker, key: `key-${s.worker}-${s.key}`, epoch: 0, leaseId: `lease-${i}` });
      if (outcome.lease?.attempt === before + 1) {
        given.push({
          worker: s.worker,
          leaseId: outcome.lease.lease_id,
          attempt: outcome.lease.attempt,
          frames: [...frames(outcome.lease.frames)],
        });
      }
    } else if (s.do === "act") act(t, allFrames(task), s.action, {}, "test");
    else if (s.do === "frames")
      act(t, allFrames(task), s.action, { frames: String(s.frame), files_version: filesVersion(task.ledger) }, "test");
    else if (s.do === "forget") task.ledger.stored = countOf({ ...task.ledger, stored: undefined });
    else if (s.do === "count") countStep(task.ledger, (from) => entriesFrom(task, from), s.frames);
    else if (given.length > 0) {
      const lease = given[s.lease % given.length]!;
      const ref = {
        worker: lease.worker,
        leaseId: lease.leaseId,
        attempt: s.stale ? lease.attempt - 1 : lease.attempt,
      };
      const part = lease.frames.slice(0, s.part).map((frame): RenderedFrame => ({
        frame,
        seconds: 1,
        files: [file(frame, lease.attempt)],
        warnings: of(frame),
      }));
      const all = lease.frames.map((frame): RenderedFrame => ({
        frame,
        seconds: 1,
        files: [file(frame, lease.attempt)],
        warnings: of(frame),
      }));
      const live = [...task.ledger.leases].some(
        (l) => l.lease_id === ref.leaseId && l.attempt === ref.attempt && l.until_ms > nowMs,
      );
      const before = JSON.stringify([task.ledger.counts, [...task.entries]]);
      const open = take(task.ledger.leases.get(lease.leaseId)?.open ?? [], 1000).filter(
        (f) => !part.some((d) => d.frame === f),
      );
      const result =
        s.do === "renew"
          ? renew(t, ref, part)
          : s.do === "complete"
            ? complete(t, ref, all)
            : s.do === "release"
              ? release(t, ref, part, { cause: "stopping", reason: "test", frames: null })
              : fail(t, ref, part, open.slice(0, 1).length > 0 ? open.slice(0, 1) : lease.frames.slice(0, 1), "broken");
      if (!live && [...task.ledger.leases].every((l) => l.until_ms > nowMs)) {
        // P2: a call by a worker that does not hold the lease changes nothing, except that overdue
        // leases expire.
        const after = JSON.stringify([task.ledger.counts, [...task.entries]]);
        if (result.ok && s.do !== "complete") throw new Error(`P2: ${s.do} by a superseded lease was accepted`);
        if (JSON.stringify([[...task.entries]]) !== JSON.stringify([JSON.parse(before)[1]]) && after !== before)
          throw new Error(`P2: ${s.do} by a superseded lease changed a frame`);
      }
    }
    observe(nowMs);
  }
  return nowMs;
}

const shapes = fc.record({
  text: fc.constantFrom("1-12", "1-12:3,13-15", "-2-5", "7"),
  chunk: fc.constantFrom(1, 3, 5, "auto" as const),
  order: fc.constantFrom("ascending" as const, "preview" as const),
});

test("P1, P2: after any sequence of calls every frame is in one state, counters equal rows, no frame has two live leases", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 60 }), (shape, steps) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      drive(task, steps, () => audit(task));
    }),
    { numRuns: 2_000 },
  );
});

test("P1: the stored bytes are the sum over the frame table, also when they are counted while the task goes on", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 60 }), (shape, steps) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      const sum = (): number => {
        const files = [...task.entries.values()].flatMap((entry) => (entry.state === "done" ? entry.files : []));
        return files.reduce((all, { size }) => all + size, 0);
      };
      let known = 0;
      drive(task, steps, () => {
        const bytes = storedBytes(task.ledger);
        if (bytes !== null) known++;
        if (bytes !== null && bytes !== sum()) throw new Error(`P1: ${bytes} bytes are told, ${sum()} are stored`);
      });
      for (let i = 0; i < 20 && storedBytes(task.ledger) === null; i++)
        countStep(task.ledger, (from) => entriesFrom(task, from), 1);
      expect(storedBytes(task.ledger)).toBe(sum());
      if (!steps.some((s) => s.do === "forget")) expect(known).toBe(steps.length);
    }),
    { numRuns: 2_000 },
  );
});

test("P1: after a rollback, a sum of stored bytes is trusted only if no frame was committed or given up meanwhile", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 40 }), (shape, steps, later) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      const plain = (all: Step[]): Step[] => all.filter((s) => s.do !== "forget" && s.do !== "count");
      drive(task, plain(steps), () => undefined);
      // The earlier release keeps the value that it does not know, and changes the rest.
      const { stored } = task.ledger;
      drive(task, plain(later), () => undefined);
      const read = countOf({ ...task.ledger, stored });
      if (read.below === null) expect(read.bytes).toBe(storedBytes(task.ledger));
      else expect(read.bytes).toBe(0);
    }),
    { numRuns: 2_000 },
  );
});

test("P3: a done frame keeps its attempt and bytes until it is requeued", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 60 }), (shape, steps) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      const committed = new Map<number, number>();
      const withoutRequeue = steps.filter((s) => !(s.do === "act" && s.action === "requeue") && !(s.do === "frames"));
      drive(task, withoutRequeue, () => {
        for (const [frame, entry] of task.entries) {
          if (entry.state !== "done") continue;
          const known = committed.get(frame);
          if (known !== undefined && known !== entry.attempt)
            throw new Error(`P3: frame ${frame} was committed by ${known} and by ${entry.attempt}`);
          committed.set(frame, entry.attempt);
          if (entry.files[0]!.size !== 1 + entry.attempt) throw new Error("P3: bytes of another attempt");
        }
        for (const frame of committed.keys())
          if (task.entries.get(frame)?.state !== "done") throw new Error(`frame ${frame} was done and is no longer`);
      });
    }),
    { numRuns: 2_000 },
  );
});

test("P6: from any state, once users let it run, workers that succeed finish the task", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 40 }), (shape, steps) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      let nowMs = drive(task, steps, () => undefined) + 6 * 3_600_000;
      expire(at(task, nowMs));
      if (statusOf(task.terms, task.ledger) !== "completed")
        act(at(task, nowMs), allFrames(task), "requeue", {}, "test");
      act(at(task, nowMs), allFrames(task), "resume", {}, "test");
      for (let i = 0; i < 50 && statusOf(task.terms, task.ledger) !== "completed"; i++) {
        nowMs += 1_000;
        const outcome = claim(at(task, nowMs), {
          worker: 1 + (i % 2),
          key: `finish-${i}`,
          epoch: 0,
          leaseId: `finish-${i}`,
        });
        if (!outcome.lease)
          throw new Error(`stuck: ${outcome.reason} at ${JSON.stringify(countsOf(task.terms, task.ledger))}`);
        const { lease } = outcome;
        const done = [...frames(lease.frames)].map((frame) => ({
          frame,
          seconds: 1,
          files: [file(frame, lease.attempt)],
        }));
        expect(
          complete(at(task, nowMs), { worker: lease.worker, leaseId: lease.lease_id, attempt: lease.attempt }, done).ok,
        ).toBe(true);
        audit(task);
      }
      expect(statusOf(task.terms, task.ledger)).toBe("completed");
      expect(task.events.filter((e) => e.kind === "completed").length).toBeGreaterThan(0);
    }),
    { numRuns: 2_000 },
  );
});

test("P7: history is consistent: replayed from the start, it leaves exactly the done frames done, none of them twice", () => {
  fc.assert(
    fc.property(shapes, fc.array(step, { maxLength: 60 }), (shape, steps) => {
      const task = newTask(terms(shape.text, { chunk: shape.chunk, order: shape.order }));
      drive(task, steps, () => undefined);
      const done = new Set<number>();
      for (const { kind, frames: text, frame_count: count } of task.events) {
        const list = parseFrameList(text ?? "");
        const named = list.ok ? [...framesOf(list.value)] : [];
        expect(named).toHaveLength(count);
        for (const frame of named) {
          if (kind === "done") expect(done.has(frame)).toBe(false);
          if (kind === "done") done.add(frame);
          if (kind === "requeued") done.delete(frame);
        }
      }
      const rows = [...task.entries].filter(([, entry]) => entry.state === "done").map(([frame]) => frame);
      expect([...done].toSorted((x, y) => x - y)).toEqual(rows.toSorted((x, y) => x - y));
    }),
    { numRuns: 1_000 },
  );
});

test("a task of a million frames keeps a ledger of a few hundred bytes", () => {
  const task = newTask(terms("1-1000000", { order: "preview", chunk: 10 }));
  for (let i = 0; i < 20; i++) {
    const outcome = claim(at(task, i), { worker: 1, key: `k${i}`, epoch: 0, leaseId: `l${i}` });
    if (!outcome.lease) throw new Error(outcome.reason);
    const { lease } = outcome;
    const done = [...frames(lease.frames)].map((frame) => ({ frame, seconds: 0, files: [file(frame, lease.attempt)] }));
    expect(complete(at(task, i), { worker: 1, leaseId: lease.lease_id, attempt: lease.attempt }, done).ok).toBe(true);
  }
  expect(JSON.stringify(task.ledger).length).toBeLessThan(900);
  expect(task.entries.size).toBe(200);
  expect([...framesOf(task.terms.list)].length).toBe(1_000_000);
});

test.each(["ascending", "preview"] as const)(
  "P2: a frame skipped and requeued before its turn is given out once (%s)",
  (order) => {
    const task = newTask(terms("1-12", { order }));
    for (let frame = 1; frame <= 12; frame++) {
      act(at(task, 0), allFrames(task), "skip", { frames: String(frame) }, "test");
      act(at(task, 0), allFrames(task), "requeue", { frames: String(frame) }, "test");
    }
    const given = Array.from({ length: 12 }, (_, i) =>
      claim(at(task, 0), { worker: 1, key: `k${i}`, epoch: 0, leaseId: `l${i}` }),
    );
    expect(new Set(given.flatMap(({ lease }) => [...frames(lease!.frames)])).size).toBe(12);
    expect(claim(at(task, 0), { worker: 1, key: "more", epoch: 0, leaseId: "more" }).lease).toBeNull();
    audit(task);
  },
);

test("a canceled task whose frames were all skipped ends when it is requeued", () => {
  const task = newTask(terms("7"));
  act(at(task, 0), allFrames(task), "cancel", {}, "test");
  act(at(task, 0), allFrames(task), "skip", { frames: "7" }, "test");
  act(at(task, 0), allFrames(task), "requeue", {}, "test");
  expect(statusOf(task.terms, task.ledger)).toBe("completed");
  expect(task.events.map((e) => e.kind)).toEqual(["canceled", "skipped", "requeued", "completed"]);
});

test("P3: the files of a requeued frame are swept when no earlier grant is valid any more, and an earlier sweep is not brought forward", () => {
  for (const frames of ["all", "1"]) {
    const task = newTask(terms("1-2", { chunk: 2 }));
    const first = claim(at(task, 0), { worker: 1, key: "key-1", epoch: 0, leaseId: "lease-1" }).lease!;
    const { leaseMs } = task.terms;
    // The lease was renewed in memory, which a restart may forget: its holder may upload until the
    // grant of that renewal expires.
    const renewedMs = leaseMs / 2;
    renew(at(task, renewedMs), { worker: 1, leaseId: "lease-1", attempt: first.attempt }, []);
    const grantMs = renewedMs + leaseMs + SWEEP_AFTER_MS;
    const forgotten = [...task.ledger.leases][0]!;
    forgotten.until_ms = leaseMs;
    const t = at(task, leaseMs + 1);
    const second = claim(t, { worker: 2, key: "key-2", epoch: 0, leaseId: "lease-2" }).lease!;
    const done = [1, 2].map((frame): RenderedFrame => ({
      frame,
      seconds: 1,
      files: [{ name: `f${frame}`, size: 1, sha256: "a".repeat(64) }],
    }));
    expect(complete(t, { worker: 2, leaseId: "lease-2", attempt: second.attempt }, done).ok).toBe(true);
    expect(act(t, allFrames(task), "requeue", { frames, files_version: filesVersion(task.ledger) }, "test").ok).toBe(
      true,
    );
    const { sweeps } = task.ledger;
    const of = (attempt: number): number =>
      Math.max(...sweeps.filter((one) => one.attempt === attempt || one.frames.length === 0).map((one) => one.due_ms));
    expect(of(first.attempt)).toBeGreaterThanOrEqual(grantMs);
    expect(of(second.attempt)).toBeGreaterThanOrEqual(second.until_ms + SWEEP_AFTER_MS);
  }
});
