/** The sentences for people in the answers of `GET …/why`. Pure. */
import { againHint, dropHint } from "../protocol/hints.ts";
import type { AboutTask } from "../rpc/registry.ts";
import type { TaskSummary } from "../protocol/task.ts";
import { buildsText, farmBlendersText, needText } from "../protocol/blender-text.ts";
import type { BlenderWhy, Missing, TaskWhy, WorkerHold } from "../protocol/why.ts";

export type WorkerRule = WorkerHold["rule"];

/** What keeps a worker from the task with id `task`, or from all work (null). */
export function workerText(
  hold: Pick<WorkerHold, "rule" | "missing" | "until_ms" | "task_id" | "reason">,
  task: number | null,
  nowMs: number,
): string {
  const which = hold.task_id === null ? "another task" : `task ${hold.task_id}`;
  switch (hold.rule) {
    case "none":
      return task === null
        ? `It gets ${which} as soon as it asks.`
        : "Nothing holds it: it gets frames as soon as it asks.";
    case "offline":
      return "It is not connected.";
    case "disabled":
      return "It is disabled.";
    case "draining":
      return hold.reason === undefined
        ? "It finishes what it has and takes nothing more."
        : `It is ${hold.reason}, and takes no work until somebody resumes it there.`;
    case "cannot":
      return lackText(hold.missing, task === null ? which : null);
    case "kept_off":
      if (hold.reason !== undefined)
        return `It gave ${task === null ? which : "this task"} back (${hold.reason}) and is held off for ${span(hold.until_ms, nowMs)}.`;
      return `It failed ${task === null ? which : "this task"} again and again and is blocklisted for ${span(hold.until_ms, nowMs)}.`;
    case "refused":
      return `${task === null ? capital(which) : "The task"} had nothing for it; it is offered again in ${span(hold.until_ms, nowMs)} at the latest.`;
    case "outranked":
      return `${capital(which)} goes first: it has a higher priority or is older.`;
    case "busy":
      return hold.task_id !== null && hold.task_id === task ? "It renders this task." : `It renders ${which}.`;
    case "nothing_pending":
      return "No task has frames to give out.";
  }
}

/** What `taskText` tells beside the rule. `counts`: workers by the rule that keeps them from the task. */
interface TaskFacts {
  counts: ReadonlyMap<WorkerRule, number>;
  waitsFor: TaskWhy["waits_for"];
  wouldFit: number;
  about: AboutTask;
  /** Of a task that needs a version of Blender. */
  blender?: BlenderWhy | undefined;
}

/** What holds a task back, and what the farm lacks for it. */
export function taskText(
  rule: TaskWhy["rule"],
  summary: Pick<TaskSummary, "id" | "status" | "frames">,
  facts: TaskFacts,
): string {
  return ruleText(rule, summary, facts) + (rule === "ended" ? "" : blenderText(facts));
}

/** What is said where no worker has the Blender that the task needs; empty where one has, and that is no reason. */
function blenderText({ blender, about }: TaskFacts): string {
  if (!blender) return "";
  const { needs, workers: able, fetch = 0, farm, builds = [] } = blender;
  if (able > fetch) return "";
  const bound = about.bound_blender === undefined ? "" : ", in which its first frames were rendered";
  const need = ` It needs ${needText(needs)}${bound}, and no worker has it`;
  if (fetch > 0) return `${need} yet: ${count(fetch, "worker fetches", "workers fetch")} it from the farm when needed.`;
  return `${need}: ${farmBlendersText(farm)}.${builds.length > 0 ? ` ${buildsText(builds)}` : ""}`;
}

