import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TaskSummary } from "../protocol/task.ts";
import type { Needs } from "../protocol/needs.ts";
import { chooseTask, goesFirst, needsSignature, type Candidate, type Group } from "./dispatch.ts";
import { whyTaskWaits, whyWorkerWaits, type TaskDispatchState, type WorkerDispatchState } from "./why.ts";

const NOW = 1_000_000;

const needs = (change: Partial<Needs> = {}): Needs => ({
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
  ...change,
});

const worker = (id: number, change: Partial<WorkerDispatchState> = {}): WorkerDispatchState => ({
  id,
  hostname: `box${id}`,
  offer: { programs: { blender: "3.4.1" }, tags: [], allow_exec: false, allow_autoexec: false, version: "0.1.0" },
  takesWork: true,
  declined: new Map(),
  online: true,
  whyNoWork: null,
  tasks: [],
  full: false,
  ...change,
});

function summary(id: number, change: Partial<TaskSummary> = {}): TaskSummary {
  const frames = { total: 9, pending: 9, leased: 0, done: 0, failed: 0, skipped: 0 };
  return { id, status: "queued", frames, ...change } as TaskSummary;
}

interface Open extends Candidate {
  needs: Needs;
}

/** Groups in the order in which dispatch reads them. */
function groupsOf(tasks: readonly Open[]): Group[] {
  return [...Map.groupBy(tasks, (task) => needsSignature(task.needs)).values()].map((group) => ({
    needs: group[0]!.needs,
    candidates: group.toSorted((a, b) => (goesFirst(a, b) ? -1 : 1)),
  }));
}

const stateOf = (task: Open, change: Partial<TaskDispatchState> = {}): TaskDispatchState => ({
  summary: summary(task.id),
  needs: task.needs,
  candidate: task,
  claimable: 9,
  waitsFor: [],
  about: {},
  ...change,
});

const anyVersion = fc.constantFrom("0.1.0", "0.2.0");

const anyTasks = fc
  .array(
    fc.record({
      priority: fc.integer({ min: 0, max: 2 }),
      needs: fc
        .record({
          type: fc.constant("blender_render"),
          programs: fc.subarray(["blender", "ffmpeg"]),
          tags: fc.subarray(["gpu"]),
          allow_exec: fc.boolean(),
          allow_autoexec: fc.boolean(),
          agent: fc.constantFrom(null, null, "0.2.0"),
          blender: fc.constantFrom(null, null, "3.4", "4.5+"),
        })
        .map(({ agent, blender, ...rest }): Needs => ({
          ...rest,
          ...(agent !== null && { agent }),
          ...(blender !== null && { blender }),
        })),
      blocklist: fc.array(
        fc.record({ worker_id: fc.integer({ min: 1, max: 3 }), until_ms: fc.integer({ min: NOW - 5, max: NOW + 5 }) }),
        { maxLength: 2 },
      ),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((tasks): Open[] => tasks.map((task, i) => ({ id: i + 1, ...task })));

const anyWorkers = fc
  .array(
    fc.record({
      programs: fc.subarray(["blender", "ffmpeg"]),
      tags: fc.subarray(["gpu"]),
      allow_exec: fc.boolean(),
      allow_autoexec: fc.boolean(),
      version: anyVersion,
      whyNoWork: fc.constantFrom(null, null, null, "disabled" as const, "draining" as const, "offline" as const),
      online: fc.constantFrom(true, true, true, false),
      declined: fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: NOW - 5, max: NOW + 5 })), {
        maxLength: 3,
      }),
    }),
    { maxLength: 3 },
  )
  .map((workers): WorkerDispatchState[] =>
    workers.map(({ programs, tags, allow_exec, allow_autoexec, version, whyNoWork, online, declined }, i) =>
      worker(i + 1, {
        offer: {
          programs: Object.fromEntries(programs.map((name) => [name, "1"])),
          tags,
          allow_exec,
          allow_autoexec,
          version,
        },
        takesWork: whyNoWork === null,
        whyNoWork,
        online,
        declined: new Map(declined),
      }),
    ),
  );

