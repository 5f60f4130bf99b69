/**
 * Every move that can follow a world: what workers may do by the agent's protocol, what the network
 * may do to a message, time, the alarm and its loss, eviction, people.
 *
 * - A delay needs no move of its own: a worker that sleeps or has a wrong clock, an alarm that is
 *   late, a message on its way are not moved while time passes. So workers need no clocks: each may
 *   act at any time, on what it knew.
 * - A message that is never delivered might as well not be sent, so sending and the first delivery
 *   are one move. A message that arrives after its sender has gone on comes from `old`, as every
 *   duplicate does.
 */
import { LATE_MS } from "../../src/platform/alarm.ts";
import { framesOf } from "../../src/protocol/frame-list.ts";
import type { TaskAction } from "../../src/protocol/task.ts";
import type { DependencyProgress } from "../../src/rpc/task.ts";
import { Promises, type Asked } from "./promises.ts";
import { Manager } from "./manager.ts";
import {
  forgetful,
  progressOf,
  sourceFrames,
  termsOf,
  withWorker,
  type Configuration,
  type LeaseCall,
  type Message,
  type Read,
  type Reply,
  type Source,
  type Worker,
  type World,
} from "./world.ts";

/** Called for every move: what it was, and the world after it. */
export type Emit = (label: string, after: World) => void;

/** The network keeps so many messages of the source. */
const OLD_NEWS = 2;

export class Protocol {
  readonly configuration: Configuration;
  readonly manager: Manager;
  readonly promises: Promises;
  /** The move that is being made, for the trace of one that breaks a promise. */
  trying = "";

  constructor(configuration: Configuration) {
    this.configuration = configuration;
    const terms = termsOf(configuration);
    this.manager = new Manager(configuration, terms);
    this.promises = new Promises(terms, [...framesOf(terms.list)]);
  }

  /** All worlds one move away. Throws `Broken` when a move breaks a promise. */
  moves(world: World, emit: Emit): void {
    const { configuration, manager, promises } = this;
    world.workers.forEach((worker, index) => this.#workerMoves(world, worker, index, emit));
    emit("time passes", { ...world, nowMs: world.nowMs + configuration.tickMs });
    if (world.alarmMs !== null && world.alarmMs <= world.nowMs) {
      this.trying = "the alarm runs";
      const step = manager.alarm(world);
      promises.alarm(step);
      const after = promises.noted(step, step.after);
      emit("the alarm runs", after);
      if (manager.garbageDue(after)) emit("the alarm runs and deletes garbage", manager.collectGarbage(after));
    }
    if (world.memory !== world.stored || world.armedMs !== world.alarmMs) {
      this.trying = "the manager restarts";
      const after = manager.evict(world);
      promises.eviction(world, after);
      promises.wakes(after, "after a restart");
      emit("the manager restarts", after);
    }
    if (world.lossesLeft !== null) this.#lostAlarms(world, world.lossesLeft, emit);
    if (world.pending) {
      this.trying = "what is pending is written";
      const after = manager.write(world);
      promises.written(after);
      emit(this.trying, after);
    }
    if (world.preemptionsLeft > 0) {
      emit("the registry raises its epoch", {
        ...world,
        epoch: world.epoch + 1,
        preemptionsLeft: world.preemptionsLeft - 1,
      });
    }
    if (world.memory.ledger.outranked < world.epoch) {
      this.trying = "the task is preempted";
      const step = manager.preempt(world);
      promises.preempt(step);
      emit("the task is preempted", promises.noted(step, step.after));
    }
    if (world.actsLeft > 0) this.#people(world, emit);
    if (world.source) this.#source(world, world.source, emit);
  }

  /** What the task that this one waits for may do, and what the network may do to its news. */
  #source(world: World, source: Source, emit: Emit): void {
    for (const frame of sourceFrames(this.configuration)) {
      const version = source.version + 1;
      const next = { ...source, version, filesVersion: source.filesVersion + 1 };
      if (!source.done.includes(frame)) {
        const done = [...source.done, frame].toSorted((a, b) => a - b);
        emit(`the source finishes frame ${frame}`, { ...world, source: { ...next, done } });
      } else if (source.takesLeft > 0) {
        const taken = {
          done: source.done.filter((other) => other !== frame),
          takesLeft: source.takesLeft - 1,
          takenBack: [...source.takenBack, { version, frames: String(frame) }],
        };
        emit(`the source takes frame ${frame} back`, { ...world, source: { ...next, ...taken } });
      }
    }
    const progress = progressOf(source, this.configuration);
    if (progress.version > source.told.version) {
      const after = this.#news(world, progress, "news of the source comes");
      const answered = { ...after, source: { ...after.source!, takenBack: [] } };
      emit(this.trying, answered);
      if (this.configuration.source?.mode === "same") emit(`${this.trying}, its answer is lost`, after);
    }
    for (const old of source.old) {
      const after = this.#news(world, old, `old news of the source comes, of version ${old.version}`);
      emit(this.trying, after);
    }
  }

