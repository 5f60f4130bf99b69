/**
 * Versions of Blender in a run in virtual time: which ones each worker has, tasks that need some, and what
 * people do with these tasks. In some runs no worker has what a task needs until one joins in the end.
 */
import { mayRender, type Machine, type Need } from "../blender-rules.ts";
import type { Event, Scenario } from "../scenario.ts";
import type { Rng } from "../rng.ts";

export interface BlenderWorld {
  /** One for each agent. */
  machines: Machine[];
  tasks: (Scenario["tasks"][number] & { need: Need })[];
  /** What people do with the tasks. */
  events: Event[];
}

const SETS: readonly (readonly string[])[] = [
  ["3.4.1"],
  ["4.2.3"],
  ["4.5.15"],
  ["4.5.3", "3.4.1"],
  ["5.0.1"],
  ["5.0.1", "4.5.15"],
  ["5.0.0", "4.5.3", "4.2.3"],
  [],
];
const EXACT = ["3.4", "4.2", "4.5", "5.0"] as const;
const AT_LEAST = ["3.4+", "3.4+", "4.2+", "5.0+"] as const;
const FRAMES = "1-5";

/**
 * The versions of a third of the runs; in the others no worker has a Blender. `first`: the number of the first
 * of these tasks.
 */
export function blendersOf(rng: Rng, agents: number, first: number, forMs: number): BlenderWorld {
  const machines = Array.from({ length: agents }, (): Machine => {
    const release = rng.chance(0.2) ? "0.1.0" : "0.2.0";
    const blenders = rng.pick(SETS);
    return { release, blenders: release === "0.1.0" ? blenders.slice(0, 1) : blenders };
  });
  if (!rng.chance(1 / 3)) return { machines: machines.map((one) => ({ ...one, blenders: [] })), tasks: [], events: [] };
  const needs: Need[] = [rng.pick(EXACT), rng.pick(AT_LEAST), rng.pick(["any", undefined])];
  const tasks = needs.map((need) => ({
    need,
    frames: FRAMES,
    submit: {
      type: "blender_render",
      settings: { file: "/mnt/shot.blend", frames: FRAMES, ...(need !== undefined && { blender: need }) },
      priority: rng.pick([10, 50, 95, 95]),
      chunk: rng.pick([1, 1, 2] as const),
      lease_s: 5,
      tries: 20,
    },
  }));
  const events = tasks.flatMap((_, i) => eventsOf(rng.fork(`people/${i}`), first + i, forMs));
  return { machines, tasks, events };
}

/** All of a task is requeued now and then: then another minor version may begin. */
function eventsOf(rng: Rng, task: number, forMs: number): Event[] {
  const bodies = [
    { status: "requeue", frames: "all" },
    { status: "requeue", frames: "all" },
    { status: "requeue", frames: "2-4" },
    { status: "pause" },
    { status: "resume" },
    { status: "cancel" },
  ];
  return Array.from({ length: rng.int(0, 3) }, () => ({
    atMs: rng.int(500, forMs - 500),
    kind: "patch",
    task,
    body: rng.pick(bodies),
  }));
}

/** Whether an agent can do a task of this need: one of 0.1 knows no plan that names a version. */
export function canRender(need: Need, { blenders, release }: Machine): boolean {
  const isFree = need === undefined || need === "any";
  return (isFree || release !== "0.1.0") && blenders.some((version) => mayRender(need, version));
}

/** A worker that can do a task of this need. */
export function rescuer(need: Need): Machine {
  const version = need === undefined || need === "any" ? "4.5" : need.replace("+", "");
  return { release: "0.2.0", blenders: [`${version}.9`] };
}
