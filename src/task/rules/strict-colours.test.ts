/** `strict`: a picture of one colour beside one of several. */
import { describe, expect, test } from "vitest";
import { allFrames, at, audit, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import { claim } from "./claim.ts";
import { filesVersion } from "./files-version.ts";
import { EMPTY, format, frames } from "./frame-set.ts";
import { stateOf, statusOf, type Terms } from "./ledger.ts";
import { noteNews, type News } from "./news.ts";
import { complete, fail, release, renew, type LeaseRef, type RenderedFrame } from "./settle.ts";
import { act } from "./user-actions.ts";

const TEXT = "the picture has one colour only, and the frame before or after it has several";
let leases = 0;

const strictTask = (list: string, over: Partial<Terms> = {}): FarmTask =>
  newTask(terms(list, { strict: true, ...over }));

function take(task: FarmTask, worker: number, nowMs = 0): LeaseRef & { frames: number[] } {
  const leaseId = `lease-${++leases}`;
  const { lease } = claim(at(task, nowMs), { worker, key: leaseId, epoch: 0, leaseId });
  if (!lease) throw new Error(`worker ${worker} got nothing`);
  return { worker, leaseId, attempt: lease.attempt, frames: [...frames(lease.frames)] };
}

/** Rendered frames; those in `flat` have one colour, those in `unknown` were not looked at. */
function rendered(list: number[], flat: number[], unknown: number[] = []): RenderedFrame[] {
  return list.map((frame) => ({
    frame,
    seconds: 10,
    files: [{ name: `f${frame}`, size: 100, sha256: "a".repeat(64) }],
    ...(!unknown.includes(frame) && { oneColour: flat.includes(frame) }),
  }));
}

/** The worker takes a lease and completes it. The frames of the lease. */
function render(task: FarmTask, worker: number, flat: number[], nowMs = 0): number[] {
  const taken = take(task, worker, nowMs);
  const done = rendered(taken.frames, flat);
  expect(complete(at(task, nowMs), taken, done)).toMatchObject({ ok: true });
  audit(task);
  return taken.frames;
}

const states = (task: FarmTask, ...some: number[]) => some.map((frame) => stateOf(at(task, 0), frame));
const told = (task: FarmTask) => task.events.map(({ kind, frames: of, worker_id }) => [kind, of, worker_id]);

describe("P12: with strict, a picture of one colour beside one of several", () => {
  test("is not committed when the other one is: it has failed, and its upload is deleted", () => {
    const task = strictTask("1-2");
    render(task, 1, []);
    const taken = take(task, 2);
    expect(complete(at(task, 0), taken, rendered([2], [2]))).toMatchObject({ value: { committed: 0 } });
    audit(task);
    expect(states(task, 1, 2)).toEqual(["done", "pending"]);
    expect(task.entries.get(2)).toMatchObject({
      state: "retry",
      failures: [[2, 1]],
      files: [],
      error: `frame 2: ${TEXT}`,
    });
    expect(task.ledger.sweeps).toMatchObject([{ attempt: taken.attempt, frames: [[2, 2]], only: true }]);
    expect(told(task)).toEqual([
      ["done", "1", 1],
      ["error", "2", 2],
    ]);
    expect(task.ledger.warnings ?? []).toEqual([]);
  });

  test("is given up when it was committed before the other one, and has failed under the lease that made it", () => {
    const task = strictTask("1-2");
    const first = take(task, 1);
    expect(complete(at(task, 0), first, rendered([1], [1]))).toMatchObject({ value: { committed: 1 } });
    const before = filesVersion(task.ledger);
    expect(states(task, 1)).toEqual(["done"]);
    render(task, 2, []);
    expect(states(task, 1, 2)).toEqual(["pending", "done"]);
    expect(statusOf(task.terms, task.ledger)).toBe("queued");
    expect(task.entries.get(1)).toMatchObject({
      state: "retry",
      attempt: first.attempt,
      failures: [[1, 1]],
      files: [],
    });
    expect(task.ledger.sweeps).toMatchObject([{ attempt: first.attempt, frames: [[1, 1]], only: true }]);
    expect(task.ledger).toMatchObject({ seconds: 10, stored: { bytes: 100 }, counts: { done: 1 } });
    expect(filesVersion(task.ledger)).not.toBe(before);
    expect(told(task)).toEqual([
      ["done", "1", 1],
      ["done", "2", 2],
      ["requeued", "1", null],
      ["error", "1", 1],
    ]);
  });

  test.each([[[1, 2, 3]], [[3, 2, 1]], [[2, 1, 3]], [[1, 3, 2]]])(
    "ends as failed after its tries, in whatever order frames come: %j",
    (order) => {
      const task = strictTask("1-3", { chunk: 3, tries: 2 });
      const taken = take(task, 1);
      for (const frame of order) expect(renew(at(task, 0), taken, rendered([frame], [2])).ok).toBe(true);
      expect(complete(at(task, 0), taken, rendered([1, 2, 3], [2]))).toMatchObject({ value: { committed: 2 } });
      audit(task);
      expect(states(task, 1, 2, 3)).toEqual(["done", "pending", "done"]);
      expect(render(task, 2, [2])).toEqual([2]);
      expect(states(task, 1, 2, 3)).toEqual(["done", "failed", "done"]);
      expect(statusOf(task.terms, task.ledger)).toBe("failed");
      expect(task.events.at(-1)).toMatchObject({ kind: "failed", detail: `frame 2: ${TEXT}` });
      expect(task.events.filter(({ kind }) => kind === "error")).toHaveLength(2);
    },
  );

  test("is rendered again by another worker, and that picture counts", () => {
    const task = strictTask("1-2");
    render(task, 1, [1]);
    render(task, 2, []);
    expect(render(task, 2, [])).toEqual([1]);
    expect(statusOf(task.terms, task.ledger)).toBe("completed");
    expect(task.entries.get(1)).toMatchObject({ state: "done", worker: 2, one_colour: false, failures: [[1, 1]] });
  });

  test("in one lease: also with the other calls that bring frames", () => {
    for (const end of ["fail", "release"] as const) {
      const task = strictTask("1-4", { chunk: 4 });
      const taken = take(task, 1);
      const done = rendered([1, 2, 3], [2]);
      const ended =
        end === "fail"
          ? fail(at(task, 0), taken, done, [4], "broken")
          : release(at(task, 0), taken, done, { cause: "stopping", reason: "stops", frames: null });
      expect(ended).toMatchObject({ value: { committed: 2 } });
      audit(task);
      expect(states(task, 1, 2, 3, 4)).toEqual(["done", "pending", "done", "pending"]);
      expect(task.entries.get(2)).toMatchObject({ state: "retry", failures: [[1, 1]] });
    }
  });

  test("is no failure where all have one colour, where it is not known of the other, or where they are not neighbours", () => {
    const all = strictTask("1-3", { chunk: 3 });
    render(all, 1, [1, 2, 3]);
    expect(statusOf(all.terms, all.ledger)).toBe("completed");
    const unknown = strictTask("1-3", { chunk: 3 });
    const taken = take(unknown, 1);
    expect(complete(at(unknown, 0), taken, rendered([1, 2, 3], [2], [1, 3]))).toMatchObject({
      value: { committed: 3 },
    });
    const apart = strictTask("1-3", { chunk: 1, order: "preview" });
    expect([render(apart, 1, [1]), render(apart, 1, [])]).toEqual([[1], [3]]);
    expect(states(apart, 1, 3)).toEqual(["done", "done"]);
    const lax = newTask(terms("1-2", { chunk: 2 }));
    render(lax, 1, [1]);
    expect(statusOf(lax.terms, lax.ledger)).toBe("completed");
  });

  test("P3: a completion whose answer was lost is answered as the first time, and gives nothing back twice", () => {
    const task = strictTask("1-3", { chunk: 3 });
    const taken = take(task, 1);
    const done = rendered([1, 2, 3], [2]);
    expect(complete(at(task, 0), taken, done)).toMatchObject({ value: { committed: 2, repeat: false } });
    expect(complete(at(task, 0), taken, done)).toMatchObject({ value: { committed: 2, repeat: true } });
    expect(task.entries.get(2)).toMatchObject({ failures: [[1, 1]] });
    // A frame that failed otherwise is no part of a completion.
    const other = strictTask("1");
    const ref = take(other, 1);
    expect(fail(at(other, 0), ref, [], [1], "broken").ok).toBe(true);
    expect(complete(at(other, 0), ref, rendered([1], []))).toMatchObject({ error: { code: "lease_lost" } });
  });

  test("P12: tasks that wait for its frames are told that it was taken back", () => {
    const task = strictTask("1-2");
    render(task, 1, [1]);
    const news: News = { news: EMPTY };
    const t = at(task, 0);
    noteNews(news, t, EMPTY);
    task.events.length = 0;
    render(task, 2, []);
    noteNews(news, at(task, 0), EMPTY);
    expect(format(news.news)).toBe("2");
    expect(news.taken_back).toMatchObject([{ frames: "1" }]);
  });

  test("P6: a frame that is given up keeps its failures from before", () => {
    const task = strictTask("1-2", { tries: 2 });
    const taken = take(task, 1);
    expect(fail(at(task, 0), taken, [], [1], "broken").ok).toBe(true);
    const second = take(task, 2);
    expect(second.frames).toEqual([2]);
    // Frame 1 is committed in one colour while nothing is known of frame 2.
    expect(render(task, 3, [1])).toEqual([1]);
    expect(complete(at(task, 0), second, rendered([2], [])).ok).toBe(true);
    audit(task);
    expect(task.entries.get(1)).toMatchObject({
      state: "failed",
      failures: [
        [1, 1],
        [3, 1],
      ],
    });
  });

  test("P6: a requeue forgets its failures, and a person can have it rendered again", () => {
    const task = strictTask("1-2", { tries: 1 });
    render(task, 1, [1]);
    render(task, 1, []);
    expect(statusOf(task.terms, task.ledger)).toBe("failed");
    expect(act(at(task, 0), allFrames(task), "requeue", {}, "ann").ok).toBe(true);
    expect(render(task, 1, [])).toEqual([1]);
    expect(statusOf(task.terms, task.ledger)).toBe("completed");
  });
});
