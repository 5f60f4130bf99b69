/**
 * What must hold whenever the manager moves: the promises P1–P6 and P8 as they are seen from
 * outside, written without the functions of the rules. Every check compares the task before and
 * after one move; `states.ts` checks single states.
 */
import { LATE_MS } from "../../src/platform/alarm.ts";
import type { ReleaseCause } from "../../src/protocol/lease.ts";
import type { TaskAction } from "../../src/protocol/task.ts";
import type { DependencyProgress } from "../../src/rpc/task.ts";
import { needsNow } from "../../src/task/rules/blender.ts";
import { has, minus, setOfText, size } from "../../src/task/rules/frame-set.ts";
import { outdatedFrames } from "../../src/task/rules/dependencies.ts";
import { outdatedSource } from "../../src/task/rules/input-task.ts";
import { claimable, statusOf, type FailureRecord, type Ledger, type Terms } from "../../src/task/rules/ledger.ts";
import type { LiveLease } from "../../src/task/rules/lease-index.ts";
import type { Step } from "./manager.ts";
import type { LeaseCall, Message, Reply, Snapshot, Worker, World } from "./world.ts";

/** A promise that does not hold. The explorer adds the moves that led there. */
export class Broken extends Error {
  override name = "Broken";
  readonly promise: string;

  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`);
    this.promise = promise;
  }
}

/** One frame, read from the ledger. */
export interface FrameView {
  state: "leased" | "done" | "failed" | "skipped" | "pending";
  lease: LiveLease | undefined;
  /** The bytes of the frame, with the worker and attempt that made them; null unless it is done. */
  bytes: string | null;
  failures: number;
  /** Workers that have refused it. */
  refusals: readonly number[];
  /** Of a done frame: whether its picture has one colour. */
  oneColour: boolean | undefined;
}

/** The state of a frame as P1 defines it. */
function viewOf({ ledger, entries }: Snapshot, frame: number): FrameView {
  const lease = [...ledger.leases].find((l) => has(l.open, frame));
  const entry = entries[frame];
  const failures = entry ? entry.failures.reduce((sum, [, count]) => sum + count, 0) : 0;
  const done = entry?.state === "done";
  const bytes = done ? JSON.stringify([entry.attempt, entry.worker, entry.files]) : null;
  const stopped = entry && entry.state !== "retry" ? entry.state : undefined;
  const state = lease ? "leased" : (stopped ?? (has(ledger.skipped, frame) ? "skipped" : "pending"));
  const oneColour = done && entry.one_colour !== "told" ? entry.one_colour : undefined;
  return { state, lease, bytes, failures, refusals: entry?.refusals ?? [], oneColour };
}

/** What a release leads to, by its cause: whether its frames are refused, and for how long the worker is held off. */
const RELEASES: Readonly<Record<ReleaseCause, { refuses: boolean; holdMs: number }>> = {
  stopping: { refuses: false, holdMs: 0 },
  unable: { refuses: false, holdMs: 600_000 },
  version: { refuses: false, holdMs: 3_600_000 },
  disk: { refuses: true, holdMs: 60_000 },
  transfer: { refuses: true, holdMs: 60_000 },
  other: { refuses: true, holdMs: 60_000 },
};

/** So many consecutive failures stop a task that has a good frame. */
const STOP_AFTER = 30;

const isDone = ({ state }: { state: string }): boolean => state === "done";

interface Counts {
  done: number;
  lost: number;
  error: number;
  refused: number;
}

/** Whether an event is about the frame. */
function namesFrame({ frames }: { frames: string | null }, frame: number): boolean {
  return frames !== null && has(setOfText(frames), frame);
}

/** Records of the workers that are blocklisted or held off. */
function keptOff(ledger: Ledger, nowMs: number): FailureRecord[] {
  return ledger.blames.filter((one) => Math.max(one.kept_off_until_ms, one.held_until_ms ?? 0) > nowMs);
}

/** What a person asked for. `isStale`: frames were finished since the version that it names. */
export interface Asked {
  kind: TaskAction;
  /** One frame, or `all`. */
  frames?: string;
  version?: string;
  isStale?: boolean;
}

/** Why a move was made. */
interface Cause {
  message?: Message;
  act?: Asked;
  /** The lease that the call names, if it was the caller's and live. */
  live?: LiveLease;
  /** A call of the registry or of another task, which expires no lease. */
  registry?: boolean;
  /** Whether what the source says ends this lease. */
  ends?: (lease: LiveLease) => boolean;
  able?: number;
}

export class Promises {
  readonly #terms: Terms;
  readonly #frames: number[];

  constructor(terms: Terms, frames: number[]) {
    this.#terms = terms;
    this.#frames = frames;
  }

  /**
   * A worker's call, whoever waits for its answer. `able`: workers online, as the registry says.
   */
  call(step: Step<unknown>, message: Message, reply: Reply, able: number, source?: DependencyProgress): void {
    const { before, after } = step;
    const { outranked } = before.memory.ledger;
    const ends = source ? endedBy(before, source) : () => false;
    const leases = [...before.memory.ledger.leases];
    const own = message.verb === "claim" ? undefined : liveLease(before, message);
    const live = own && !ends(own) ? own : undefined;
    if (message.verb !== "claim") this.#settled(step, message, reply, live);
    this.#change(step, { message, live, able, ends });
    if (source) this.#madeOf(step, message, source);
    const key = message.verb === "claim" ? message.key : message.next;
    const same = leases.find(
      (l) => l.worker === message.worker && l.key === key && l.until_ms > before.nowMs && !ends(l),
    );
    const fresh = [...after.memory.ledger.leases].filter((l) => leases.every((other) => other.lease_id !== l.lease_id));
    if (same && fresh.length > 0)
      throw new Broken("P3", `a repeated claim got a second lease, attempt ${fresh[0]!.attempt}`);
    if (same && reply.ok && reply.lease?.leaseId !== same.lease_id)
      throw new Broken("P3", `a repeated claim was not answered with its lease, attempt ${same.attempt}`);
    if (same && message.verb !== "claim" && !reply.ok)
      throw new Broken(
        "P3",
        `${message.verb} of attempt ${message.attempt} was carried out, gave the next lease, and was refused when repeated`,
      );
    if (fresh.length > 1) throw new Broken("P2", "one claim made two leases");
    for (const lease of fresh) this.#fresh(step, lease, message, able);
    for (const lease of fresh) this.#reads(step, lease, source);
    for (const lease of fresh) this.#rendersIn(step, lease, message);
    if (fresh.length > 0 && message.epoch < outranked)
      throw new Broken(
        "P8",
        `a claim of epoch ${message.epoch} got work although the task is preempted at ${outranked}`,
      );
  }

  /**
   * A worker that follows the protocol is refused with `lease_lost` only, and not when its call was
   * carried out.
   */
  honest(worker: Worker, message: Message, reply: Reply): void {
    if (reply.ok) return;
    if (reply.code !== "lease_lost")
      throw new Broken("P2", `${message.verb} by the protocol was refused: ${reply.detail}`);
    if (worker.carriedOut && message.verb === "complete")
      throw new Broken(
        "P3",
        `complete of attempt ${message.attempt} was carried out, and refused when it was repeated`,
      );
  }

  act(step: Step<null>, asked: Asked): void {
    this.#change(step, { act: asked });
    const { before, after, result, effects } = step;
    if (asked.kind === "requeue") this.#requeue(step, asked);
    if (!result.ok || asked.kind !== "cancel") return;
    if (after.memory.ledger.leases.size > 0) throw new Broken("P2", "a lease outlived the task's cancellation");
    for (const lease of before.memory.ledger.leases) {
      const told = effects.canceled.some((c) => c.lease_id === lease.lease_id && c.worker_id === lease.worker);
      if (!told && lease.until_ms > before.nowMs)
        throw new Broken("P2", `worker ${lease.worker} is not told that attempt ${lease.attempt} is canceled`);
    }
  }

  /** A requeued task goes on. A requeue without frames needs something that failed or was canceled. */
  #requeue({ before, after, result }: Step<null>, { frames }: Asked): void {
    if (result.ok && (after.memory.ledger.canceled || after.memory.ledger.stopped !== null))
      throw new Broken("P1", "a requeued task is still canceled or stopped");
    if (frames !== undefined) return;
    const was = this.#frames.map((frame) => viewOf(before.memory, frame));
    const { canceled, stopped } = before.memory.ledger;
    const failed =
      canceled || stopped !== null || was.some(({ state, failures }) => state === "failed" || failures > 0);
    if (!result.ok && (canceled || stopped !== null || was.some(({ state }) => state === "failed")))
      throw new Broken("P6", "what failed or was canceled cannot be requeued");
    if (result.ok && !failed && before.memory.ledger.blames.length === 0)
      throw new Broken("P14", "a requeue without frames was carried out on a task of which nothing failed");
  }

  alarm(step: Step<null>): void {
    this.#change(step, {});
  }

  preempt(step: Step<null>): void {
    this.#change(step, { registry: true });
  }

  /**
   * What is stored wakes the object when it is due. An object cannot know that its alarm was lost
   * before the alarm is late.
   */
  written(world: World): void {
    const { lossesLeft, armedMs, nowMs } = world;
    const mayBeLost = lossesLeft !== null && armedMs !== null && armedMs > nowMs - LATE_MS;
    if (!isArmed(world, mayBeLost ? armedMs : world.alarmMs))
      throw new Broken("P5", "something is due and no alarm is set for it");
  }

  /** P13: an alarm that was lost is set anew. */
  wakes(world: World, when: string): void {
    if (!isArmed(world, world.alarmMs)) throw new Broken("P13", `something is due, and ${when} no alarm is set for it`);
  }

  /**
   * P4: what was answered is stored; only renewals may be forgotten, and never more than half a
   * lease of them.
   */
  eviction(before: World, after: World): void {
    if (before.pending) return this.#unwritten(before, after);
    const { leaseMs } = this.#terms;
    for (const frame of this.#frames) {
      const [was, is] = [viewOf(before.memory, frame), viewOf(after.memory, frame)];
      const isSame = was.failures === is.failures && was.refusals.join() === is.refusals.join();
      if (was.state !== is.state || was.bytes !== is.bytes || !isSame)
        throw new Broken("P4", `frame ${frame} was ${was.state} before the restart and is ${is.state}`);
      if (was.lease?.lease_id !== is.lease?.lease_id)
        throw new Broken("P4", `frame ${frame} has another lease after the restart`);
    }
    for (const lease of after.memory.ledger.leases) {
      const was = [...before.memory.ledger.leases].find((other) => other.lease_id === lease.lease_id);
      if (!was) continue;
      if (lease.until_ms > was.until_ms)
        throw new Broken("P5", `the restart made the lease of attempt ${lease.attempt} longer`);
      if (lease.until_ms < was.until_ms - leaseMs / 2)
        throw new Broken("P5", `the restart forgot more than half a lease of renewals of attempt ${lease.attempt}`);
    }
    if (before.memory.ledger.attempt > after.memory.ledger.attempt)
      throw new Broken("P2", "the restart forgot an attempt");
  }

  /**
   * P4: calls that shared a row which was never written were not carried out, and no worker was
   * told otherwise.
   */
  #unwritten(before: World, after: World): void {
    const ids = (world: World): Set<string> => new Set([...world.memory.ledger.leases].map((l) => l.lease_id));
    const [was, is] = [ids(before), ids(after)];
    for (const { held, reply, call, carriedOut } of after.workers) {
      for (const known of [held, reply?.ok ? reply.lease : null])
        if (known && was.has(known.leaseId) && !is.has(known.leaseId))
          throw new Broken("P4", `a worker was told of attempt ${known.attempt}, and it is forgotten`);
      if (
        carriedOut &&
        call &&
        call.verb !== "claim" &&
        call.done.some((frame) => after.memory.entries[frame] === undefined)
      )
        throw new Broken("P4", `${call.verb} of attempt ${call.attempt} was carried out, and is forgotten`);
    }
  }

  /** Follow whether the history holds the end of the task: it must, and only once. */
  noted(step: Step<unknown>, after: World): World {
    const was = statusOf(this.#terms, step.before.memory.ledger);
    const { ledger } = after.memory;
    const is = statusOf(this.#terms, ledger);
    const ends = step.effects.events.filter((event) => event.kind === "completed" || event.kind === "failed").length;
    if (ends > 1 || (ends > 0 && step.before.noted && was === is))
      throw new Broken("P7", `the end was noted again: ${is}`);
    const noted = ends > 0 || (step.before.noted && was === is);
    if (!noted && ledger.leases.size === 0 && (is === "completed" || is === "failed"))
      throw new Broken("P7", `the task is ${is}, and its history does not say so`);
    const notedStored = after.pending ? after.notedStored : noted;
    return noted === after.noted && notedStored === after.notedStored ? after : { ...after, noted, notedStored };
  }

  /** P12: news of the source. What it took back ends the leases of it, and nothing else. */
  news(step: Step<null>, progress: DependencyProgress): void {
    const { before, after, effects } = step;
    const ends = endedBy(before, progress);
    this.#change(step, { registry: true, ends });
    for (const lease of before.memory.ledger.leases) {
      if (!ends(lease)) continue;
      const told = effects.canceled.some((c) => c.lease_id === lease.lease_id && c.worker_id === lease.worker);
      if (!told) throw new Broken("P2", `worker ${lease.worker} is not told that attempt ${lease.attempt} has ended`);
    }
    if (after.memory.ledger.attempt !== before.memory.ledger.attempt) throw new Broken("P2", "news made a lease");
  }

  /**
   * P12: what the task gives out and says of its frames is what its source has, as far as it was told. In
   * every world of a task that waits for another one.
   */
  known({ memory, source }: World, isInput: boolean): void {
    if (!source) return;
    const { ledger } = memory;
    const { told } = source;
    const views = this.#frames.map((frame) => [frame, viewOf(memory, frame)] as const);
    if (isInput) {
      const isDone = views.some(([, { state }]) => state === "done");
      const isOlder = isDone && source.made !== told.files_version;
      if ((outdatedSource(this.#terms, ledger) !== null) !== isOlder)
        throw new Broken("P12", `made of ${source.made}, the newest is ${told.files_version}: wrongly told`);
    } else {
      const outdated = outdatedFrames(ledger)?.frames ?? [];
      for (const [frame] of views)
        if (has(outdated, frame) !== source.outdated.includes(frame))
          throw new Broken("P12", `frame ${frame} is wrongly told as ${has(outdated, frame) ? "" : "not "}out of date`);
    }
    if (ledger.paused || ledger.canceled || ledger.stopped !== null) return;
    const open = views.filter(([frame, { state }]) => state === "pending" && hasFrame(told, frame, isInput));
    if (claimable(this.#terms, ledger) !== open.length)
      throw new Broken(
        "P8",
        `${claimable(this.#terms, ledger)} frames are said to wait for a worker, not ${open.length}`,
      );
  }

