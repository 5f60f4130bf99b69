/**
 * The lease rules after a claim: renew, complete, fail, release, expire, cancel. Pure; time is an
 * argument.
 *
 * - A lease is live while it is in `ledger.leases`. It is over when the clock passes `until_ms`,
 *   even if no alarm has run: every transition of a lease call expires leases first.
 * - A call names lease and attempt. When no live lease of that worker has both, it is refused with
 *   `lease_lost` and changes nothing (P2).
 * - The exception is a repeated completion: it is recognised from the frame table, and answered as
 *   the first time (P3).
 */
import { ok, type Result } from "../../lib/result.ts";
import { grantEndMs, type Fault } from "../../protocol/constants.ts";
import type { ReleaseCause } from "../../protocol/lease.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { OutputFile } from "../../protocol/task.ts";
import { measured } from "./chunking.ts";
import { holdOff, recordFailures, recordRefusals, resetFailures } from "./failure.ts";
import {
  EMPTY,
  frames as framesIn,
  format,
  has,
  intersect,
  minus,
  setOf,
  size,
  take,
  union,
  type FrameSet,
} from "./frame-set.ts";
import { countedBytes, noteStored } from "./stored-bytes.ts";
import { addSeconds } from "./tally.ts";
import type { LiveLease } from "./lease-index.ts";
import { changed, unchanged, type Outcome } from "./transition.ts";
import { failFlat, flatAmong, giveUpFlat } from "./strict-colours.ts";
import { VERDICTS } from "./verdicts.ts";
import { noteColours, noteWarnings } from "./warnings.ts";
import { noteLease, noteTask, statusOf, type Transition } from "./ledger.ts";

/** A frame that a worker has rendered. The caller has checked its files against their receipts. */
export interface RenderedFrame {
  frame: number;
  seconds: number;
  files: OutputFile[];
  /** What people should know of it. Absent: nothing. */
  warnings?: readonly string[];
  /** Whether its picture has one colour only. Absent: not known. */
  oneColour?: boolean;
}

export interface LeaseRef {
  worker: number;
  leaseId: string;
  attempt: number;
}

/**
 * Extend a lease, and commit what is done so far. An extension alone is written only when less than
 * half of the stored lease is left: a restart then forgets at most half a lease.
 */
export function renew(t: Transition, ref: LeaseRef, done: readonly RenderedFrame[]): Outcome<LiveLease> {
  expire(t);
  const lease = liveLease(t, ref);
  if (!lease.ok) return lease;
  const checked = checkDone(t, lease.value, done);
  if (!checked.ok) return checked;
  commit(t, lease.value, checked.value);
  t.ledger.leases.change(lease.value, { until_ms: t.nowMs + t.terms.leaseMs });
  const mustWrite = checked.value.length > 0 || lease.value.stored_ms - t.nowMs < t.terms.leaseMs / 2;
  return mustWrite ? changed(lease.value) : unchanged(lease.value);
}

/**
 * End a lease whose frames are all done. `repeat` says that this call had been carried out before.
 */
export function complete(
  t: Transition,
  ref: LeaseRef,
  done: readonly RenderedFrame[],
): Result<{ committed: number; repeat: boolean }, Refusal> {
  expire(t);
  const lease = liveLease(t, ref);
  if (!lease.ok) return wasCommitted(t, ref, done) ? ok({ committed: committedOf(t, ref, done), repeat: true }) : lease;
  const checked = checkDone(t, lease.value, done);
  if (!checked.ok) return checked;
  const missing = minus(lease.value.open, setOf(checked.value.map((d) => d.frame)));
  if (missing.length > 0)
    return refuse("invalid", `leaves out frame ${format(missing)} of the lease: fail or release it instead`, "done");
  commit(t, lease.value, checked.value);
  t.ledger.stats = measured(t.ledger.stats, {
    frames: size(lease.value.frames),
    framesMs: done.reduce((sum, d) => sum + d.seconds * 1000, 0),
    wallMs: t.nowMs - lease.value.claimed_ms,
  });
  const committed = committedIn(t, lease.value, EMPTY);
  close(t, lease.value);
  return ok({ committed, repeat: false });
}

