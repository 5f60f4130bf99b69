/** One transition of a task, in memory: what the rules decide, and what the object owes others for it. */
import type { Result } from "../../lib/result.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { TaskChores } from "../deferred-work.ts";
import type { Effects, Transition } from "./ledger.ts";
import type { TaskLive } from "../live.ts";
import type { Loaded } from "../transactor.ts";

/** What a transition goes through. */
export interface Deciders {
  chores: TaskChores;
  live: TaskLive;
}

/** What may be made of a task: refused, or a value. */
export type Change<T> = (t: Transition, loaded: Loaded) => Result<T, Refusal>;

/** `changed`: the rows lack it. */
export interface Decided<T> {
  result: Result<T, Refusal>;
  changed: boolean;
  canceled: Effects["canceled"];
}

/**
 * Decide in memory: when the change refuses, only the expiry of leases whose time is over is left of it. Throws on a bug; what is
 * in memory may be half-changed then, and is the caller's to drop.
 */
export function decide<T>({ chores, live }: Deciders, loaded: Loaded, change: Change<T>): Decided<T> {
  const { ledger } = loaded.record;
  const watched = live.before(loaded);
  const t: Transition = {
    terms: loaded.terms,
    ledger,
    book: live.book(watched),
    nowMs: Date.now(),
    effects: { events: [], canceled: [], idle: false, expired: false },
    ableWorkers: loaded.record.chores.able_workers,
  };
  const before = chores.before(loaded);
  const result = change(t, loaded);
  const { events, canceled, idle, expired } = t.effects;
  if ((!result.ok || idle) && !expired) return { result, changed: false, canceled };
  ledger.version++;
  ledger.updated_ms = t.nowMs;
  for (const event of events) {
    loaded.record.tail.push({
      ...event,
      seq: ++ledger.event_seq,
      task_id: loaded.definition.id,
      type: loaded.definition.type,
    });
  }
  chores.plan(loaded, t, before);
  live.after(loaded, watched);
  return { result, changed: true, canceled };
}