function ruleText(
  rule: TaskWhy["rule"],
  { id, status, frames }: Pick<TaskSummary, "id" | "status" | "frames">,
  facts: TaskFacts,
): string {
  const fit = `${workers(facts.wouldFit)} would take it now.`;
  switch (rule) {
    case "none":
      return facts.wouldFit > 0
        ? `Nothing holds it: ${fit}`
        : `It is being rendered; ${count(frames.pending, "frame waits", "frames wait")} for a free worker.`;
    case "ended":
      return `It has ended: ${status}.${dependenciesText(id, facts.about)}`;
    case "paused":
      return frames.leased > 0
        ? `It is paused; ${count(frames.leased, "frame is", "frames are")} still being rendered.`
        : `It is paused. Without that ${fit}`;
    case "depends":
      return `It waits for ${list(facts.waitsFor.map(({ task_id, status: how }) => `task ${task_id} (${how ?? "deleted"})`))}. Without that ${fit}${dependenciesText(id, facts.about)}`;
    case "all_leased":
      return `All of its frames are given out: ${count(frames.leased, "frame is", "frames are")} being rendered.`;
    case "no_workers":
      return "No worker has joined this manager yet.";
    case "workers_held": {
      const parts = [...facts.counts]
        .toSorted((a, b) => b[1] - a[1])
        .map(([held, n]) => `${workers(n)} ${STATE[held]}`);
      return `No worker can take it: ${list(parts)}.`;
    }
  }
}

/** What is wrong with its dependencies, and what mends it; empty when nothing is. */
function dependenciesText(id: number, about: AboutTask): string {
  const { deleted_dependencies: deleted = [], outdated_source: source, outdated_frames: frames } = about;
  const each = deleted.map((task) => `Task ${task}, which it waits for, was deleted: ${dropHint(id, task)}.`);
  if (source !== undefined) {
    const what = frames === undefined ? "It was" : `Its frames ${frames} were`;
    each.push(`${what} made from an older version of task ${source}: ${againHint(id, frames)}.`);
  }
  return each.map((one) => ` ${one}`).join("");
}

/** How a worker is, by the rule that keeps it from the task. */
const STATE: Record<WorkerRule, string> = {
  none: "free",
  offline: "offline",
  disabled: "disabled",
  draining: "draining or paused",
  cannot: "without what it needs",
  kept_off: "blocklisted or held off",
  refused: "sent away a moment ago",
  outranked: "with something more urgent to do",
  busy: "busy",
  nothing_pending: "idle",
};

/** `needed`: the task that needs it; null where that is said already. */
function lackText(missing: readonly Missing[], needed: string | null): string {
  const others = missing.filter(({ at_least, needs }) => at_least === undefined && needs === undefined);
  const sentences =
    others.length > 0 ? [`It lacks ${list(others.map(what))}${needed === null ? "" : `, which ${needed} needs`}.`] : [];
  for (const { at_least, needs, is } of missing) {
    if (needs !== undefined) {
      const has = is === undefined || is === "" ? "this one did not say its version" : `this one has ${is}`;
      sentences.push(`${needed === null ? "The task" : capital(needed)} needs ${needText(needs)}; ${has}.`);
    }
    if (at_least === undefined) continue;
    const own = is === undefined || is === "" ? "this one did not say its version" : `this one is ${is}`;
    sentences.push(
      `${needed === null ? "The task" : capital(needed)} needs an agent of version ${at_least} or newer; ${own}.`,
    );
  }
  return sentences.join(" ");
}

function what({ kind, name }: Missing): string {
  switch (kind) {
    case "program":
      return `the program ${name}`;
    case "tag":
      return `the tag ${name}`;
    case "exec":
      return "permission to run commands (--allow-exec)";
    case "autoexec":
      return "permission to run scripts inside files (--allow-autoexec)";
  }
}

function list(parts: readonly string[]): string {
  if (parts.length < 2) return parts[0] ?? "nothing";
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function workers(n: number): string {
  return n === 0 ? "no worker" : count(n, "worker", "workers");
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

function span(untilMs: number | null, nowMs: number): string {
  const seconds = Math.max(1, Math.ceil(((untilMs ?? nowMs) - nowMs) / 1_000));
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
