/** One transition of a task, from the rules' decision to the rows: all of it is written, or none. */
import type { Result } from "../platform/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { TaskChores } from "./chores.ts";
import type { Transition } from "./ledger.ts";
import type { TaskLive } from "./live.ts";
import type { Loaded } from "./held-task.ts";
import type { TaskStore } from "./task-store.ts";

/** What a transition goes through. */
export interface Parts {
  storage: DurableObjectStorage;
  store: TaskStore;
  chores: TaskChores;
  live: TaskLive;
}

/**
 * Run one transition: when it refuses, only the expiry of leases whose time is over is written. Throws on a bug; what is in
 * memory may be half-changed then, and is the caller's to drop.
 *
 * A change that writes no rows itself needs no transaction around it: `note` comes last and is all or nothing. A savepoint
 * costs as much as half of all the rules (008).
 */
export function transact<T>(
  { storage, store, chores, live }: Parts,
  loaded: Loaded,
  change: (t: Transition, loaded: Loaded) => Result<T, Refusal>,
  writes: boolean,
): Result<T, Refusal> {
  const { ledger } = loaded.record;
  const watched = live.before(loaded);
  const t: Transition = {
    terms: loaded.terms,
    ledger,
    book: live.book(watched),
    nowMs: Date.now(),
    effects: { events: [], canceled: [], idle: false },
    ableWorkers: loaded.record.chores.able_workers,
  };
  const before = chores.before(loaded);
  const run = (): { result: Result<T, Refusal>; changed: boolean } => {
    const result = change(t, loaded);
    if ((!result.ok || t.effects.idle) && t.effects.events.length === 0) return { result, changed: false };
    ledger.version++;
    ledger.updated_ms = t.nowMs;
    for (const event of t.effects.events) {
      loaded.record.tail.push({
        ...event,
        seq: ++ledger.event_seq,
        task_id: loaded.definition.id,
        type: loaded.definition.type,
      });
    }
    chores.plan(loaded, t, before);
    store.note(loaded.record);
    return { result, changed: true };
  };
  const outcome = writes ? storage.transactionSync(run) : run();
  chores.follow(loaded, t);
  if (outcome.changed) live.after(loaded, watched);
  return outcome.result;
}