  #news(world: World, progress: DependencyProgress, label: string): World {
    this.trying = label;
    const step = this.manager.news(world, progress);
    this.promises.news(step, progress);
    return this.promises.noted(step, this.#told(step.before, step.after, progress));
  }

  /** The task was told this: which of its finished frames are out of date by it, and what it knows now. */
  #told(before: World, after: World, progress: DependencyProgress): World {
    const { source } = after;
    if (!source) return after;
    const again = (progress.taken_back ?? []).filter(({ version }) => version > source.told.version);
    const taken = again.flatMap(({ frames }) => frames.split(",").map(Number));
    const isDone = (frame: number): boolean => before.memory.entries[frame]?.state === "done";
    const outdated = [...new Set([...source.outdated, ...taken.filter(isDone)])].toSorted((a, b) => a - b);
    const told = progress.version > source.told.version ? progress : source.told;
    const others = source.old.filter(({ version }) => version !== progress.version);
    const old = source.old.includes(progress) ? source.old : [...others, progress].slice(-OLD_NEWS);
    return { ...after, source: { ...source, outdated, told, old } };
  }

  /** What became of the task's own frames: those that are rendered again are not out of date any more. */
  #followed(before: World, after: World, message?: Message): World {
    const { source } = after;
    if (!source) return after;
    const isDone = ({ memory }: World, frame: number): boolean => memory.entries[frame]?.state === "done";
    const call = message?.verb === "claim" ? undefined : message;
    const isFresh = call?.done.some((frame) => !isDone(before, frame) && isDone(after, frame));
    const made = isFresh ? (call!.read?.files ?? null) : source.made;
    const outdated = source.outdated.filter((frame) => isDone(after, frame));
    return { ...after, source: { ...source, made, outdated } };
  }

  /**
   * What a call comes with: the source as it is, or as it was when it was asked and has changed since; nothing
   * when the task reads none of its files. It is asked after the worker has read.
   */
  #asked({ source }: World, message: Message): (DependencyProgress | undefined)[] {
    if (!source || this.configuration.source?.mode !== "input") return [undefined];
    const now = progressOf(source, this.configuration);
    const readAt = message.verb === "claim" ? 0 : (message.read?.at ?? 0);
    return [now, ...source.old.filter(({ version }) => version < now.version && version >= readAt)];
  }

  #lostAlarms(world: World, lossesLeft: number, emit: Emit): void {
    if (lossesLeft > 0 && world.alarmMs !== null)
      emit("the alarm is lost", { ...world, alarmMs: null, lossesLeft: lossesLeft - 1 });
    this.trying = "somebody reads the task";
    const after = this.manager.read(world);
    if (after.armedMs === null || after.armedMs <= after.nowMs - LATE_MS) this.promises.wakes(after, "after a read");
    emit("somebody reads the task", after);
  }

  #people(world: World, emit: Emit): void {
    const { kinds, frames } = this.configuration.acts;
    for (const kind of kinds) {
      for (const asked of whatPeopleAsk(world, kind, frames)) {
        this.trying = `somebody asks to ${nameOfAct(asked)}`;
        const step = this.manager.act(world, kind, { frames: asked.frames, files_version: asked.version });
        this.promises.act(step, asked);
        if (!step.result.ok) continue;
        // A call that is repeated after this may rightly be refused.
        const workers = step.after.workers.map((worker) => ({ ...worker, carriedOut: false }));
        const after = this.#followed(world, { ...step.after, workers, actsLeft: world.actsLeft - 1 });
        emit(this.trying, this.promises.noted(step, after));
      }
    }
  }

  #workerMoves(world: World, worker: Worker, index: number, emit: Emit): void {
    const who = `worker ${index + 1}`;
    const { configuration } = this;
    for (const message of worker.old) {
      // A copy that the network kept: no worker waits for the answer.
      for (const able of this.#able(world)) {
        for (const source of this.#asked(world, message)) {
          this.trying = `${who}: an old copy of ${nameOf(message)} arrives`;
          const step = this.#call(world, message, able, source);
          emit(this.trying, this.promises.noted(step, step.after));
        }
      }
    }
    if (worker.reply && worker.call && !worker.waits)
      emit(`${who}: the reply comes`, this.#received(world, index, worker.call, worker.reply));
    switch (worker.phase) {
      case "idle":
        for (let epoch = 0; epoch <= world.epoch; epoch++) {
          const serial = world.serial + 1;
          const message: Message = { verb: "claim", worker: index + 1, key: keyOf("c", serial), epoch };
          this.#send({ ...withWorker(world, index, { epoch }), serial }, index, "claiming", message, emit);
        }
        return;
      case "claiming":
      case "settling":
        this.#send(world, index, worker.phase, worker.call!, emit);
        emit(`${who} gives up or crashes`, this.#dropped(world, index, worker.call));
        return;
      case "rendering": {
        const held = worker.held!;
        const left = held.frames.filter((frame) => !worker.done.includes(frame));
        if (left.length > 0 && (world.objects === null || world.nowMs < held.grantMs))
          this.#renders(world, index, left[0]!, emit);
        for (const message of this.#settlements(world, worker, index + 1, left)) {
          const from =
            message.verb === "fail"
              ? { ...world, failuresLeft: world.failuresLeft - 1 }
              : message.cause !== undefined
                ? { ...world, refusalsLeft: world.refusalsLeft - 1 }
                : world;
          if (message.verb === "renew") this.#renew(world, index, message, emit);
          else this.#send(from, index, "settling", message, emit);
          if (configuration.oldMessages > 0 && message.verb !== "fail")
            emit(`${who} sends ${nameOf(message)} and crashes`, this.#dropped(world, index, message));
        }
        emit(`${who} crashes`, this.#dropped(world, index, null));
      }
    }
  }

  /** What a worker that renders may say. */
  *#settlements(world: World, worker: Worker, id: number, left: readonly number[]): Generator<LeaseCall> {
    const { next, renews, releases } = this.configuration;
    const { attempt, leaseId } = worker.held!;
    const read = worker.read === null ? {} : { read: worker.read };
    const base = {
      worker: id,
      attempt,
      leaseId,
      done: worker.done,
      failed: [],
      next: null,
      epoch: worker.epoch,
      ...read,
      ...(worker.flat.length > 0 && { flat: worker.flat }),
    };
    const nextKey = keyOf("n", Number(leaseId.slice(1)));
    if (left.length === 0) {
      yield { ...base, verb: "complete", next: nextKey };
      if (next === "both") yield { ...base, verb: "complete" };
    } else if (world.failuresLeft > 0) {
      yield { ...base, verb: "fail", failed: [left[0]!], next: nextKey };
      if (next === "both") yield { ...base, verb: "fail", failed: [left[0]!] };
      if (this.configuration.faults) yield { ...base, verb: "fail", failed: left, fault: "scene", next: nextKey };
    }
    if (releases && left.length > 0) yield { ...base, verb: "release" };
    if (world.refusalsLeft > 0 && left.length > 0) {
      yield { ...base, verb: "release", cause: "disk" };
      yield { ...base, verb: "release", cause: "unable" };
    }
    if (renews) yield { ...base, verb: "renew" };
  }

  /** Carry a call out, and follow what it does. */
  #call(world: World, message: Message, able: number, source: DependencyProgress | undefined) {
    const step = this.manager.call(world, message, able, source);
    this.promises.call(step, message, step.reply, able, source);
    const told = source ? this.#told(step.before, step.after, source) : step.after;
    return { ...step, after: this.#forgiven(this.#followed(step.before, told, message)) };
  }

  /**
   * A call that was carried out, and a frame of which was given up and rendered again since, may rightly be refused
   * when it is repeated.
   */
  #forgiven(world: World): World {
    if (this.configuration.flats === 0) return world;
    const workers = world.workers.map((worker) =>
      worker.carriedOut && !isCommitted(world, worker.call!) ? { ...worker, carriedOut: false } : worker,
    );
    return { ...world, workers };
  }

  /** Send the call (again): its reply comes, or does not. */
  #send(world: World, index: number, phase: Worker["phase"], message: Message, emit: Emit): void {
    const who = `worker ${index + 1}: ${nameOf(message)}`;
    const calls = this.#able(world).flatMap((able) => this.#asked(world, message).map((source) => ({ able, source })));
    for (const { able, source } of calls) {
      this.trying = who;
      const step = this.#call(world, message, able, source);
      const { reply } = step;
      this.promises.honest(world.workers[index]!, message, reply);
      const after = this.promises.noted(step, step.after);
      const done = reply.ok && isCommitted(after, message);
      const was = world.workers[index]!.carriedOut;
      const waits = after.pending ? { carriedOut: done } : null;
      const carriedOut = was || (done && !waits);
      const late = this.configuration.lateReplies ? reply : null;
      const kept = message.verb === "claim" ? {} : { held: world.workers[index]!.held };
      const lost = withWorker(after, index, { phase, call: message, carriedOut, waits, reply: late, ...kept });
      emit(`${who}, ${this.configuration.lateReplies ? "the reply under way" : "the reply is lost"}`, lost);
      if (!this.configuration.lateReplies)
        emit(`${who}, answered`, this.#received(this.manager.write(lost), index, message, reply));
    }
  }

  /** A renewal does not stop the worker: without the reply it goes on with what it knows. */
  #renew(world: World, index: number, message: LeaseCall, emit: Emit): void {
    for (const source of this.#asked(world, message)) this.#renewed(world, index, message, source, emit);
  }

  #renewed(world: World, index: number, message: LeaseCall, source: DependencyProgress | undefined, emit: Emit): void {
    this.trying = `worker ${index + 1}: ${nameOf(message)}`;
    const step = this.#call(world, message, this.configuration.able[0]!, source);
    this.promises.honest(world.workers[index]!, message, step.reply);
    const after = withWorker(this.promises.noted(step, step.after), index, {
      old: this.#kept(world.workers[index]!, message),
    });
    const { held } = world.workers[index]!;
    if (step.reply.ok) {
      emit(`worker ${index + 1}: ${nameOf(message)}, the reply is lost`, after);
      if (world.objects !== null)
        emit(
          `worker ${index + 1}: ${nameOf(message)}, answered`,
          withWorker(this.manager.write(after), index, { held: { ...held!, grantMs: step.reply.lease!.grantMs } }),
        );
    } else {
      emit(
        `worker ${index + 1}: ${nameOf(message)}, refused`,
        withWorker(this.manager.write(after), index, forgetful(after.workers[index]!)),
      );
    }
  }

  #received(world: World, index: number, message: Message, reply: Reply): World {
    const worker = { ...world.workers[index]!, old: this.#kept(world.workers[index]!, message) };
    const { epoch } = worker;
    if (!reply.ok || reply.lease === null) return withWorker(world, index, forgetful(worker));
    return withWorker(world, index, { ...forgetful(worker), phase: "rendering", held: reply.lease, epoch });
  }

  #dropped(world: World, index: number, message: Message | null): World {
    const worker = world.workers[index]!;
    return withWorker(world, index, forgetful({ ...worker, old: message ? this.#kept(worker, message) : worker.old }));
  }

  /** The network keeps the newest few. */
  #kept(worker: Worker, message: Message): readonly Message[] {
    const text = JSON.stringify(message);
    const others = worker.old.filter((other) => JSON.stringify(other) !== text);
    const kept = this.configuration.oldMessages;
    return kept === 0 ? [] : [...others, message].slice(-kept);
  }

  #renders(world: World, index: number, frame: number, emit: Emit): void {
    const label = `worker ${index + 1} renders and uploads frame ${frame}`;
    emit(label, this.#uploaded(world, index, frame));
    if (world.flatsLeft === 0) return;
    const { flat } = world.workers[index]!;
    const after = this.#uploaded({ ...world, flatsLeft: world.flatsLeft - 1 }, index, frame);
    emit(`${label} in one colour`, withWorker(after, index, { flat: [...flat, frame] }));
  }

  #uploaded(world: World, index: number, frame: number): World {
    const { held, done } = world.workers[index]!;
    const after = withWorker(world, index, { done: [...done, frame], read: this.#read(world, index) });
    if (world.objects === null) return after;
    return { ...after, objects: { ...world.objects, [`${held!.attempt}/${frame}`]: held!.leaseId } };
  }

  /** Which files of the source the worker has read after one frame more. */
  #read({ source, workers }: World, index: number): Read | null {
    if (!source || this.configuration.source?.mode !== "input") return null;
    const { read } = workers[index]!;
    const { state, files_version } = progressOf(source, this.configuration);
    const now = state === "completed" ? files_version! : "mixed";
    return { files: read === null || read.files === now ? now : "mixed", at: source.version };
  }

  #able(world: World): number[] {
    const { able } = this.configuration;
    return world.memory.ledger.error !== null || world.failuresLeft + world.refusalsLeft + world.flatsLeft > 0
      ? able
      : able.slice(0, 1);
  }
}