describe("why", () => {
  it("says that nothing holds a task for a worker exactly when dispatch would give it that task", () => {
    fc.assert(
      fc.property(anyTasks, anyWorkers, (tasks, workers) => {
        for (const task of tasks) {
          const why = whyTaskWaits(stateOf(task), workers, groupsOf(tasks), NOW);
          for (const one of workers) {
            const gets = one.online && chooseTask(one, groupsOf(tasks), NOW).task?.id === task.id;
            expect([one.id, why.workers.find((hold) => hold.worker_id === one.id)!.rule === "none"]).toEqual([
              one.id,
              gets,
            ]);
          }
          expect(why.would_fit).toBe(why.workers.filter((hold) => hold.rule === "none").length);
          expect(why.rule === "none").toBe(why.would_fit > 0);
          expect(why.counts.reduce((sum, { workers: n }) => sum + n, 0)).toBe(workers.length);
        }
      }),
    );
  });

  it("says that nothing holds a worker exactly when dispatch has a task for it, and names that task", () => {
    fc.assert(
      fc.property(anyTasks, anyWorkers, (tasks, workers) => {
        for (const one of workers) {
          const why = whyWorkerWaits(one, groupsOf(tasks), NOW);
          const { task } = chooseTask(one, groupsOf(tasks), NOW);
          if (one.online)
            expect([why.rule === "none", why.rule === "none" ? why.task_id : null]).toEqual([
              task !== null,
              task?.id ?? null,
            ]);
          else expect(why.rule).toBe(one.whyNoWork ?? "offline");
          if (one.online && one.takesWork && !task) expect(["cannot", "kept_off", "refused"]).toContain(why.rule);
          for (const passed of why.passed_over)
            if (task) expect(goesFirst(tasks[passed.task_id - 1]!, task)).toBe(true);
        }
      }),
    );
  });

  it("reports a worker for which there is no work at all", () => {
    expect(whyWorkerWaits(worker(1), [], NOW)).toMatchObject({
      rule: "nothing_pending",
      text: "No task has frames to give out.",
    });
    expect(whyWorkerWaits(worker(1, { tasks: [4], full: true }), [], NOW)).toMatchObject({
      rule: "busy",
      task_id: 4,
      text: "It renders task 4.",
    });
  });

  it("names what is missing, until when, and what goes first", () => {
    const mine: Open = { id: 5, priority: 50, needs: needs({ tags: ["gpu"], allow_exec: true }), blocklist: [] };
    const lacking = whyTaskWaits(
      stateOf(mine),
      [worker(1, { offer: { ...worker(1).offer, programs: {} } })],
      groupsOf([mine]),
      NOW,
    );
    expect(lacking).toMatchObject({ rule: "workers_held", would_fit: 0, counts: [{ rule: "cannot", workers: 1 }] });
    expect(lacking.workers[0]!.missing).toEqual([
      { kind: "program", name: "blender" },
      { kind: "tag", name: "gpu" },
      { kind: "exec", name: "" },
    ]);
    expect(lacking.workers[0]!.text).toBe(
      "It lacks the program blender, the tag gpu and permission to run commands (--allow-exec).",
    );
    const newer: Open = { ...mine, needs: needs({ agent: "0.2.0", tags: ["gpu"] }) };
    const old = whyTaskWaits(
      stateOf(newer),
      [worker(1), worker(2, { offer: { ...worker(2).offer, tags: ["gpu"], version: "" } })],
      groupsOf([newer]),
      NOW,
    );
    expect(old.workers.map(({ missing, text }) => [missing.at(-1), text])).toEqual([
      [
        { kind: "program", name: "tablao", at_least: "0.2.0", is: "0.1.0" },
        "It lacks the tag gpu. The task needs an agent of version 0.2.0 or newer; this one is 0.1.0.",
      ],
      [
        { kind: "program", name: "tablao", at_least: "0.2.0", is: "" },
        "The task needs an agent of version 0.2.0 or newer; this one did not say its version.",
      ],
    ]);
    expect(whyWorkerWaits(worker(1), groupsOf([{ ...newer, needs: needs({ agent: "0.2.0" }) }]), NOW).text).toMatch(
      /^Task \d+ needs an agent of version 0\.2\.0 or newer; this one is 0\.1\.0\.$/,
    );
    const kept: Open = { ...mine, needs: needs(), blocklist: [{ worker_id: 1, until_ms: NOW + 90_000 }] };
    const first: Open = { id: 9, priority: 60, needs: needs(), blocklist: [] };
    const why = whyTaskWaits(
      stateOf(kept),
      [worker(1), worker(2), worker(3, { declined: new Map([[5, NOW + 3_000]]) })],
      groupsOf([kept, first]),
      NOW,
    );
    expect(why.workers.map(({ worker_id, rule, until_ms, task_id }) => [worker_id, rule, until_ms, task_id])).toEqual([
      [2, "outranked", null, 9],
      [3, "refused", NOW + 3_000, null],
      [1, "kept_off", NOW + 90_000, null],
    ]);
    expect(why.text).toBe(
      "No worker can take it: 1 worker blocklisted or held off, 1 worker with something more urgent to do and 1 worker sent away a moment ago.",
    );
    expect(why.workers.map(({ text }) => text)).toEqual([
      "Task 9 goes first: it has a higher priority or is older.",
      "The task had nothing for it; it is offered again in 3 s at the latest.",
      "It failed this task again and again and is blocklisted for 90 s.",
    ]);
    const disk = [{ worker_id: 1, until_ms: NOW + 60_000, reason: "the worker's disk is full" }];
    const [only] = whyTaskWaits(stateOf({ ...kept, blocklist: disk }), [worker(1)], groupsOf([]), NOW).workers;
    expect(only).toMatchObject({
      rule: "kept_off",
      reason: "the worker's disk is full",
      text: "It gave this task back (the worker's disk is full) and is held off for 60 s.",
    });
  });

  it("P12: says which Blender a task needs, what each worker has, and what there is on the farm", () => {
    const has = (id: number, ...versions: string[]) => {
      const offer = { ...worker(id).offer, version: "0.2.0", programs: { blender: versions[0]! } };
      return worker(id, { offer: versions.length > 1 ? { ...offer, versions: { blender: versions } } : offer });
    };
    const exact: Open = { id: 5, priority: 50, blocklist: [], needs: needs({ agent: "0.2.0", blender: "4.5" }) };
    const farm = [has(1, "3.4.1"), has(2, "5.0.1", "3.4.1"), has(3, "")];
    const why = whyTaskWaits(stateOf(exact), farm, groupsOf([exact]), NOW);
    expect(why).toMatchObject({
      rule: "workers_held",
      text:
        "No worker can take it: 3 workers without what it needs. It needs Blender 4.5, and no worker has it: " +
        "the farm has Blender 5.0 (1 worker) and 3.4 (2 workers).",
      blender: {
        needs: "4.5",
        workers: 0,
        farm: [
          { version: "5.0", workers: 1 },
          { version: "3.4", workers: 2 },
        ],
      },
    });
    expect(why.workers.map(({ text }) => text)).toEqual([
      "The task needs Blender 4.5; this one has 3.4.1.",
      "The task needs Blender 4.5; this one has 5.0.1 and 3.4.1.",
      "The task needs Blender 4.5; this one did not say its version.",
    ]);
    expect(why.workers[0]!.missing).toEqual([{ kind: "program", name: "blender", needs: "4.5", is: "3.4.1" }]);
    expect(whyWorkerWaits(farm[0]!, groupsOf([exact]), NOW).text).toBe("Task 5 needs Blender 4.5; this one has 3.4.1.");

    const bound = whyTaskWaits(stateOf(exact, { about: { bound_blender: "4.5" } }), farm, groupsOf([exact]), NOW);
    expect(bound.text).toContain("It needs Blender 4.5, in which its first frames were rendered, and no worker has it");
    const newer: Open = { ...exact, needs: needs({ agent: "0.2.0", blender: "5.1+" }) };
    expect(whyTaskWaits(stateOf(newer), farm, groupsOf([newer]), NOW).text).toContain(
      "It needs Blender 5.1 or newer, and no worker has it",
    );
    const there = whyTaskWaits(stateOf(exact), [...farm, has(4, "4.5.15")], groupsOf([exact]), NOW);
    expect(there).toMatchObject({ rule: "none", would_fit: 1, blender: { workers: 1 } });
    expect(there.text).not.toContain("needs Blender");
    const { blender, text } = whyTaskWaits(stateOf(exact), [has(1, "unknown")], groupsOf([exact]), NOW);
    expect([blender?.farm, text]).toEqual([
      [],
      expect.stringMatching(/no worker of the farm has told of a Blender\.$/),
    ]);
    const any: Open = { ...exact, needs: needs() };
    expect(whyTaskWaits(stateOf(any), farm, groupsOf([any]), NOW)).not.toHaveProperty("blender");
  });

  it("separates the task's own rules from the workers', and says how many workers would fit without them", () => {
    const mine: Open = { id: 5, priority: 50, needs: needs(), blocklist: [] };
    const frames = (pending: number, leased: number) => ({ total: 9, pending, leased, done: 0, failed: 0, skipped: 0 });
    const of = (change: Partial<TaskDispatchState>, workers = [worker(1)]) =>
      whyTaskWaits(stateOf(mine, change), workers, [], NOW);
    const cases: [Partial<TaskDispatchState>, string, string][] = [
      [
        { claimable: 0, summary: summary(5, { status: "completed", frames: frames(0, 0) }) },
        "ended",
        "It has ended: completed.",
      ],
      [
        { claimable: 0, summary: summary(5, { status: "paused" }) },
        "paused",
        "It is paused. Without that 1 worker would take it now.",
      ],
      [
        { claimable: 0, summary: summary(5, { status: "rendering", frames: frames(4, 2) }) },
        "paused",
        "It is paused; 2 frames are still being rendered.",
      ],
      [
        {
          claimable: 0,
          summary: summary(5, { status: "waiting" }),
          waitsFor: [
            { task_id: 2, status: "rendering" },
            { task_id: 3, status: null },
          ],
        },
        "depends",
        "It waits for task 2 (rendering) and task 3 (deleted). Without that 1 worker would take it now.",
      ],
      [
        {
          claimable: 0,
          summary: summary(5, { status: "failed" }),
          waitsFor: [{ task_id: 3, status: null }],
          about: { deleted_dependencies: [3] },
        },
        "ended",
        "It has ended: failed. Task 3, which it waits for, was deleted: drop the dependency with `tablao drop-dependency 5 3`.",
      ],
      [
        { claimable: 0, summary: summary(5, { status: "completed" }), about: { outdated_source: 3 } },
        "ended",
        "It has ended: completed. It was made from an older version of task 3: make it again with `tablao requeue 5 --all`.",
      ],
      [
        {
          claimable: 0,
          summary: summary(5, { status: "completed" }),
          about: { outdated_source: 3, outdated_frames: "1-2" },
        },
        "ended",
        "It has ended: completed. Its frames 1-2 were made from an older version of task 3: make it again with `tablao requeue 5 --frames 1-2`.",
      ],
      [
        { claimable: 0, summary: summary(5, { status: "rendering", frames: frames(0, 2) }) },
        "all_leased",
        "All of its frames are given out: 2 frames are being rendered.",
      ],
    ];
    for (const [change, rule, text] of cases) expect(of(change)).toMatchObject({ rule, text, would_fit: 1 });
    expect(of({}, [])).toMatchObject({ rule: "no_workers", would_fit: 0 });
    const serving = worker(1, { tasks: [5], full: true });
    const rendering = { summary: summary(5, { status: "rendering" as const, frames: frames(3, 1) }) };
    expect(of(rendering, [serving])).toMatchObject({
      rule: "none",
      text: "It is being rendered; 3 frames wait for a free worker.",
    });
    expect(of({}, [worker(1, { tasks: [4], full: true })])).toMatchObject({
      rule: "workers_held",
      text: "No worker can take it: 1 worker busy.",
    });
  });
});
