import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canDo } from "../protocol/needs.ts";
import type { Needs } from "../protocol/needs.ts";
import {
  excludedUntilMs,
  chooseTask,
  goesFirst,
  needsSignature,
  type WorkerView,
  type Candidate,
  type Group,
} from "./dispatch.ts";

const NOW = 1_000_000;
const ME = 7;

const needs = (change: Partial<Needs> = {}): Needs => ({
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
  ...change,
});
const task = (id: number, priority: number, blocklist: Candidate["blocklist"] = []): Candidate => ({
  id,
  priority,
  blocklist,
});
const workerView = (change: Partial<WorkerView> = {}): WorkerView => ({
  id: ME,
  offer: { programs: { blender: "3.4.1" }, tags: [], allow_exec: false, allow_autoexec: false, version: "0.1.0" },
  takesWork: true,
  declined: new Map(),
  ...change,
});

const anyVersion = fc.constantFrom("", "0.1.0", "0.2.0", "0.3.0");
const anyNeeds = fc
  .record({
    type: fc.constantFrom("blender_render", "exec"),
    programs: fc.subarray(["blender", "ffmpeg"]),
    tags: fc.subarray(["gpu", "big"]),
    allow_exec: fc.boolean(),
    allow_autoexec: fc.boolean(),
    agent: fc.constantFrom(null, null, "0.2.0"),
    blender: fc.constantFrom(null, null, "4.5", "4.5+"),
  })
  .map(({ agent, blender, ...rest }): Needs => ({
    ...rest,
    ...(agent !== null && { agent }),
    ...(blender !== null && { blender }),
  }));
const anyTask = fc.record({
  priority: fc.integer({ min: 0, max: 3 }),
  needs: anyNeeds,
  blocklist: fc.array(
    fc.record({ worker_id: fc.constantFrom(ME, ME + 1), until_ms: fc.integer({ min: NOW - 5, max: NOW + 5 }) }),
    { maxLength: 2 },
  ),
});
const anyWorker = fc
  .record({
    programs: fc.subarray(["blender", "ffmpeg"]),
    blender: fc.constantFrom("4.2.0", "4.5.1", "5.0.0"),
    tags: fc.subarray(["gpu", "big"]),
    allow_exec: fc.boolean(),
    allow_autoexec: fc.boolean(),
    version: anyVersion,
    declined: fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: NOW - 5, max: NOW + 5 }))),
  })
  .map(({ programs, blender, tags, allow_exec, allow_autoexec, version, declined }) =>
    workerView({
      offer: {
        programs: Object.fromEntries(programs.map((name) => [name, blender])),
        tags,
        allow_exec,
        allow_autoexec,
        version,
      },
      declined: new Map(declined),
    }),
  );

type Task = Candidate & { needs: Needs };

/**
 * The order of the rows: by group, priority falling, then id rising. Counts the rows that are read.
 */
function grouped(tasks: Task[], onRead: () => void = () => {}): Group<Task>[] {
  const groups = new Map<string, Task[]>();
  for (const t of tasks) groups.set(needsSignature(t.needs), [...(groups.get(needsSignature(t.needs)) ?? []), t]);
  return [...groups.values()].map((members) => ({
    needs: members[0]!.needs,
    candidates: (function* () {
      for (const member of members.toSorted((a, b) => (goesFirst(a, b) ? -1 : 1))) {
        onRead();
        yield member;
      }
    })(),
  }));
}

