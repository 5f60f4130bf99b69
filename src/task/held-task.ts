/** A task as its object holds it in memory, and the one way to change it. */
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

export const NOT_FOUND = refuse("not_found", "there is no such task");

export class HeldTask {
  readonly #store: TaskStore;
  readonly #parts: () => Parts;
  /** Null while the object holds no task. */
  loaded: Loaded | null;

  /** `parts`: what a transition goes through; they are made later than this, for they look at it. */
  constructor(store: TaskStore, parts: () => Parts) {
    this.#store = store;
    this.#parts = parts;
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

  /**
   * Run one transition: all of it is written, or, when it refuses, only the expiry of leases whose time is over. What is in
   * memory is dropped when it throws, so that memory never differs from the rows.
   */
  readonly transit: Transit = (change, writes = false) => {
    if (!this.loaded) return NOT_FOUND;
    const parts = this.#parts();
    try {
      return transact(parts, this.loaded, change, writes);
    } catch (error) {
      this.#store.forget();
      this.loaded = this.load();
      parts.live.reset();
      throw error;
    }
  };
}
