/** What happens in a run, and when: all of it is derived from the seed before the run begins. */
import type { TaskSubmit } from "../../src/protocol/task.ts";
import type { Habits } from "./agent.ts";
import type { Rng } from "./rng.ts";
import { HOW, type Service } from "./manager-faults.ts";

export type Event = { atMs: number } & (
  | { kind: "kill manager" }
  | { kind: "abort"; what: number | "registry" }
  | { kind: "clock"; byMs: number }
  | { kind: "service"; service: Service; rate: number; how: (typeof HOW)[number][]; forMs: number }
  | { kind: "kill agent"; agent: number; forMs: number }
  | { kind: "freeze agent"; agent: number; forMs: number }
  | { kind: "patch"; task: number; body: Record<string, unknown> }
  | { kind: "delete"; task: number }
);

export interface Scenario {
  /** `frames`: the task's frame list, which is in its settings as well. */
  tasks: { frames: string; submit: Partial<TaskSubmit> & { type: string } }[];
  agents: Habits[];
  /** Probability that the network does something to a request. */
  networkRate: number;
  /** Faults happen in this time; then all of them end. */
  forMs: number;
  events: Event[];
}

/** In seconds: the shortest lease that the product accepts. */
const LEASE_S = 5;

/** Tasks are numbered from 1 in the order of `tasks`, because a run has a manager of its own. */
export function scenarioOf(rng: Rng): Scenario {
  const forMs = 7_000;
  const tasks = tasksOf(rng.fork("tasks"));
  const agents = Array.from({ length: 4 }, (_, i) => habitsOf(rng.fork(`agent/${i}`)));
  const events = [
    ...managerEvents(rng.fork("manager"), forMs, tasks.length),
    ...agentEvents(rng.fork("agents"), forMs, agents.length),
    ...peopleEvents(rng.fork("people"), forMs, tasks),
  ].toSorted((a, b) => a.atMs - b.atMs);
  return { tasks, agents, networkRate: rng.pick([0.05, 0.15, 0.25, 0.35]), forMs, events };
}

function tasksOf(rng: Rng): Scenario["tasks"] {
  const demo = (frames: string, more: Partial<TaskSubmit> = {}): Scenario["tasks"][number] => ({
    frames,
    submit: {
      type: "demo_render",
      settings: { frames, width: 16, height: 16 },
      priority: rng.pick([10, 50, 50, 90]),
      chunk: rng.pick([1, 1, 2, 3, 5, "auto"] as const),
      order: rng.pick(["ascending", "preview"] as const),
      lease_s: LEASE_S,
      tries: 20,
      ...more,
    },
  });
  const after = { task: 1, frames: rng.pick(["all", "same"] as const) };
  return [
    demo("1-10"),
    demo(rng.pick(["1-13:2,20-23", "-3-8", "100-111"])),
    demo("1-5", { depends_on: [after] }),
    demo("1-12", { type: "print_string", settings: { frames: "1-12", text: "x" }, chunk: 4 }),
    demo("1-6"),
  ];
}

function habitsOf(rng: Rng): Habits {
  return {
    renderMs: rng.pick<[number, number]>([
      [10, 80],
      [50, 300],
      [200, 900],
    ]),
    fail: rng.pick([0, 0, 0.03]),
    release: rng.pick([0, 0.05]),
    careful: rng.chance(0.3),
    idleMs: 400,
  };
}

function managerEvents(rng: Rng, forMs: number, tasks: number): Event[] {
  const events: Event[] = [];
  const at = (): number => rng.int(300, forMs - 500);
  for (let n = rng.pick([0, 0, 1, 1, 2]); n > 0; n--) events.push({ atMs: at(), kind: "kill manager" });
  for (let n = rng.int(0, 5); n > 0; n--)
    events.push({ atMs: at(), kind: "abort", what: rng.chance(0.25) ? "registry" : rng.int(1, tasks) });
  for (let n = rng.pick([0, 0, 1, 2]); n > 0; n--)
    events.push({ atMs: at(), kind: "clock", byMs: rng.pick([-2_000, -300, 400, 3_000, 8_000]) });
  for (const service of ["d1", "r2", "task", "registry"] as const) {
    if (rng.chance(0.5)) continue;
    const how = HOW.filter(() => rng.chance(0.6));
    const rate = rng.pick([0.2, 0.5, 1]);
    events.push({
      atMs: rng.int(0, forMs - 3_000),
      kind: "service",
      service,
      rate: service === "d1" || service === "r2" ? rate : rate / 2,
      how: how.length > 0 ? how : ["refuse"],
      forMs: rng.int(500, 4_000),
    });
  }
  return events;
}

function agentEvents(rng: Rng, forMs: number, agents: number): Event[] {
  const events: Event[] = [];
  for (let n = rng.int(0, 3); n > 0; n--)
    events.push({
      atMs: rng.int(200, forMs),
      kind: "kill agent",
      agent: rng.int(0, agents - 1),
      forMs: rng.int(100, 4_000),
    });
  // Longer than a lease: when it thaws, its lease belongs to another worker.
  for (let n = rng.int(0, 2); n > 0; n--)
    events.push({
      atMs: rng.int(200, 3_000),
      kind: "freeze agent",
      agent: rng.int(0, agents - 1),
      forMs: rng.int(LEASE_S * 1_000 + 200, LEASE_S * 1_000 + 2_000),
    });
  return events;
}

/** Whether finished frames may be among what this patch names: then it must say which files it saw. */
export function mayTakeFinished(patch: Record<string, unknown>): boolean {
  return patch["status"] === "requeue" && patch["frames"] !== undefined;
}

/** Frames that users requeue, by the task's frame list. */
const ASKED: Record<string, string[]> = {
  "1-10": ["1", "2-5", "3,7"],
  "1-13:2,20-23": ["1", "3,20-21"],
  "-3-8": ["-3--1,4", "0"],
  "100-111": ["101-104", "111"],
  "1-5": ["1-3", "5"],
  "1-12": ["2-9", "12"],
};

function peopleEvents(rng: Rng, forMs: number, tasks: { frames: string }[]): Event[] {
  const events: Event[] = [];
  const at = (): number => rng.int(500, forMs - 500);
  for (let n = rng.int(0, 5); n > 0; n--) {
    // The last task is left for deletion.
    const task = rng.int(1, tasks.length - 1);
    const frames = rng.pick(ASKED[tasks[task - 1]!.frames] ?? ["1"]);
    const body = rng.pick<Record<string, unknown>>([
      { status: "pause" },
      { status: "resume" },
      { status: "cancel" },
      { status: "requeue" },
      { status: "requeue", frames },
      { status: "requeue", frames: "all" },
      { priority: rng.int(1, 99) },
    ]);
    events.push({ atMs: at(), kind: "patch", task, body });
  }
  if (rng.chance(0.5)) events.push({ atMs: at(), kind: "delete", task: tasks.length });
  return events;
}