/**
 * End a lease in which `failed` frames failed to render. What is done is committed; the other
 * frames are given back. `fault`: whose fault it is, by the worker's word; undefined: not known.
 */
export function fail(
  t: Transition,
  ref: LeaseRef,
  done: readonly RenderedFrame[],
  failed: readonly number[],
  error: string,
  fault?: Fault,
): Result<{ committed: number }, Refusal> {
  expire(t);
  const lease = liveLease(t, ref);
  if (!lease.ok) return lease;
  const checked = checkDone(t, lease.value, done);
  if (!checked.ok) return checked;
  const left = minus(lease.value.open, setOf(checked.value.map((d) => d.frame)));
  const wrong = minus(setOf(failed), left);
  if (wrong.length > 0)
    return refuse("invalid", `names ${format(wrong)}, which this lease does not hold open`, "frames");
  commit(t, lease.value, checked.value);
  t.ledger.counts.leased -= failed.length;
  t.ledger.leases.change(lease.value, { open: minus(lease.value.open, setOf(failed)) });
  // A scene that has delivered a frame plainly renders.
  const isOfScene = fault === "scene" && t.ledger.counts.done === 0;
  recordFailures(t, lease.value, failed, error, VERDICTS[isOfScene ? "scene" : "failed"]);
  giveBack(t, lease.value, "given back after a failure");
  const committed = committedIn(t, lease.value, left);
  close(t, lease.value, true);
  return ok({ committed });
}

/** Why a lease comes back. */
export interface GivenBack {
  cause: ReleaseCause;
  /** The agent's words, for people. */
  reason: string;
  /** The frames that it could not deliver; null: all that are not done. */
  frames: readonly number[] | null;
}

/**
 * Give a lease back without a render failure: the worker stops, its disk is full, a program is
 * missing. What follows says the table of `verdicts.ts`.
 */
export function release(
  t: Transition,
  ref: LeaseRef,
  done: readonly RenderedFrame[],
  { cause, reason, frames }: GivenBack,
): Result<{ committed: number }, Refusal> {
  expire(t);
  const lease = liveLease(t, ref);
  if (!lease.ok) return lease;
  const checked = checkDone(t, lease.value, done);
  if (!checked.ok) return checked;
  const foreign = minus(setOf(frames ?? []), lease.value.frames);
  if (foreign.length > 0) return refuse("invalid", `names ${format(foreign)}, which is not in this lease`, "frames");
  commit(t, lease.value, checked.value);
  const { open } = lease.value;
  const committed = committedIn(t, lease.value, open);
  const verdict = VERDICTS[cause];
  const refused = verdict.counts === "refusal" ? intersect(open, frames ? setOf(frames) : open) : EMPTY;
  if (verdict.holdMs > 0 && open.length > 0) holdOff(t.ledger, ref.worker, verdict.holdMs, reason, t.nowMs);
  if (refused.length > 0) {
    t.ledger.counts.leased -= size(refused);
    t.ledger.leases.change(lease.value, { open: minus(open, refused) });
    recordRefusals(t, lease.value, [...framesIn(refused)], reason);
  }
  giveBack(t, lease.value, reason);
  close(t, lease.value, refused.length > 0);
  return ok({ committed });
}

/**
 * End every lease whose time is over. Its frames are pending again, and no failure is recorded (P5,
 * P6).
 */
export function expire(t: Transition): void {
  for (const lease of t.ledger.leases.overdue(t.nowMs)) {
    giveBack(t, lease, "expired");
    close(t, lease);
    t.effects.expired = true;
  }
}

/**
 * End every live lease, because the task is canceled, deleted or restored. Their workers must be
 * told.
 */
export function cancelLeases(t: Transition, reason: string): void {
  for (const lease of t.ledger.leases) {
    takeAway(t, lease, reason);
  }
}

/**
 * End the leases that read another version of the input task's files than `source`: what they make
 * would be made of files of two versions, or of too few. No failure is recorded (P6), and their workers
 * must be told. Whether there were any.
 */
export function endStale(t: Transition, source: string | undefined, reason: string): boolean {
  let ended = false;
  for (const lease of t.ledger.leases) {
    if (source !== undefined && lease.source === source) continue;
    takeAway(t, lease, reason);
    ended = true;
  }
  return ended;
}