describe("dispatch", () => {
  it("P8: gives the highest priority that the worker can do, the older task on a tie, and hides nothing behind what it cannot do", () => {
    fc.assert(
      fc.property(fc.array(anyTask, { maxLength: 20 }), anyWorker, (drawn, worker) => {
        const tasks = drawn.map((t, index) => ({ ...t, id: index + 1 }));
        const possible = tasks.filter((t) => canDo(t.needs, worker.offer) && excludedUntilMs(worker, t, NOW) === 0);
        const top = Math.max(...possible.map((t) => t.priority));
        const expected = possible.find((t) => t.priority === top);
        const choice = chooseTask(worker, grouped(tasks), NOW);
        expect(choice.task?.id).toBe(expected?.id);
        const missed = tasks
          .filter((t) => canDo(t.needs, worker.offer) && (expected === undefined || goesFirst(t, expected)))
          .map((t) => excludedUntilMs(worker, t, NOW));
        expect(choice.excluded?.untilMs).toBe(missed.length === 0 ? undefined : Math.min(...missed));
      }),
    );
  });

  it("reads one task a group, and those that it skips", () => {
    fc.assert(
      fc.property(fc.array(anyTask, { maxLength: 40 }), anyWorker, (drawn, worker) => {
        const tasks = drawn.map((t, index) => ({ ...t, id: index + 1 }));
        let reads = 0;
        const groups = grouped(tasks, () => reads++);
        chooseTask(worker, groups, NOW);
        const excluded = tasks.filter((t) => excludedUntilMs(worker, t, NOW) > 0).length;
        expect(reads).toBeLessThanOrEqual(groups.length + excluded);
      }),
    );
  });

  it("skips a task that blocks or declined the worker, until that ends", () => {
    const tasks = [
      { ...task(1, 90, [{ worker_id: ME, until_ms: NOW + 30 }]), needs: needs() },
      { ...task(2, 80), needs: needs() },
      { ...task(3, 10, [{ worker_id: ME + 1, until_ms: NOW + 99 }]), needs: needs() },
    ];
    const worker = workerView({ declined: new Map([[2, NOW + 20]]) });
    expect(chooseTask(worker, grouped(tasks), NOW).task?.id).toBe(3);
    expect(chooseTask(worker, grouped(tasks.slice(0, 2)), NOW)).toEqual({
      task: null,
      excluded: { id: 2, untilMs: NOW + 20 },
    });
    expect(chooseTask(worker, grouped(tasks), NOW + 20).task?.id).toBe(2);
    expect(chooseTask(worker, grouped(tasks), NOW + 30).task?.id).toBe(1);
  });

  it("gives nothing to a worker that is switched off or draining", () => {
    const tasks = [{ ...task(1, 50), needs: needs() }];
    expect(chooseTask(workerView({ takesWork: false }), grouped(tasks), NOW)).toEqual({ task: null, excluded: null });
  });

  it("P12: gives a task that needs a version of Blender only to workers that have it", () => {
    const workers = {
      old: { programs: { blender: "3.4.1" } },
      exact: { programs: { blender: "4.5.15" } },
      newer: { programs: { blender: "5.0.1" } },
      several: { programs: { blender: "5.0.1" }, versions: { blender: ["5.0.1", "4.5.3", "3.4.1"] } },
      none: { programs: { ffmpeg: "7" } },
      silent: { programs: { blender: "" } },
    };
    const able = (blender: string): string[] =>
      Object.entries(workers).flatMap(([name, offer]) => {
        const worker = workerView({ offer: { ...workerView().offer, version: "0.2.0", ...offer } });
        const tasks = [{ ...task(1, 50), needs: needs({ agent: "0.2.0", blender }) }];
        return chooseTask(worker, grouped(tasks), NOW).task === null ? [] : [name];
      });
    expect(able("4.5")).toEqual(["exact", "several"]);
    expect(able("4.5+")).toEqual(["exact", "newer", "several"]);
    expect(able("3.4")).toEqual(["old", "several"]);
    expect(able("3.4+")).toEqual(["old", "exact", "newer", "several"]);
  });

  it("gives a task with a piece list only to agents that read it, and never to one without a version", () => {
    const tasks = [{ ...task(1, 50), needs: needs({ agent: "0.2.0" }) }];
    const gets = (version: string): number | undefined =>
      chooseTask(workerView({ offer: { ...workerView().offer, version } }), grouped(tasks), NOW).task?.id;
    expect(["", "0.1.0", "0.1.9", "0.2.0", "0.2.1", "1.0.0"].map(gets)).toEqual([
      undefined,
      undefined,
      undefined,
      1,
      1,
      1,
    ]);
  });

  it("keeps the text of needs of earlier releases, which name no version", () => {
    expect(needsSignature(needs())).toBe(
      '{"type":"blender_render","programs":["blender"],"tags":[],"allow_exec":false,"allow_autoexec":false}',
    );
  });

  it("groups tasks by what they need, in whatever order it is listed", () => {
    const one = needs({ programs: ["blender", "ffmpeg"], tags: ["b", "a"] });
    expect(needsSignature(one)).toBe(
      needsSignature(needs({ programs: ["ffmpeg", "blender", "ffmpeg"], tags: ["a", "b"] })),
    );
    expect(JSON.parse(needsSignature(one))).toEqual({ ...one, tags: ["a", "b"] });
    for (const other of [
      { type: "exec" },
      { programs: ["ffmpeg"] },
      { tags: [] },
      { allow_exec: true },
      { allow_autoexec: true },
      { agent: "0.2.0" },
      { blender: "4.5" },
      { blender: "4.5+" },
    ]) {
      expect(needsSignature({ ...one, ...other })).not.toBe(needsSignature(one));
    }
  });
});