  /** P12: a lease is given out only of what the source has. `source`: what the call came with. */
  #reads({ before }: Step<unknown>, lease: LiveLease, source: DependencyProgress | undefined): void {
    if (!before.source) return;
    const { told } = before.source;
    const newest = source && source.version > told.version ? source : told;
    if (source && lease.source !== newest.files_version)
      throw new Broken("P12", `attempt ${lease.attempt} is bound to ${lease.source}, not to ${newest.files_version}`);
    for (const frame of this.#frames)
      if (has(lease.frames, frame) && !hasFrame(newest, frame, source !== undefined))
        throw new Broken("P12", `frame ${frame} was given out, and its source does not have it`);
  }

  /** P12: a lease is for a Blender that its worker has, and that the task may use. */
  #rendersIn({ before }: Step<unknown>, { attempt, blender }: LiveLease, { worker }: Message): void {
    const need = this.#terms.blender;
    if (need === null) return;
    const { blenders } = before.workers[worker - 1]!;
    if (blender === undefined || !blenders.includes(blender))
      throw new Broken("P12", `attempt ${attempt} is for Blender ${blender}, and its worker has ${blenders.join()}`);
    const [is, least] = [minorOf(blender), need.replace("+", "")];
    if (need.endsWith("+") ? Number(is) < Number(least) : is !== least)
      throw new Broken("P12", `attempt ${attempt} is for Blender ${blender}, and the task needs ${need}`);
  }

  /**
   * P12: what is done and what is being rendered is of one minor version of Blender; while there is any, it
   * is what the task needs of a worker, as the registry is told. In every world.
   */
  ofOneBlender({ memory: { ledger, entries } }: World): void {
    const need = this.#terms.blender;
    if (need === null) return;
    const done = Object.values(entries).filter(({ state }) => state === "done");
    const minors = new Set([...done, ...ledger.leases].map(({ blender }) => minorOf(blender)));
    if (minors.size > 1) throw new Broken("P12", `one task has frames of Blender ${[...minors].join(" and ")}`);
    const told = needsNow({ ...NEEDS, blender: need }, ledger).blender;
    const [only = need] = minors;
    if (told !== only) throw new Broken("P12", `the task says that it needs Blender ${told}, and it is ${only}`);
  }

  /** P12: what is committed was made of all files of the version that the source has. */
  #madeOf({ before, after }: Step<unknown>, message: Message, source: DependencyProgress): void {
    for (const frame of this.#frames) {
      const [was, is] = [viewOf(before.memory, frame), viewOf(after.memory, frame)];
      if (is.state !== "done" || was.state === "done") continue;
      const read = message.verb === "claim" ? undefined : message.read?.files;
      if (source.state !== "completed" || read !== source.files_version)
        throw new Broken(
          "P12",
          `frame ${frame} was made of ${read}, and its source is ${source.state} at ${source.files_version}`,
        );
    }
  }

  /** P2, P3: which calls may settle a lease. `live`: the lease that the call names, if it goes on. */
  #settled({ before, result }: Step<unknown>, message: LeaseCall, reply: Reply, live: LiveLease | undefined): void {
    if (live) {
      if (!reply.ok && reply.code === "lease_lost")
        throw new Broken("P2", `the holder of attempt ${message.attempt} was refused`);
      return;
    }
    if (!result.ok) {
      if (result.error.code !== "lease_lost")
        throw new Broken("P2", `a superseded ${message.verb} was answered ${result.error.code}, not lease_lost`);
      return;
    }
    const { ledger, entries } = before.memory;
    const repeatedNext =
      message.next !== null && [...ledger.leases].some((l) => l.worker === message.worker && l.key === message.next);
    const committed =
      message.verb === "complete" &&
      message.done.length > 0 &&
      message.done.every((frame) => {
        const entry = entries[frame];
        const isSettled = entry?.state === "done" || entry?.one_colour === "told";
        return isSettled && entry.attempt === message.attempt && entry.worker === message.worker;
      });
    if (!committed && !repeatedNext)
      throw new Broken("P2", `${message.verb} by the superseded attempt ${message.attempt} was accepted`);
  }

  #fresh({ before, after }: Step<unknown>, lease: LiveLease, message: Message, able: number): void {
    const { ledger } = before.memory;
    const off = keptOff(after.memory.ledger, before.nowMs);
    const record = off.find(({ worker }) => worker === message.worker);
    if (off.length < able && record) throw new Broken("P6", `worker ${message.worker} is kept off and got a lease`);
    if ((record?.held_until_ms ?? 0) > before.nowMs)
      throw new Broken("P6", `worker ${message.worker} is held off and got a lease`);
    const { chunk, leaseMs } = this.#terms;
    if (lease.attempt <= ledger.attempt) throw new Broken("P2", `attempt ${lease.attempt} was given out a second time`);
    if (lease.worker !== message.worker) throw new Broken("P9", "a lease went to another worker");
    if (lease.until_ms !== before.nowMs + leaseMs) throw new Broken("P5", "a new lease does not last a lease");
    if (size(lease.frames) === 0) throw new Broken("P1", "a lease of no frames");
    if (chunk !== "auto" && size(lease.frames) > chunk) throw new Broken("P1", "a lease of more frames than a chunk");
    if (ledger.paused || ledger.canceled || ledger.stopped !== null)
      throw new Broken("P8", "a lease was given out of a task that is paused, canceled or stopped");
  }

  #change(step: Step<unknown>, cause: Cause): void {
    const { before, after, effects } = step;
    const counts: Counts = { done: 0, lost: 0, error: 0, refused: 0 };
    for (const frame of this.#frames) this.#frame(step, cause, frame, counts);
    for (const kind of ["done", "lost", "error"] as const) {
      const noted = effects.events.filter((e) => e.kind === kind).reduce((sum, e) => sum + e.frame_count, 0);
      if (noted !== counts[kind])
        throw new Broken("P7", `the history says ${noted} ${kind}, and it was ${counts[kind]}`);
    }
    for (const lease of before.memory.ledger.leases) this.#lease(step, cause, lease);
    this.#held(step, cause);
    this.#stopped(step, cause, counts.error > 0);
    if (counts.done > 0 && counts.error === 0) {
      const { streak, blames } = after.memory.ledger;
      // The call that brought the frame may also have given others back.
      const counts = ({ streak: own, times, holds = 0 }: FailureRecord): boolean => own + times > 0 || holds > 1;
      if (streak.failures > 0 || blames.some((record) => record.worker === cause.live?.worker && counts(record)))
        throw new Broken("P6", "a frame came out, and earlier failures still count");
    }
    if (!after.pending) this.written(after);
    if (cause.registry) return;
    const over = [...after.memory.ledger.leases].find((lease) => lease.until_ms <= after.nowMs);
    if (over) throw new Broken("P5", `attempt ${over.attempt} is over and was not ended`);
  }

  #frame({ before, after, result, effects }: Step<unknown>, cause: Cause, frame: number, counts: Counts): void {
    const [was, is] = [viewOf(before.memory, frame), viewOf(after.memory, frame)];
    const { message, act, live } = cause;
    const call = message && message.verb !== "claim" ? message : undefined;
    const requeues = act?.kind === "requeue";
    const named = requeues && (act.frames === "all" || Number(act.frames) === frame);
    const asked = named || (requeues && act.frames === undefined);
    const seen = named && act.version !== undefined && !act.isStale;
    const skipped = act?.kind === "skip" && Number(act.frames) === frame;
    const isFlat = this.#isFlat(after, frame, was, cause, result.ok);
    const failed = isFlat || (result.ok && live !== undefined && call?.verb === "fail" && call.failed.includes(frame));
    const release = call?.verb === "release" && result.ok ? call : undefined;
    const refuses = release !== undefined && RELEASES[release.cause ?? "stopping"].refuses;
    const refused = refuses && live !== undefined && has(live.open, frame) && !release.done.includes(frame);
    const over = was.lease !== undefined && was.lease.until_ms <= before.nowMs;

    if (was.state === "done" && is.state === "done" && was.bytes !== is.bytes)
      throw new Broken("P3", `frame ${frame} was committed twice: ${was.bytes}, then ${is.bytes}`);
    if (was.state === "done" && isFlat && !effects.events.some((e) => e.kind === "requeued" && namesFrame(e, frame)))
      throw new Broken("P7", `frame ${frame} was given up, and the history does not say so`);
    if (was.state === "done" && is.state !== "done" && !named && !isFlat)
      throw new Broken("P3", `frame ${frame} was done and is ${is.state}`);
    if (was.state === "done" && is.state !== "done" && !seen && !isFlat)
      throw new Broken("P14", `frame ${frame} was given up by somebody who had not seen it`);
    if (was.state === "done" && is.state === "done" && seen && result.ok)
      throw new Broken("P14", `frame ${frame} was to be rendered again and is still done`);
    if (was.state !== "done" && is.state === "done") {
      counts.done++;
      const bytes =
        live && JSON.stringify([live.attempt, live.worker, [{ name: `f${frame}`, size: 1, sha256: live.lease_id }]]);
      if (!live || !call?.done.includes(frame) || !has(live.open, frame))
        throw new Broken("P3", `frame ${frame} was committed by a call that does not hold it`);
      if (is.bytes !== bytes)
        throw new Broken("P3", `frame ${frame} is not made of the bytes of its commit: ${is.bytes}`);
      const { blender } = after.memory.entries[frame]!;
      if (blender !== live.blender)
        throw new Broken("P12", `frame ${frame} is said to be of Blender ${blender}, and it is of ${live.blender}`);
      const stored = before.objects?.[`${live.attempt}/${frame}`];
      if (before.objects && stored !== live.lease_id)
        throw new Broken("P3", `frame ${frame} was committed without its object`);
    }
    if (result.ok && live && call?.done.includes(frame) && has(live.open, frame) && is.state !== "done" && !isFlat)
      throw new Broken("P3", `frame ${frame} was accepted as done and is ${is.state}`);
    const more = is.failures - was.failures;
    if (failed) counts.error++;
    if (failed ? more !== 1 : more > 0)
      throw new Broken("P6", `frame ${frame} lost ${more} of its tries by ${call?.verb ?? act?.kind ?? "time"}`);
    if (more < 0 && !asked && !skipped) throw new Broken("P6", `a failure of frame ${frame} was forgotten`);
    if (failed) this.#final(after, frame, is, cause.able!);
    const by = refused ? [...new Set([...was.refusals, live.worker])] : was.refusals;
    if (is.refusals.join() !== by.join() && !asked && !skipped && is.state !== "done")
      throw new Broken("P6", `frame ${frame} was refused by ${by.join()}, and ${is.refusals.join()} are recorded`);
    if (refused) {
      counts.refused++;
      if ((is.state === "failed") !== is.refusals.length > 1)
        throw new Broken("P6", `frame ${frame} is ${is.state} after ${is.refusals.length} workers refused it`);
      if (is.state === "failed") counts.error++;
    } else if (is.state === "failed" && was.state !== "failed" && !failed)
      throw new Broken("P6", `frame ${frame} failed without a failure`);
    if (was.state === "failed" && is.state !== "failed" && !asked && !skipped)
      throw new Broken("P1", `frame ${frame} had failed and is ${is.state}`);
    if (is.state === "skipped" && was.state !== "skipped" && !skipped)
      throw new Broken("P1", `frame ${frame} was skipped by nobody`);
    if (was.state === "skipped" && is.state !== "skipped" && !named)
      throw new Broken("P1", `frame ${frame} was skipped and is ${is.state}`);
    if (was.lease && is.lease?.lease_id !== was.lease.lease_id && is.state !== "done" && !failed) {
      if (!(refused && is.state === "failed")) counts.lost++;
      const given = result.ok && was.lease === live && (call?.verb === "release" || call?.verb === "fail");
      const canceled = result.ok && act?.kind === "cancel";
      if (!over && !given && !canceled && !cause.ends?.(was.lease))
        throw new Broken("P2", `frame ${frame} was taken away from attempt ${was.lease.attempt}, which is live`);
    }
    if (
      is.lease &&
      is.lease.lease_id !== was.lease?.lease_id &&
      was.state !== "pending" &&
      was.state !== "leased" &&
      !isFlat
    )
      throw new Broken("P2", `frame ${frame} was ${was.state} and was given out`);
  }

  /**
   * P6: what stops a task. A failure that is the scene's fault does so at once, while no frame is done, and nothing of
   * it counts against the worker. Other failures do when there were many, one after the other.
   */
  #stopped({ before, after, result }: Step<unknown>, { message, live, registry }: Cause, isFailure: boolean): void {
    const fails = result.ok && live !== undefined && message?.verb === "fail" ? message : undefined;
    const [was, is] = [before.memory.ledger, after.memory.ledger];
    const isOfScene = fails?.fault === "scene" && !Object.values(after.memory.entries).some(isDone);
    if (isOfScene) {
      if (is.stopped === null) throw new Broken("P6", "the scene is at fault, and the task goes on");
      const own = (ledger: Ledger): string =>
        JSON.stringify([ledger.streak, ledger.blames.find(({ worker }) => worker === live!.worker) ?? null]);
      if (own(is) !== own(was)) throw new Broken("P6", `the scene is at fault, and worker ${live!.worker} is blamed`);
    } else if (is.stopped !== null && was.stopped === null && !registry) {
      const enough = is.counts.done > 0 ? STOP_AFTER : this.#terms.tries;
      if (!(fails || isFailure) || is.streak.failures < enough)
        throw new Broken("P6", `the task was stopped after ${is.streak.failures} failures`);
    } else if (fails && is.streak.failures === 0) throw new Broken("P6", "a failure of a frame did not count");
  }

  /**
   * P12: whether the picture of the frame has one colour, and one beside it that is committed has several: then the
   * frame has failed, whichever came first. `was`: the frame before the call.
   */
  #isFlat(after: World, frame: number, was: FrameView, { message, live }: Cause, isOk: boolean): boolean {
    if (!this.#terms.strict || !isOk || !live || !message || message.verb === "claim") return false;
    const isDelivered = has(live.open, frame) && message.flat?.includes(frame) === true;
    return (isDelivered || was.oneColour === true) && this.#isBesideSeveral(after, frame);
  }

  #isBesideSeveral({ memory }: World, frame: number): boolean {
    const at = this.#frames.indexOf(frame);
    const beside = [this.#frames[at - 1], this.#frames[at + 1]].filter((other) => other !== undefined);
    return beside.some((other) => viewOf(memory, other).oneColour === false);
  }

  /** P12: with `strict`, no picture of one colour is called done beside one of several. In every world. */
  ofSeveralColours(world: World): void {
    if (!this.#terms.strict) return;
    for (const frame of this.#frames)
      if (viewOf(world.memory, frame).oneColour === true && this.#isBesideSeveral(world, frame))
        throw new Broken("P12", `frame ${frame} is done in one colour, and one beside it has several`);
  }

  /** P6: a worker whose machine was at fault is held off, each time for twice as long; nobody else is. */
  #held({ before, after, result }: Step<unknown>, { message, act, live }: Cause): void {
    const release = message?.verb === "release" && result.ok ? message : undefined;
    for (let worker = 1; worker <= before.workers.length; worker++) {
      const [was, is] = [before, after].map(({ memory }) => memory.ledger.blames.find((one) => one.worker === worker));
      const [heldWas, heldIs] = [was?.held_until_ms ?? 0, is?.held_until_ms ?? 0];
      const done = result.ok && live?.worker === worker && message && message.verb !== "claim" ? message.done : [];
      const isReset = done.some((frame) => has(live!.open, frame));
      const isAtFault = release !== undefined && live?.worker === worker;
      const { holdMs } = RELEASES[isAtFault ? (release.cause ?? "stopping") : "stopping"];
      const left = isAtFault && size(live.open) > release.done.filter((frame) => has(live.open, frame)).length;
      if (holdMs > 0 && left) {
        const times = isReset ? 0 : (was?.holds ?? 0);
        if (heldIs !== before.nowMs + holdMs * 2 ** times)
          throw new Broken("P6", `worker ${worker} is held off for ${heldIs - before.nowMs} ms`);
      } else if (heldIs !== heldWas && !(heldIs === 0 && (isReset || act?.kind === "requeue")))
        throw new Broken("P6", `worker ${worker} is held off by ${message?.verb ?? act?.kind ?? "time"}`);
    }
  }

  /**
   * P6: a frame stops after failures on so many workers, or so many failures where there are fewer
   * workers.
   */
  #final({ memory, nowMs }: World, frame: number, is: FrameView, able: number): void {
    const { tries } = this.#terms;
    const workers = memory.entries[frame]!.failures.length;
    if (workers >= tries && is.state !== "failed")
      throw new Broken("P6", `frame ${frame} failed on ${workers} workers and goes on`);
    const off = keptOff(memory.ledger, nowMs).length;
    const enough = workers >= Math.min(tries, Math.max(1, able - off));
    if (is.state === "failed" && (is.failures < tries || !enough))
      throw new Broken("P6", `frame ${frame} stopped after ${is.failures} failures on ${workers} workers`);
  }

  #lease({ before, after, result }: Step<unknown>, { message, act, live, ends }: Cause, lease: LiveLease): void {
    const is = [...after.memory.ledger.leases].find((other) => other.lease_id === lease.lease_id);
    const over = lease.until_ms <= before.nowMs;
    const renewed = result.ok && live === lease && message?.verb === "renew";
    const settled = result.ok && live === lease && message !== undefined && !renewed;
    if (!is) {
      if (!over && !settled && !(result.ok && act?.kind === "cancel") && !ends?.(lease))
        throw new Broken("P2", `the live lease of attempt ${lease.attempt} ended for no reason`);
      return;
    }
    if (ends?.(lease)) throw new Broken("P12", `attempt ${lease.attempt} goes on, and its source has changed`);
    if (settled) throw new Broken("P2", `attempt ${lease.attempt} was settled and is still live`);
    if (is.until_ms !== (renewed ? before.nowMs + this.#terms.leaseMs : lease.until_ms))
      throw new Broken("P5", `the end of attempt ${lease.attempt} moved by ${is.until_ms - lease.until_ms} ms`);
    if (size(minus(is.open, lease.open)) > 0 || is.attempt !== lease.attempt || is.worker !== lease.worker)
      throw new Broken("P2", `the live lease of attempt ${lease.attempt} changed`);
  }
}

/** The needs of a task, of which only the version of Blender matters here. */
const NEEDS = { type: "blender_render", programs: ["blender"], tags: [], allow_exec: false, allow_autoexec: false };

/** `4.5.15` → `4.5`. */
function minorOf(version: string | undefined): string {
  return (version ?? "unknown").split(".").slice(0, 2).join(".");
}

/** Whether an alarm that is set for `alarmMs` rings for everything that is due. */
function isArmed({ memory, nowMs }: World, alarmMs: number | null): boolean {
  const { leases, sweeps } = memory.ledger;
  const due = [...[...leases].map((lease) => lease.until_ms), ...sweeps.map((garbage) => garbage.due_ms)];
  return due.every((dueMs) => alarmMs !== null && alarmMs <= Math.max(dueMs, nowMs + 1));
}

/** Which leases end by this word of the source, as it was when the word came. */
function endedBy({ source, memory }: World, progress: DependencyProgress): (lease: LiveLease) => boolean {
  const { told } = source!;
  const isSame = memory.ledger.dependencies[0]!.frames === "same";
  const newest = progress.version > told.version ? progress : told;
  if (!isSame) return (lease) => newest.state !== "completed" || lease.source !== newest.files_version;
  const again = (progress.taken_back ?? []).filter(({ version }) => version > told.version);
  const frames = again.flatMap((entry) => entry.frames.split(",").map(Number));
  return (lease) => frames.some((frame) => has(lease.open, frame));
}

/** Whether the source has what this frame is made of, by its own word. */
function hasFrame({ state, done }: DependencyProgress, frame: number, isInput: boolean): boolean {
  return state === "completed" || (!isInput && (done ?? "").split(",").includes(String(frame)));
}

function liveLease({ memory, nowMs }: World, call: LeaseCall): LiveLease | undefined {
  return [...memory.ledger.leases].find(
    (l) => l.lease_id === call.leaseId && l.attempt === call.attempt && l.worker === call.worker && l.until_ms > nowMs,
  );
}
