/** A task as its object holds it in memory, and the ways to change it: memory and rows together, or neither. */
import type { Result } from "../platform/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { termsOf, type Terms, type Transition } from "./ledger.ts";
import type { TaskDefinition } from "./rpc.ts";
import type { TaskRecord, TaskStore } from "./task-store.ts";
import { transact, type Parts } from "./transact.ts";

/** A task as it is loaded. */
export interface Loaded {
  definition: TaskDefinition;
  terms: Terms;
  record: TaskRecord;
}

/** Runs one transition on the task: see `HeldTask.transit`. `writes`: the change itself writes rows. */
export type Transit = <T>(
  change: (t: Transition, loaded: Loaded) => Result<T, Refusal>,
  writes?: boolean,
) => Result<T, Refusal>;

/** Changes what no rule decides: see `HeldTask.settle`. */
export type Settle = (change: (record: TaskRecord) => void) => void;

export const NOT_FOUND = refuse("not_found", "there is no such task");

export class HeldTask {
  readonly #store: TaskStore;
  readonly #parts: () => Parts;
  readonly #forget: () => void;
  /** Null while the object holds no task. */
  loaded: Loaded | null;

  /**
   * `parts`: what a transition goes through; they are made later than this, for they look at it. `forget`: drop what the rest
   * of the object remembers of the rows.
   */
  constructor(store: TaskStore, parts: () => Parts, forget: () => void) {
    this.#store = store;
    this.#parts = parts;
    this.#forget = forget;
    this.loaded = store.open() ? this.load() : null;
  }

  /** As the rows have it. */
  load(): Loaded {
    const definition = this.#store.definition();
    return { definition, terms: termsOf(definition), record: this.#store.record() };
  }

  /** The task, unless it does not exist or is being removed. */
  present(): Loaded | null {
    return this.loaded && this.loaded.record.chores.remove === null ? this.loaded : null;
  }

  /** Run one transition: all of it is written, or, when it refuses, only the expiry of leases whose time is over. */
  readonly transit: Transit = (change, writes = false) => {
    const { loaded } = this;
    return loaded ? this.#orReload(() => transact(this.#parts(), loaded, change, writes)) : NOT_FOUND;
  };

  /** What the object has done for others is done: change the record, and write all of it. */
  readonly settle: Settle = (change) => {
    const { loaded } = this;
    if (!loaded) return;
    this.whole(() => {
      change(loaded.record);
      // A backup tells by it that a page of rows is older than the next.
      loaded.record.ledger.version++;
      this.#store.save(loaded.record);
    });
  };

  /** Several steps in one transaction. */
  whole<T>(work: () => T): T {
    return this.#orReload(() => this.#parts().storage.transactionSync(work));
  }

  /** The storage is empty now: nothing of the task may stay in memory, for another may come under its number. */
  gone(): void {
    this.#store.forget();
    this.#forget();
    this.loaded = null;
  }

  /** What throws changes nothing in the rows, and may have changed half of what is in memory: that is read anew. */
  #orReload<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.gone();
      if (this.#store.open()) this.loaded = this.load();
      throw error;
    }
  }
}