/**
 * Whether the call has done its frames, or they failed for the colour of their pictures: a person may have requeued
 * them before it came.
 */
function isCommitted({ memory }: World, message: Message): boolean {
  if (message.verb === "claim") return false;
  return message.done.every((frame) => {
    const entry = memory.entries[frame];
    return (entry?.state === "done" || entry?.one_colour === "told") && entry.attempt === message.attempt;
  });
}

/** What people may ask for: `version` is what a page says it has seen, which may be stale or missing. */
function* whatPeopleAsk(world: World, kind: TaskAction, frames: readonly number[]): Generator<Asked> {
  if (kind !== "skip") yield { kind };
  if (kind === "skip") for (const frame of frames) yield { kind, frames: String(frame) };
  if (kind !== "requeue") return;
  const { tally, counts } = world.memory.ledger;
  for (const named of [...frames.map(String), "all"]) {
    yield { kind, frames: named };
    yield { kind, frames: named, version: `${tally.done}.${counts.done}`, isStale: false };
    if (tally.done > 0) yield { kind, frames: named, version: `${tally.done - 1}.${counts.done}`, isStale: true };
  }
}

function nameOfAct({ kind, frames, version, isStale }: Asked): string {
  if (frames === undefined) return `${kind} the task`;
  const seen = version === undefined ? "" : isStale ? ", having seen older files" : ", having seen its files";
  return `${kind} ${frames === "all" ? "all frames" : `frame ${frames}`}${seen}`;
}

/** Names that sort in the order of their making. */
function keyOf(kind: "c" | "n", serial: number): string {
  return `${kind}${String(serial).padStart(7, "0")}`;
}

function nameOf(message: Message): string {
  if (message.verb === "claim") return "claim";
  const done = message.done.length > 0 ? ` with ${message.done.join(" and ")} done` : "";
  return `${message.verb}${message.cause === undefined ? "" : ` (${message.cause})`}${message.fault === undefined ? "" : ` (${message.fault})`} of attempt ${message.attempt}${done}${message.next === null ? "" : " and the next claim"}`;
}
