/**
 * The lease calls: what is checked before a transition, and compiled after it. The answer is made
 * synchronously with the transition, and given when the transition is committed: by then the lease
 * may have changed again.
 */
import { planFor } from "../compilers/index.ts";
import { ok, type Result } from "../lib/result.ts";
import { parseFrameList } from "../protocol/frame-list.ts";
import type { Claim, Complete, Fail, Release, Renew } from "../protocol/lease.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type {
  DependencyProgress,
  UnsignedRenewed,
  UnsignedClaimed,
  UnsignedLease,
  UnsignedSettled,
  Verified,
  WorkerRef,
} from "../rpc/task.ts";
import { within } from "../lib/within.ts";
import { callTask } from "../rpc/stubs.ts";
import { ANSWER_MS, goneTask } from "./dependents.ts";
import type { ClaimOutcome, ClaimRequest } from "./rules/claim.ts";
import { plannedBlender } from "./rules/blender.ts";
import { format, frames } from "./rules/frame-set.ts";
import {
  claimLease,
  renewLease,
  settleLease,
  type Ending,
  type Renewal,
  type Settled,
  type Settlement,
} from "./rules/lease-calls.ts";
import type { TaskLive } from "./live.ts";
import type { LiveLease } from "./rules/lease-index.ts";
import type { Transition } from "./rules/ledger.ts";
import { checkReceipts, leaseFrames } from "./rules/receipts.ts";
import type { LoadedTask } from "./rules/record.ts";
import type { RenderedFrame } from "./rules/settle.ts";
import { withReports } from "./rules/reported-warnings.ts";
import type { Outcome } from "./rules/transition.ts";
import { causeOfReason } from "./rules/verdicts.ts";
import type { TaskContext } from "./task-context.ts";
import { NOT_FOUND, type Enqueued } from "./transactor.ts";

type Answer<T> = Promise<Result<T, Refusal>>;

/** What a lease call of a task comes with that reads no other one's files. */
const NO_SOURCE = ok<{ source?: DependencyProgress }>({});

/** The fields of a call that say which frames are done, and what is to be known of them. */
type ReportedField = "attempt" | "done" | "warnings" | "one_colour" | "several_colours";

export class LeaseService {
  readonly #context: TaskContext;
  readonly #live: Pick<TaskLive, "logWatched" | "taskMoved">;

  constructor(context: TaskContext, live: Pick<TaskLive, "logWatched" | "taskMoved">) {
    this.#context = context;
    this.#live = live;
  }

