/**
 * What a task does with the progress of the tasks it waits for. Pure. Cycles cannot arise: a task
 * depends only on tasks that exist when it is submitted, and its dependencies never change.
 */
import { parseFrameList } from "../../protocol/frame-list.ts";
import { EMPTY, intersect, minus, setOfList, union, type FrameSet } from "./frame-set.ts";
import { listFromText, noteTask, openedFrames, statusOf, type Ledger, type Terms, type Transition } from "./ledger.ts";
import { noteEnd } from "./settle.ts";
import type { DependencyProgress } from "../../rpc/task.ts";

/**
 * Apply the progress of a dependency. Opened frames are united, so progress that comes late or
 * twice does no harm; the state is that of the newest version. A dependency that is deleted before
 * it completed stops the task, which can never finish.
 */
export function applyDependencyProgress(t: Transition, progress: DependencyProgress): void {
  const dependency = t.ledger.dependencies.find((d) => d.task === progress.id);
  if (!dependency) return;
  const openedBefore = openedFrames(t.ledger);
  if (dependency.frames === "same") {
    const done = progress.state === "completed" ? wholeList(t.terms) : inList(t.terms, progress.done);
    dependency.opened = union(dependency.opened, done);
  }
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
    t.ledger.stopped = `task ${progress.id}, which this task waits for, was deleted`;
    t.ledger.error = t.ledger.stopped;
    noteTask(t, "changed", t.ledger.stopped);
    noteEnd(t);
  }
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
  if (!text) return EMPTY;
  const parsed = parseFrameList(text);
  const set = parsed.ok ? setOfList(parsed.value) : parsed;
  return set.ok ? intersect(set.value, wholeList(terms)) : EMPTY;
}

/**
 * The rule that a frame list breaks when its frames wait one by one, or null. Every opened interval
 * is stored, so a stepped list of more than MAX_INTERVALS frames cannot be opened frame by frame.
 */
export function whyNotFrameByFrame(frameList: string): string | null {
  const set = setOfList(listFromText(frameList).list);
  return set.ok ? null : set.error;
}
