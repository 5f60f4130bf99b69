/**
 * What people do to a task: pause, resume, cancel, requeue, skip. Pure; a refused action changes
 * nothing.
 */
import { ok, type Result } from "../../lib/result.ts";
import { ALL_FRAMES, isEnded } from "../../protocol/constants.ts";
import { countFrames, formatFrameList, framesOf, indexOfFrame, parseFrameList } from "../../protocol/frame-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { TaskAction, TaskPatch } from "../../protocol/task.ts";
import { giveUp } from "./give-up.ts";
import { filesVersion, hasSeenAll } from "./files-version.ts";
import { EMPTY, format, frames, intersect, MAX_INTERVALS, minus, setOf, setOfList, size, union } from "./frame-set.ts";
import {
  isOfTask,
  lastGrantEndMs,
  noteAllFrames,
  noteTask,
  openedFrames,
  stateOf,
  statusOf,
  type Ledger,
  type Transition,
} from "./ledger.ts";
import { cancelLeases, expire, noteEnd } from "./settle.ts";
import { noteStored } from "./stored-bytes.ts";
import { positionOf } from "./visit-order.ts";
import { dropAllWarnings } from "./warnings.ts";

/**
 * The most frames that one requeue or skip may name. The entry of each is read, so it bounds the
 * rows of one request.
 */
const MAX_NAMED_FRAMES = 20_000;

/**
 * The most garbage that may wait to be deleted. Each takes about 70 bytes of the record's row,
 * which may hold 2 MB.
 */
const MAX_GARBAGE = 10_000;

/** The entries of all frames, for a requeue of the whole task. */
export interface AllFrames {
  /** Frames that stopped as failed. */
  failedFrames(): number[];
  /** Forget every entry. */
  clear(): void;
}

/** Which frames a requeue or skip is for, as a patch says it. */
export type Named = Pick<TaskPatch, "frames" | "files_version">;

/** Carry out one action. `actor` goes into the history. */
export function act(
  t: Transition,
  allFrames: AllFrames,
  action: TaskAction,
  named: Named,
  actor: string,
): Result<null, Refusal> {
  expire(t);
  switch (action) {
    case "pause":
      return pause(t, actor);
    case "resume":
      return resume(t, actor);
    case "cancel":
      return cancel(t, actor);
    case "requeue":
      if (named.frames === undefined) return requeueUnfinished(t, allFrames, actor);
      if (named.frames === ALL_FRAMES) return requeueAll(t, allFrames, named.files_version, actor);
      return requeueFrames(t, named.frames, named.files_version, actor);
    case "skip":
      return skipFrames(t, named.frames ?? "", actor);
  }
}

function pause(t: Transition, actor: string): Result<null, Refusal> {
  const status = statusOf(t.terms, t.ledger);
  if (isEnded(status)) return refuse("conflict", `a ${status} task cannot be paused`, "status");
  if (!t.ledger.paused) {
    t.ledger.paused = true;
    noteTask(t, "paused", actor);
  }
  return ok(null);
}

function resume(t: Transition, actor: string): Result<null, Refusal> {
  if (statusOf(t.terms, t.ledger) === "canceled")
    return refuse("conflict", "a canceled task cannot be resumed: requeue it", "status");
  if (t.ledger.paused) {
    t.ledger.paused = false;
    noteTask(t, "resumed", actor);
  }
  return ok(null);
}

function cancel(t: Transition, actor: string): Result<null, Refusal> {
  const status = statusOf(t.terms, t.ledger);
  if (status === "completed") return refuse("conflict", "a completed task cannot be canceled", "status");
  if (status === "canceled") return ok(null);
  t.ledger.canceled = true;
  cancelLeases(t, "canceled");
  noteTask(t, "canceled", actor);
  return ok(null);
}

/**
 * Requeue what failed or was canceled: failed frames get new tries, a canceled or stopped task goes
 * on, and done frames stay done. Refused when there is nothing of that kind (P14).
 */
function requeueUnfinished(t: Transition, allFrames: AllFrames, actor: string): Result<null, Refusal> {
  const { ledger, table } = t;
  if (!hasFailed(t))
    return refuse(
      "conflict",
      "no frame of this task failed or was canceled. Finished frames are rendered again only when they are named: " +
        "with `--frames 1-5`, or all with `--all`",
      "frames",
    );
  const failed = setOf(allFrames.failedFrames());
  const again = union(failed, ledger.retry);
  const ready = union(ledger.ready, again);
  if (ready.length > MAX_INTERVALS) return tooScattered("failed frames", "status");
  ledger.canceled = false;
  restart(t);
  for (const frame of frames(again)) table.set(frame, undefined);
  ledger.counts.failed = 0;
  ledger.retry = EMPTY;
  ledger.ready = ready;
  noteTask(t, "requeued", actor, failed);
  noteEnd(t);
  return ok(null);
}