  async claim(worker: WorkerRef, claim: Claim): Answer<UnsignedClaimed> {
    const source = this.#reads() ? await this.#source() : NO_SOURCE;
    if (!source.ok) return source;
    const task = this.#context.transactor.uncommitted();
    if (!task) return NOT_FOUND;
    const { result, committed } = this.#context.transactor.enqueue(claimLease, {
      ...requestOf(worker, claim),
      ...source.value,
    });
    const answer = result.ok ? ok(given(task, result.value, claim)) : result;
    await committed;
    return answer;
  }

  async renew(worker: WorkerRef, leaseId: string, body: Verified<Renew>): Answer<UnsignedRenewed> {
    const { transactor, progress } = this.#context;
    const source = this.#reads() ? await this.#source() : NO_SOURCE;
    if (!source.ok) return source;
    const task = transactor.uncommitted();
    if (!task) return NOT_FOUND;
    const done = framesDone(task, body);
    if (!done.ok) return done;
    const lease = { worker: worker.id, leaseId, attempt: body.attempt };
    const call: Renewal = { lease, done: done.value, ...source.value };
    const { result, committed } = body.log
      ? this.#withLog(call, body.log, (t) => renewLease(t, call))
      : transactor.enqueue(renewLease, call);
    if (result.ok && body.progress !== null) progress.set(leaseId, body.progress);
    const answer = result.ok ? ok(this.#extended(task, result.value)) : result;
    this.#live.taskMoved();
    await committed;
    return answer;
  }

  async fail(worker: WorkerRef, leaseId: string, body: Verified<Fail>): Answer<UnsignedSettled> {
    const failed = framesOfText(body.frames);
    if (!failed.ok) return failed;
    return await this.settle(
      worker,
      leaseId,
      body,
      { verb: "fail", failed: failed.value, error: body.error, fault: body.fault },
      body.next,
    );
  }

  async release(worker: WorkerRef, leaseId: string, body: Verified<Release>): Answer<UnsignedSettled> {
    const { reason, cause = causeOfReason(reason) } = body;
    const frames = body.frames === undefined ? ok(null) : framesOfText(body.frames);
    if (!frames.ok) return frames;
    return await this.settle(worker, leaseId, body, { verb: "release", cause, reason, frames: frames.value }, null);
  }

  /**
   * Complete, fail or release: end the lease as `ending` says, and claim the next one when `next`
   * asks for it.
   */
  async settle(
    worker: WorkerRef,
    leaseId: string,
    body: Pick<Verified<Complete>, ReportedField | "log">,
    ending: Ending,
    next: Claim | null,
  ): Answer<UnsignedSettled> {
    const { transactor, progress } = this.#context;
    const source = this.#reads() ? await this.#source() : NO_SOURCE;
    if (!source.ok) return source;
    const task = transactor.uncommitted();
    if (!task) return NOT_FOUND;
    const done = framesDone(task, body);
    if (!done.ok) return done;
    const call: Settlement = {
      lease: { worker: worker.id, leaseId, attempt: body.attempt },
      done: done.value,
      ending,
      next: next && requestOf(worker, next),
      ...source.value,
    };
    const { result, committed } = body.log
      ? this.#withLog(call, body.log, (t) => settleLease(t, call))
      : transactor.enqueue(settleLease, call);
    if (result.ok) progress.delete(leaseId);
    const answer = result.ok ? ok(settled(task, result.value, next)) : result;
    await committed;
    return answer;
  }

  /** Whether this task reads the files of another one. Others must not wait for anything. */
  #reads(): boolean {
    return this.#context.transactor.uncommitted()?.definition.input_task != null;
  }

  /**
   * How the task is now whose files this one reads. Refused when it does not answer: what was made of
   * its files could not be trusted.
   */
  async #source(): Answer<{ source?: DependencyProgress }> {
    const definition = this.#context.transactor.uncommitted()?.definition;
    if (!definition || definition.input_task === null) return NO_SOURCE;
    const { id, input_task: task } = definition;
    const call = callTask(this.#context.env, task, (object) => object.watch(id, "all"));
    const answer = await within(ANSWER_MS, call).catch(() => null);
    if (answer === null)
      return refuse("overloaded", `task ${task}, whose frames this task reads, does not answer; try again`);
    return ok({ source: answer.ok ? answer.value : goneTask(task) });
  }

  /**
   * A call with a log is written at once and by itself, because the log is a row of its own. It is
   * kept if the call is accepted.
   */
  #withLog<T extends object>(call: Renewal, log: string, change: (t: Transition) => Outcome<T>): Enqueued<T> {
    const result = this.#context.transactor.transact((t) => {
      const outcome = change(t);
      // A repeated call brings a log that is kept already.
      const repeated = outcome.ok && "repeated" in outcome.value && outcome.value.repeated;
      if (outcome.ok && !repeated) this.#context.log.append(t.nowMs, call.lease.worker, call.lease.attempt, log);
      return outcome;
    }, true);
    return { result, committed: Promise.resolve() };
  }

  #extended({ definition }: LoadedTask, { until_ms }: LiveLease): UnsignedRenewed {
    const { input_task } = definition;
    return { lease_ms: until_ms - Date.now(), until_ms, input_task, log_watched: this.#live.logWatched() };
  }
}

/** The frames that a call names as done, with their files and warnings. */
function framesDone(
  { definition }: LoadedTask,
  { attempt, done, ...reported }: Pick<Verified<Complete>, ReportedField>,
): Result<RenderedFrame[], Refusal> {
  const rendered = checkReceipts(definition, attempt, done);
  return rendered.ok ? withReports(rendered.value, reported) : rendered;
}

/** The frames of a list that a worker names. */
function framesOfText(text: string): Result<number[], Refusal> {
  const named = parseFrameList(text);
  return named.ok ? leaseFrames(named.value) : refuse("invalid", named.error, "frames");
}

function requestOf({ id, ...versions }: WorkerRef, { key, epoch }: Claim): ClaimRequest {
  return { worker: id, key, epoch, leaseId: crypto.randomUUID(), ...versions };
}

function settled(task: LoadedTask, { committed, claimed }: Settled, next: Claim | null): UnsignedSettled {
  return { committed, next: claimed && given(task, claimed, next!) };
}

function given(task: LoadedTask, outcome: ClaimOutcome, claim: Claim): UnsignedClaimed {
  if (outcome.lease === null) return { lease: null, reason: outcome.reason, retry_after_ms: outcome.retryAfterMs };
  return { lease: givenLease(task, outcome.lease, claim), reason: null, retry_after_ms: null };
}

function givenLease({ definition, terms }: LoadedTask, lease: LiveLease, claim: Claim): UnsignedLease {
  const { id, type, parser, settings } = definition;
  return {
    task_id: id,
    lease_id: lease.lease_id,
    attempt: lease.attempt,
    frames: format(lease.frames),
    lease_ms: lease.until_ms - Date.now(),
    until_ms: lease.until_ms,
    plan: planFor(type, parser, settings, [...frames(lease.frames)], claim.platform, plannedBlender(terms, lease)),
  };
}