/**
 * End the leases in which one of these frames is open, because a dependency has taken its own back: what
 * they read may be gone, or of two versions. No failure is recorded (P6), and their workers must be told.
 */
export function endLeasesOf(t: Transition, frames: FrameSet, reason: string): void {
  for (const lease of t.ledger.leases) if (intersect(lease.open, frames).length > 0) takeAway(t, lease, reason);
}

/**
 * End the leases of this worker, because a person stops it. No failure is recorded (P6), and it must be told.
 * How many there were.
 */
export function endLeasesOfWorker(t: Transition, worker: number, reason: string): number {
  const its = [...t.ledger.leases].filter((lease) => lease.worker === worker);
  for (const lease of its) takeAway(t, lease, reason);
  return its.length;
}

/** End a live lease while its worker renders, which must be told. */
function takeAway(t: Transition, lease: LiveLease, reason: string): void {
  t.effects.canceled.push({ worker_id: lease.worker, lease_id: lease.lease_id });
  giveBack(t, lease, reason);
  close(t, lease);
}

function liveLease(t: Transition, ref: LeaseRef): Result<LiveLease, Refusal> {
  const lease = t.ledger.leases.get(ref.leaseId);
  return lease?.attempt === ref.attempt && lease.worker === ref.worker
    ? ok(lease)
    : refuse("lease_lost", `attempt ${ref.attempt} of task ${t.terms.id} is no longer this worker's: stop its process`);
}

/**
 * Whether a completion was carried out before: all its frames are committed under the same attempt
 * by the same worker (P3), or failed then for the one colour of their pictures.
 */
function wasCommitted(t: Transition, ref: LeaseRef, done: readonly RenderedFrame[]): boolean {
  return (
    done.length > 0 &&
    done.every(({ frame }) => {
      const entry = t.table.get(frame);
      const isSettled = entry?.state === "done" || entry?.one_colour === "told";
      return isSettled && entry.attempt === ref.attempt && entry.worker === ref.worker;
    })
  );
}

/** How many of these frames are committed under the attempt of the lease. */
function committedOf(
  { table }: Transition,
  { attempt }: Pick<LeaseRef, "attempt">,
  done: readonly { frame: number }[],
): number {
  return done.filter(({ frame }) => {
    const entry = table.get(frame);
    return entry?.state === "done" && entry.attempt === attempt;
  }).length;
}

/** How many frames of the lease are committed; `left`: those that it did not deliver. */
function committedIn(t: Transition, lease: LiveLease, left: FrameSet): number {
  const delivered = minus(lease.frames, left);
  // With `strict`, a frame that was delivered may have failed.
  if (!t.terms.strict) return size(delivered);
  return committedOf(
    t,
    lease,
    [...framesIn(delivered)].map((frame) => ({ frame })),
  );
}

/**
 * Check a list of done frames against the lease, and return those that are not committed yet.
 * Changes nothing.
 */
function checkDone(t: Transition, lease: LiveLease, done: readonly RenderedFrame[]): Result<RenderedFrame[], Refusal> {
  const fresh: RenderedFrame[] = [];
  const seen = new Set<number>();
  for (const [i, item] of done.entries()) {
    if (seen.has(item.frame)) return refuse("invalid", `names frame ${item.frame} twice`, `done.${i}.frame`);
    seen.add(item.frame);
    if (!has(lease.frames, item.frame))
      return refuse("invalid", `names frame ${item.frame}, which is not in this lease`, `done.${i}.frame`);
    if (item.files.filter((file) => file.kind === undefined).length < t.terms.filesPerFrame) {
      return refuse(
        "invalid",
        `frame ${item.frame} has no uploaded file: a render without its frame is a failure`,
        `done.${i}.receipts`,
      );
    }
    if (has(lease.open, item.frame)) fresh.push(item);
  }
  return ok(fresh);
}

/** Commit what is done. With `strict`, pictures of one colour beside one of several fail instead. */
function commit(t: Transition, lease: LiveLease, done: readonly RenderedFrame[]): void {
  const flat = t.terms.strict ? setOf(flatAmong(t, done)) : EMPTY;
  commitFrames(
    t,
    lease,
    done.filter(({ frame }) => !has(flat, frame)),
  );
  if (flat.length === 0) return;
  t.ledger.counts.leased -= size(flat);
  t.ledger.leases.change(lease, { open: minus(lease.open, flat) });
  failFlat(t, lease, flat);
}