/**
 * Whether the task, or frames of it, failed or were canceled. Of a task that goes on, a failure that
 * was tried again, or keeps a worker off it, counts too.
 */
function hasFailed({ terms, ledger }: Transition): boolean {
  const status = statusOf(terms, ledger);
  if (isEnded(status)) return status !== "completed";
  return ledger.counts.failed > 0 || ledger.retry.length > 0 || ledger.blames.length > 0;
}

/** Render all frames again, except those that are being rendered. `seen`: the version of the files. */
function requeueAll(
  t: Transition,
  allFrames: AllFrames,
  seen: string | undefined,
  actor: string,
): Result<null, Refusal> {
  const { ledger, terms } = t;
  if (ledger.counts.leased > 0) return requeueFrames(t, formatFrameList(terms.list), seen, actor);
  const allowed = mayGiveUp(t, ledger.counts.done, seen);
  if (!allowed.ok) return allowed;
  ledger.canceled = false;
  restart(t);
  if (terms.filesPerFrame > 0) discardAllDone(t);
  allFrames.clear();
  const opened = openedFrames(ledger);
  ledger.cursor = opened === null ? 0 : Number.MAX_SAFE_INTEGER;
  ledger.ready = opened ?? EMPTY;
  ledger.retry = EMPTY;
  ledger.skipped = EMPTY;
  ledger.counts = { leased: 0, done: 0, failed: 0, skipped: 0 };
  ledger.seconds = 0;
  noteStored(ledger, 0, null);
  dropAllWarnings(ledger);
  ledger.frame_current = null;
  // Without the frames in this event a reader of the history would see frames done twice (P3, P7).
  noteAllFrames(t, "requeued", actor);
  noteEnd(t);
  return ok(null);
}

/**
 * Whether so many finished frames may be rendered again, whose files are then deleted: the caller must
 * have seen all files that are there now (P14).
 */
function mayGiveUp({ terms, ledger }: Transition, finished: number, seen: string | undefined): Result<null, Refusal> {
  if (finished === 0 || (seen !== undefined && hasSeenAll(ledger, seen))) return ok(null);
  return seen === undefined
    ? refuse(
        "conflict",
        `takes ${finished} finished frames, whose files would be deleted: send the \`files_version\` of the task that ` +
          "you saw. Command lines of Tablao 0.1 cannot do this",
        "files_version",
      )
    : refuse(
        "conflict",
        `frames of task ${terms.id} have been finished since (files version ${filesVersion(ledger)}, not ${seen}): ` +
          "look at them, and ask again",
        "files_version",
      );
}

/**
 * Give these frames new tries, in whatever state they are. Leased ones are left alone. `seen`: the
 * version of the files that the caller saw, which finished frames need.
 */
function requeueFrames(t: Transition, text: string, seen: string | undefined, actor: string): Result<null, Refusal> {
  const { ledger, table } = t;
  if (ledger.canceled) return refuse("conflict", "the task is canceled: requeue the task first", "status");
  const named = namedFrames(t, text);
  if (!named.ok) return named;
  const finished = named.value.filter((frame) => table.get(frame)?.state === "done").length;
  const allowed = mayGiveUp(t, finished, seen);
  if (!allowed.ok) return allowed;
  const attempts = new Set(named.value.map((frame) => table.get(frame)?.attempt));
  if (t.terms.filesPerFrame > 0 && ledger.sweeps.length + attempts.size > MAX_GARBAGE)
    return refuse(
      "conflict",
      "too many files would have to be deleted at once: name fewer frames, or wait a minute",
      "frames",
    );
  const again = named.value.filter((frame) => !["leased", "pending"].includes(stateOf(t, frame)));
  const set = setOf(again);
  const skipped = minus(ledger.skipped, set);
  const reached = setOf(again.filter((frame) => wasReached(t, frame)));
  const ready = union(ledger.ready, intersect(reached, openedFrames(ledger) ?? set));
  if (Math.max(skipped.length, ready.length) > MAX_INTERVALS)
    return tooScattered("frames asked for again or skipped", "frames");
  const done: number[] = [];
  for (const frame of again) {
    const entry = table.get(frame);
    if (entry?.state === "done") {
      done.push(frame);
      continue;
    }
    if (entry?.state === "failed") ledger.counts.failed--;
    else ledger.counts.skipped--;
    table.set(frame, undefined);
  }
  giveUp(t, done, () => undefined);
  ledger.skipped = skipped;
  ledger.ready = ready;
  restart(t);
  noteTask(t, "requeued", actor, set);
  return ok(null);
}

