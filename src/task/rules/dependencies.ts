/**
 * What a task does with news of the tasks it waits for, and what it tells those that wait for it. Pure.
 * Cycles cannot arise: a task may only depend on tasks that exist when it is submitted, and never changes that.
 */
import { parseFrameList } from "../../protocol/frame-list.ts";
import { EMPTY, intersect, minus, setOfList, union, type FrameSet } from "./frame-set.ts";
import { listFromText, noteTask, openedFrames, statusOf, type Ledger, type Terms, type Transition } from "./ledger.ts";
import { noteEnd } from "./settle.ts";
import type { DependencyProgress } from "../../rpc/task.ts";

/**
 * Take news. Opened frames are united, so late or repeated news does no harm; the state follows the newest version only.
 * A dependency that is gone before it completed stops the task: nobody can ever finish it.
 */
export function applyDependencyProgress(t: Transition, news: DependencyProgress): void {
  const dependency = t.ledger.dependencies.find((d) => d.task === news.id);
  if (!dependency) return;
  const openedBefore = openedFrames(t.ledger);
  if (dependency.frames === "same") {
    const done = news.state === "completed" ? wholeList(t.terms) : inList(t.terms, news.done);
    dependency.opened = union(dependency.opened, done);
  }
  if (news.version > dependency.version) {
    dependency.version = news.version;
    if (dependency.state !== "completed" || news.state === "open") dependency.state = news.state;
  }
  const opened = openedFrames(t.ledger);
  if (opened && openedBefore)
    t.ledger.ready = union(t.ledger.ready, minus(minus(opened, openedBefore), t.ledger.skipped));
  if (dependency.state === "gone" && t.ledger.stopped === null && statusOf(t.terms, t.ledger) !== "completed") {
    t.ledger.stopped = `task ${news.id}, which this task waits for, was deleted`;
    t.ledger.error = t.ledger.stopped;
    noteTask(t, "changed", t.ledger.stopped);
    noteEnd(t);
  }
}

/** Ids of the tasks it still waits for. */
export function waitsFor(ledger: Ledger): number[] {
  return ledger.dependencies.filter((d) => d.state !== "completed").map((d) => d.task);
}

function wholeList(terms: Terms): FrameSet {
  const set = setOfList(terms.list);
  return set.ok ? set.value : EMPTY;
}

/** The part of a frame list that is also this task's; a range may bridge frames the task does not have. */
function inList(terms: Terms, text: string | null): FrameSet {
  if (!text) return EMPTY;
  const parsed = parseFrameList(text);
  const set = parsed.ok ? setOfList(parsed.value) : parsed;
  return set.ok ? intersect(set.value, wholeList(terms)) : EMPTY;
}

/**
 * Frame-by-frame waiting keeps one interval per opened piece, so a stepped list of more than MAX_INTERVALS frames cannot be
 * opened frame by frame. The rule it breaks, or null.
 */
export function whyNotFrameByFrame(frameList: string): string | null {
  const set = setOfList(listFromText(frameList).list);
  return set.ok ? null : set.error;
}