function commitFrames(t: Transition, lease: LiveLease, done: readonly RenderedFrame[]): void {
  if (done.length === 0) return;
  let { bytes } = t.ledger.stored;
  for (const { frame, seconds, files, warnings = [], oneColour } of done) {
    const failures = t.table.get(frame)?.failures ?? [];
    const ids = warnings.length === 0 ? [] : noteWarnings(t.ledger, frame, warnings);
    t.table.set(frame, {
      state: "done",
      attempt: lease.attempt,
      worker: lease.worker,
      seconds,
      at_ms: t.nowMs,
      files,
      failures,
      ...(lease.blender !== undefined && { blender: lease.blender }),
      error: null,
      ...(ids.length > 0 && { warnings: ids }),
      ...(oneColour !== undefined && { one_colour: oneColour }),
    });
    t.ledger.seconds += seconds;
    bytes += countedBytes(t.ledger, frame, files);
    t.ledger.frame_current = frame;
  }
  if (!t.terms.strict) noteColours(t, framesOfColour(done));
  if (t.terms.inputTask !== null && lease.source !== undefined) t.ledger.made_from = lease.source;
  const frames = setOf(done.map((d) => d.frame));
  const times = done.map((d) => d.seconds);
  t.ledger.tally = addSeconds(t.ledger.tally, times);
  t.ledger.leases.change(lease, { open: minus(lease.open, frames) });
  t.ledger.counts.leased -= done.length;
  t.ledger.counts.done += done.length;
  resetFailures(t.ledger, lease.worker);
  const seconds = times.reduce((sum, one) => sum + one, 0);
  noteLease(t, "done", lease, frames, seconds, null);
  noteStored(t.ledger, bytes);
  if (t.terms.strict) giveUpFlat(t, framesOfColour(done));
}

/** The frames of which it is known whether their pictures have one colour. */
function framesOfColour(done: readonly RenderedFrame[]): number[] {
  return done.filter(({ oneColour }) => oneColour !== undefined).map(({ frame }) => frame);
}

/**
 * Put the open frames of a lease back. Those that failed before are given out after new frames, the
 * others before them.
 */
function giveBack(t: Transition, lease: LiveLease, reason: string): void {
  if (lease.open.length === 0) return;
  const failedBefore = setOf([...framesWithFailures(t, lease.open)]);
  t.ledger.retry = union(t.ledger.retry, failedBefore);
  t.ledger.ready = union(t.ledger.ready, minus(lease.open, failedBefore));
  t.ledger.counts.leased -= size(lease.open);
  noteLease(t, "lost", lease, lease.open, null, reason);
}

function* framesWithFailures(t: Transition, frames: FrameSet): Generator<number> {
  if (t.ledger.error === null) return;
  for (const frame of take(frames, Infinity)) if (t.table.get(frame)?.state === "retry") yield frame;
}

/**
 * End the lease. Where a frame was not committed, its upload may be stored, or still be on its way:
 * the attempt becomes garbage that is deleted when the grant has run out. `failed`: frames failed or
 * were refused, which are no longer open.
 */
function close(t: Transition, lease: LiveLease, failed = false): void {
  if ((failed || lease.open.length > 0) && t.terms.filesPerFrame > 0) {
    // A restart may have forgotten a renewal of up to half a lease; the grant that came with it is
    // valid all the same.
    const dueMs = grantEndMs(Math.max(lease.until_ms + Math.ceil(t.terms.leaseMs / 2), t.nowMs));
    t.ledger.sweeps = [...t.ledger.sweeps, { attempt: lease.attempt, frames: lease.frames, due_ms: dueMs }];
  }
  t.ledger.leases.end(lease);
  noteEnd(t);
}

/** Put the end of the task into the history, when it has ended and no lease is live. */
export function noteEnd(t: Transition): void {
  if (t.ledger.leases.size > 0) return;
  const status = statusOf(t.terms, t.ledger);
  if (status === "completed") noteTask(t, "completed", null);
  if (status === "failed") noteTask(t, "failed", t.ledger.stopped ?? t.ledger.error);
}