/**
 * Whether the cursor has passed the frame. One that it has not passed is given out there; in
 * `ready` it would be twice.
 */
function wasReached({ ledger, terms }: Transition, frame: number): boolean {
  return positionOf(terms.order, terms.total, indexOfFrame(terms.list, frame)) < ledger.cursor;
}

/** Skip these frames, which then count as ended. Only pending and failed frames can be skipped. */
function skipFrames(t: Transition, text: string, actor: string): Result<null, Refusal> {
  const { ledger, table } = t;
  const named = namedFrames(t, text);
  if (!named.ok) return named;
  const states = named.value.map((frame) => [frame, stateOf(t, frame)] as const);
  const busy = states.filter(([, state]) => state === "leased" || state === "done").map(([frame]) => frame);
  if (busy.length > 0)
    return refuse("conflict", `frames ${format(setOf(busy)).slice(0, 100)} are being rendered or done`, "frames");
  const set = setOf(states.filter(([, state]) => state !== "skipped").map(([frame]) => frame));
  const skipped = union(ledger.skipped, set);
  if (skipped.length > MAX_INTERVALS) return tooScattered("skipped frames", "frames");
  const before = statusOf(t.terms, ledger);
  for (const [frame, state] of states) {
    if (state === "failed") ledger.counts.failed--;
    if (state !== "skipped") table.set(frame, undefined);
  }
  ledger.ready = minus(ledger.ready, set);
  ledger.retry = minus(ledger.retry, set);
  ledger.skipped = skipped;
  ledger.counts.skipped += size(set);
  noteTask(t, "skipped", actor, set);
  if (statusOf(t.terms, ledger) !== before) noteEnd(t);
  return ok(null);
}

/** The frame list changes before the first lease. What was skipped is asked for again. */
export function changeFrames(ledger: Ledger): Result<null, Refusal> {
  if (openedFrames(ledger) !== null)
    return refuse("conflict", "the frames of a task that waits frame by frame cannot be changed", "settings");
  ledger.skipped = EMPTY;
  ledger.counts.skipped = 0;
  ledger.cursor = 0;
  ledger.ready = EMPTY;
  return ok(null);
}

function namedFrames(t: Transition, text: string): Result<number[], Refusal> {
  const list = parseFrameList(text);
  if (!list.ok) return refuse("invalid", list.error, "frames");
  if (countFrames(list.value) > MAX_NAMED_FRAMES) {
    return refuse(
      "invalid",
      `names more than ${MAX_NAMED_FRAMES} frames; act on the whole task, or on fewer at a time`,
      "frames",
    );
  }
  const pieces = setOfList(list.value);
  if (!pieces.ok) return refuse("invalid", pieces.error, "frames");
  const all = [...framesOf(list.value)];
  const foreign = all.filter((frame) => !isOfTask(t.terms, frame));
  if (foreign.length > 0)
    return refuse("invalid", `names ${format(setOf(foreign)).slice(0, 100)}, which the task does not have`, "frames");
  return ok(all);
}

/** The refusal of a change that would make a set of too many intervals: see MAX_INTERVALS. */
function tooScattered(what: string, field: string): { ok: false; error: Refusal } {
  const detail = `the ${what} would fall into more than ${MAX_INTERVALS} pieces: name ranges, or a part at a time`;
  return refuse("conflict", detail, field);
}

/** A person has looked at the task: earlier failures no longer count against it or its workers. */
function restart(t: Transition): void {
  t.ledger.stopped = null;
  t.ledger.error = null;
  t.ledger.streak = { failures: 0, workers: [] };
  t.ledger.blames = [];
}

/**
 * Everything uploaded so far is garbage: one entry without frames stands for all attempts up to
 * now.
 */
function discardAllDone(t: Transition): void {
  t.ledger.sweeps = [{ attempt: t.ledger.attempt, frames: EMPTY, due_ms: lastGrantEndMs(t) }];
}
