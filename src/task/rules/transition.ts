/**
 * One transition of a task, in memory. Pure: time, the frame table and the observers are arguments.
 * The object runs it for every call, and the model check runs the same code.
 */
import { ok, type Result } from "../../lib/result.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { Effects, FrameTable, Transition } from "./ledger.ts";
import type { LoadedTask } from "./record.ts";

/**
 * What a change comes to: a refusal, or a value. `changed` says whether the change itself must be
 * written; the expiry of leases is written in any case. A refusal has changed nothing.
 */
export type Outcome<T> = { ok: true; value: T; changed: boolean } | { ok: false; error: Refusal };

/** The change succeeded, and the rows lack what it changed. */
export function changed<T>(value: T): Outcome<T> {
  return { ok: true, value, changed: true };
}

/** The change succeeded, and left nothing to write besides the expiry of leases. */
export function unchanged<T>(value: T): Outcome<T> {
  return { ok: true, value, changed: false };
}

/** A rule that changes the task. `argument` is passed through, so that a call needs no closure. */
export type Change<A, T> = (t: Transition, argument: A) => Outcome<T>;

/**
 * Watches transitions, to derive from them what other parties must be told. `B` is what it keeps
 * from before one.
 */
export interface Observer<B = unknown> {
  /**
   * Before the change. May replace `t.table` by a table that records what is written through it.
   */
  before(task: LoadedTask, t: Transition): B;
  /**
   * After a transition that is to be written, and before it is written. May change the record,
   * which is written with it.
   */
  after(task: LoadedTask, t: Transition, before: B): void;
}

/** What a transition came to. `changed`: memory is ahead of the rows. */
export interface Decision<T> {
  result: Result<T, Refusal>;
  changed: boolean;
  canceled: Effects["canceled"];
}

/**
 * Run `change` on the task in memory at `nowMs`. When it refuses, only the expiry of leases whose
 * time is over is left of it. Throws on a bug; memory may be half-changed then, and the caller must
 * discard it.
 */
export function decide<A, T>(
  task: LoadedTask,
  change: Change<A, T>,
  argument: A,
  nowMs: number,
  table: FrameTable,
  observers: readonly Observer[],
): Decision<T> {
  const { ledger, chores, tail } = task.record;
  const effects: Effects = { events: [], canceled: [], expired: false };
  const t: Transition = { terms: task.terms, ledger, table, nowMs, ableWorkers: chores.able_workers, effects };
  const before = observers.map((observer) => observer.before(task, t));
  const outcome = change(t, argument);
  const result = outcome.ok ? ok(outcome.value) : outcome;
  const mustWrite = (outcome.ok && outcome.changed) || effects.expired;
  if (!mustWrite) return { result, changed: false, canceled: effects.canceled };
  ledger.version++;
  ledger.updated_ms = nowMs;
  const { id, type } = task.terms;
  for (const event of effects.events) tail.push({ ...event, seq: ++ledger.event_seq, task_id: id, type });
  for (const [i, observer] of observers.entries()) observer.after(task, t, before[i]);
  return { result, changed: true, canceled: effects.canceled };
}
