/**
 * A task as its object holds it in memory, and the ways to change it: memory and rows together, or neither.
 *
 * Lease calls are gathered: while the storage is busy with what came before, they are decided in memory, and one row is written for
 * all of them. None is answered before that (`answered`), and whoever else looks at the task has it written first (`loaded`), so that
 * nobody is ever told what a failed write takes back.
 */
import type { Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { decide, type Change, type Decided, type Deciders } from "./rules/transition.ts";
import { termsOf, type Terms } from "./rules/ledger.ts";
import type { TaskDefinition } from "../rpc/task.ts";
import type { TaskRecord, TaskStore } from "./storage/task-store.ts";

/** A task as it is loaded. */
export interface Loaded {
  definition: TaskDefinition;
  terms: Terms;
  record: TaskRecord;
}

/** Runs one transition on the task: see `HeldTask.transit` and `HeldTask.gather`. `writes`: the change itself writes rows. */
export type Transit = <T>(change: Change<T>, writes?: boolean) => Result<T, Refusal>;

/** Changes what no rule decides: see `HeldTask.settle`. */
export type Settle = (change: (record: TaskRecord) => void) => void;

/** What a task's object is made of, as far as changes go through it. */
export interface Parts extends Deciders {
  storage: DurableObjectStorage;
}

export const NOT_FOUND = refuse("not_found", "there is no such task");

export class HeldTask {
  readonly #store: TaskStore;
  readonly #parts: () => Parts;
  readonly #forget: () => void;
  #task: Loaded | null;
  /** The rows are to be read before anybody looks. */
  #unread = false;
  /** Settles when the transitions that are in memory only are in the rows; null when there are none. */
  #gathered: PromiseWithResolvers<void> | null = null;
  /** The row that the last gathered transition is in, or has seen; undefined when that was written before. */
  #row: Promise<void> | undefined;

  /**
   * `parts`: what a transition goes through; they are made later than this, for they look at it. `forget`: drop what the rest
   * of the object remembers of the rows.
   */
  constructor(store: TaskStore, parts: () => Parts, forget: () => void) {
    this.#store = store;
    this.#parts = parts;
    this.#forget = forget;
    this.#task = store.open() ? this.load() : null;
  }

  /** As the rows have it. */
  load(): Loaded {
    const definition = this.#store.definition();
    return { definition, terms: termsOf(definition), record: this.#store.record() };
  }

  /** From now on the object holds this task, which the rows have. */
  hold(task: Loaded): void {
    this.#task = task;
  }

  /** The task as its rows have it; null while the object holds none. */
  get loaded(): Loaded | null {
    this.#write();
    return this.#current();
  }

  /** The task, unless it does not exist or is being removed. */
  present(): Loaded | null {
    return unlessRemoved(this.loaded);
  }

  /** The same with what is gathered: for lease calls, which are `answered` when it is written. */
  ahead(): Loaded | null {
    return unlessRemoved(this.#current());
  }

  /** Throws while the rows cannot be read: a task must not seem to be gone. */
  #current(): Loaded | null {
    if (this.#unread) this.#reload();
    return this.#task;
  }

  #reload(): void {
    this.#unread = true;
    this.gone();
    if (this.#store.open()) this.#task = this.load();
    this.#unread = false;
  }

  /** Make a call that may gather, and answer when what it has changed or seen is in the rows; rejects when it could not be written. */
  async answered<T>(call: () => T): Promise<T> {
    void this.#takeRow();
    const answer = call();
    // Not `#gathered`: the call itself may have had it written, or refused.
    await this.#takeRow();
    return answer;
  }

  #takeRow(): Promise<void> | undefined {
    const row = this.#row;
    this.#row = undefined;
    return row;
  }

  /** Run one transition: all of it is written, or, when it refuses, only the expiry of leases whose time is over. */
  readonly transit: Transit = <T>(change: Change<T>, writes = false) => {
    const { loaded } = this;
    if (!loaded) return NOT_FOUND;
    const parts = this.#parts();
    return this.#orReload(() => {
      const run = (): Decided<T> => {
        const decided = decide(parts, loaded, change);
        if (decided.changed) this.#store.note(loaded.record);
        return decided;
      };
      // A change that writes no rows itself needs no transaction around it: `note` comes last and is all or nothing. A savepoint
      // costs as much as half of all the rules (008).
      const { result, canceled } = writes ? parts.storage.transactionSync(run) : run();
      parts.chores.follow(loaded, canceled);
      return result;
    });
  };

  /** Run one transition that shares a row with others, and cancels no leases; one that writes rows itself is run by itself. */
  readonly gather: Transit = (change, writes = false) => {
    if (writes) return this.transit(change, writes);
    const task = this.#current();
    if (!task) return NOT_FOUND;
    const parts = this.#parts();
    const { result, changed } = this.#orReload(() => decide(parts, task, change));
    if (changed && !this.#gathered) {
      this.#gathered = Promise.withResolvers<void>();
      // Nobody may be waiting: a call may have thrown after its transition.
      this.#gathered.promise.catch(() => undefined);
      void this.#writeLater();
    }
    this.#row = this.#gathered?.promise;
    if (!this.#gathered) this.#orReload(() => parts.chores.follow(task));
    return result;
  };

  async #writeLater(): Promise<void> {
    // Resolves at once while nothing is being written, and else when that is on the disk: storage that is busy gathers more.
    try {
      await this.#parts().storage.sync();
    } catch {
      // What came before could not be written; whether this can be, the next line finds out.
    }
    this.#write();
  }

  /** Write what is gathered, as one row. */
  #write(): void {
    const gathered = this.#gathered;
    const task = this.#task;
    if (!gathered || !task) return;
    this.#gathered = null;
    try {
      this.#orReload(() => {
        this.#store.note(task.record);
        this.#parts().chores.follow(task);
      });
      gathered.resolve();
    } catch (error) {
      gathered.reject(error);
    }
  }

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
    this.#task = null;
  }

  /** What throws changes nothing in the rows, and may have changed half of what is in memory: that is read anew. */
  #orReload<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      // What is gathered is in memory only, beside what is half-changed.
      this.#gathered?.reject(error);
      this.#gathered = null;
      this.#reload();
      throw error;
    }
  }
}

function unlessRemoved(task: Loaded | null): Loaded | null {
  return task && task.record.chores.remove === null ? task : null;
}
