/**
 * What a task does with the progress of the tasks it waits for. Pure. Cycles cannot arise: a task
 * depends only on tasks that exist when it is submitted, and later a dependency may only be dropped.
 */
import { ok, type Result } from "../../lib/result.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { EMPTY, intersect, minus, setOfList, setOfText, union, type FrameSet } from "./frame-set.ts";
import {
  listFromText,
  noteTask,
  openedFrames,
  statusOf,
  type DependencyState,
  type Ledger,
  type Terms,
  type Transition,
} from "./ledger.ts";
import { endLeasesOf, noteEnd } from "./settle.ts";
import type { DependencyProgress } from "../../rpc/task.ts";

/**
 * Apply the progress of a dependency. What is older than what is known is ignored: a newer message
 * holds all that an older one may have brought (`news.ts`). A dependency that is deleted before it
 * completed stops the task, which can never finish.
 */
export function applyDependencyProgress(t: Transition, progress: DependencyProgress): void {
  const dependency = t.ledger.dependencies.find((d) => d.task === progress.id);
  if (!dependency) return;
  const openedBefore = openedFrames(t.ledger);
  if (dependency.frames === "same" && progress.version >= dependency.version)
    takeFrames(t, dependency, progress, openedBefore ?? EMPTY);
  if (progress.version > dependency.version) {
    dependency.version = progress.version;
    // A dependency that had completed is missed only by a task that still reads its files.
    const isRead = dependency.task === t.terms.inputTask && statusOf(t.terms, t.ledger) !== "completed";
    if (dependency.state !== "completed" || progress.state === "open" || isRead) dependency.state = progress.state;
  }
  if (progress.version >= dependency.version && progress.files_version !== undefined)
    dependency.files_version = progress.files_version;
  const opened = openedFrames(t.ledger);
  if (opened && openedBefore)
    t.ledger.ready = union(t.ledger.ready, minus(minus(opened, openedBefore), t.ledger.skipped));
  if (dependency.state === "gone" && t.ledger.stopped === null && statusOf(t.terms, t.ledger) !== "completed") {
    t.ledger.stopped = deletedText(progress.id);
    t.ledger.error = t.ledger.stopped;
    noteTask(t, "changed", t.ledger.stopped);
    noteEnd(t);
  }
}

/**
 * Open the frames that the dependency has done, and hold again those that it took back. Leases of those
 * end, and what is done of them is out of date. `reached`: the frames that may have been given out.
 */
function takeFrames(t: Transition, dependency: DependencyState, progress: DependencyProgress, reached: FrameSet): void {
  const { opened, closed = EMPTY } = dependency;
  const done = progress.state === "completed" ? wholeList(t.terms) : inList(t.terms, progress.done);
  const again = (progress.taken_back ?? [])
    .filter(({ version }) => version > dependency.version)
    .map(({ frames }) => inList(t.terms, frames))
    .reduce(union, EMPTY);
  const missing = progress.whole ? minus(minus(opened, done), closed) : EMPTY;
  const taken = intersect(opened, union(again, missing));
  dependency.opened = union(opened, done);
  if (taken.length > 0 || closed.length > 0) dependency.closed = minus(union(closed, taken), done);
  if (taken.length === 0) return;
  endLeasesOf(t, taken, `task ${progress.id} has taken its frames back`);
  const { ready, retry, skipped } = t.ledger;
  const isPending = union(union(ready, retry), skipped);
  dependency.outdated = union(dependency.outdated ?? EMPTY, minus(intersect(taken, reached), isPending));
}

/** These frames are given out anew: they are made of what is there now. */
export function noteGivenOut({ dependencies }: Ledger, frames: FrameSet): void {
  for (const dependency of dependencies)
    if (dependency.outdated) dependency.outdated = minus(dependency.outdated, frames);
}

/**
 * The frames of this task that were rendered before a dependency took its own back, and the first such
 * dependency; null when there are none.
 */
export function outdatedFrames({
  dependencies,
  ready,
  retry,
  skipped,
}: Ledger): { task: number; frames: FrameSet } | null {
  const isPending = union(union(ready, retry), skipped);
  const each = dependencies.flatMap(({ task, outdated = EMPTY }) => {
    const frames = minus(outdated, isPending);
    return frames.length > 0 ? [{ task, frames }] : [];
  });
  const [first] = each;
  return first ? { task: first.task, frames: each.map(({ frames }) => frames).reduce(union) } : null;
}

/** Why a task stopped whose dependency was deleted. Stored, and compared with what is stored. */
function deletedText(task: number): string {
  return `task ${task}, which this task waits for, was deleted`;
}

/**
 * No longer wait for a task, whatever has become of it: a person has said so. Frames that only it kept
 * shut are pending like others. A task that stopped because it was deleted goes on, if no other one was.
 */
export function dropDependency(t: Transition, task: number): Result<null, Refusal> {
  const { ledger, terms } = t;
  const dropped = ledger.dependencies.find((one) => one.task === task);
  if (!dropped) return refuse("conflict", `task ${terms.id} does not depend on task ${task}`, "drop_dependency");
  if (task === terms.inputTask)
    return refuse(
      "conflict",
      `task ${terms.id} is made of the files of task ${task}, and cannot be made without them`,
      "drop_dependency",
    );
  const openedBefore = openedFrames(ledger);
  ledger.dependencies = ledger.dependencies.filter((one) => one !== dropped);
  if (openedBefore) {
    const opened = openedFrames(ledger) ?? wholeList(terms);
    ledger.ready = union(ledger.ready, minus(minus(opened, openedBefore), ledger.skipped));
  }
  if (ledger.stopped === deletedText(task)) {
    const other = ledger.dependencies.find(({ state }) => state === "gone");
    ledger.stopped = other ? deletedText(other.task) : null;
    ledger.error = ledger.stopped;
  }
  return ok(null);
}

/** Ids of deleted tasks that this one waits for, and that can be dropped. */
export function deletedDependencies({ inputTask }: Terms, { dependencies }: Ledger): number[] {
  return dependencies.flatMap(({ task, state }) => (state === "gone" && task !== inputTask ? [task] : []));
}

/** Ids of the tasks that this one still waits for. */
export function waitsFor(ledger: Ledger): number[] {
  return ledger.dependencies.filter((d) => d.state !== "completed").map((d) => d.task);
}

function wholeList(terms: Terms): FrameSet {
  const set = setOfList(terms.list);
  return set.ok ? set.value : EMPTY;
}

/**
 * The frames of a list that this task has, too; a range in the list may cross frames that it does
 * not have.
 */
function inList(terms: Terms, text: string | null): FrameSet {
  return text ? intersect(setOfText(text), wholeList(terms)) : EMPTY;
}

/**
 * The rule that a frame list breaks when its frames wait one by one, or null. Every opened interval
 * is stored, so a stepped list of more than MAX_INTERVALS frames cannot be opened frame by frame.
 */
export function whyNotFrameByFrame(frameList: string): string | null {
  const set = setOfList(listFromText(frameList).list);
  return set.ok ? null : set.error;
}
