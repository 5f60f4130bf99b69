/**
 * Holds a task in memory and changes it: memory and rows together, or neither.
 *
 * Group commit (decision 014). A lease call is applied in memory only (`enqueue`); the storage says
 * when it has finished what it was writing, and then one row is written for all calls that came
 * meanwhile. Every other reader uses the committed view (`committed`), which writes what is pending
 * before it shows anything.
 *
 * Guarantees (P4):
 * - A call is answered only when everything that it changed or has seen is in the rows: its caller
 *   awaits `committed` of `enqueue`.
 * - No reader of the committed view sees what a failed write takes back.
 * - When a transition throws or a write is refused, the rows are as before, memory is discarded and
 *   read from the rows again, and every call that is pending fails. Their callers try again.
 *
 * States. `#state` is changed only by `#becomeClean`, `#becomePending` and `#becomeStale`.
 *
 * clean    The rows hold what memory holds, which may be no task.
 *   entered  when the object starts; when the pending row is written; when memory was read from the
 *            rows.
 *   allowed  everything.
 *   left     to pending, when `enqueue` has made a change; to stale, when something throws.
 * pending  Memory is ahead of the rows by transitions of lease calls. A write of them is scheduled.
 *   entered  when `enqueue` makes a change in the state clean.
 *   allowed  `enqueue` and `uncommitted`, which see what is pending. Everything else flushes first.
 *   left     to clean, when the row is written: `committed` resolves; to stale, when something
 *            throws: `committed` rejects.
 * stale    Memory was discarded: it may be half-changed, or ahead of rows that were refused.
 *   entered  when a transition, a write, or work in a transaction throws; when the storage was
 *            emptied; when the object starts and its rows cannot be read.
 *   allowed  nothing but reading the rows, which every access does first. While that throws, every
 *            access throws: a task whose rows cannot be read must not seem to be gone (P10).
 *   left     to clean, when the rows have been read.
 */
import type { Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { termsOf, type Effects } from "./rules/ledger.ts";
import type { LoadedTask, TaskRecord } from "./rules/record.ts";
import { decide, type Change, type Decision, type Observer } from "./rules/transition.ts";
import type { TaskStore } from "./storage/task-store.ts";

export const NOT_FOUND = refuse("not_found", "there is no such task");

/**
 * A transition in memory. Answer `result` only after `committed` resolved; when it rejects, the
 * call has changed nothing.
 */
export interface Enqueued<T> {
  result: Result<T, Refusal>;
  committed: Promise<void>;
}

/** A part of the object that remembers something of the task, or acts on what was committed. */
export interface Participant {
  /** Memory was discarded: forget what was derived from it. */
  discarded(): void;
  /**
   * The rows hold a transition, which canceled these leases. Also called when there was nothing to
   * write.
   */
  afterCommit?(task: LoadedTask, canceled: Effects["canceled"]): void;
}

type State = { name: "clean" } | { name: "pending"; row: PromiseWithResolvers<void> } | { name: "stale" };
const CLEAN: State = { name: "clean" };
const STALE: State = { name: "stale" };

export class Transactor {
  readonly #storage: DurableObjectStorage;
  readonly #store: TaskStore;
  /** `committed` of calls that have nothing to wait for. */
  readonly #written = Promise.resolve();
  #observers: readonly Observer[] = [];
  #participants: readonly Participant[] = [];
  #state: State = CLEAN;
  #task: LoadedTask | null;

  constructor(storage: DurableObjectStorage, store: TaskStore) {
    this.#storage = storage;
    this.#store = store;
    try {
      this.#task = store.open() ? this.load() : null;
    } catch {
      // A newer version wrote the rows, or a quota of the platform is used up: the first access
      // reads them again. If the constructor threw, the platform would give the object's alarm up
      // after a few tries.
      this.#task = null;
      this.#state = STALE;
    }
  }

  /**
   * Connect the parts of the object, once. They are made after the transactor, because they use it.
   */
  connect(observers: readonly Observer[], participants: readonly Participant[]): void {
    this.#observers = observers;
    this.#participants = participants;
  }

  /** The task as its rows have it. Throws when they are not those of a task. */
  load(): LoadedTask {
    const definition = this.#store.definition();
    return { definition, terms: termsOf(definition), record: this.#store.record() };
  }

  /** From now on the object holds this task, which its rows hold already. */
  adopt(task: LoadedTask): void {
    this.#task = task;
  }

  /**
   * The committed view: the task as its rows have it; null while the object holds none. Writes what
   * is pending.
   */
  get committed(): LoadedTask | null {
    this.#flush();
    return this.#current();
  }

  /** The committed view, but null when the task is being removed. */
  present(): LoadedTask | null {
    return unlessRemoved(this.committed);
  }

  /**
   * The task with the changes that are pending, or null as in `present`. For lease calls, which
   * await `committed`.
   */
  uncommitted(): LoadedTask | null {
    return unlessRemoved(this.#current());
  }

  /**
   * Apply a change in memory; it is written soon, together with others. The change must write no
   * rows and cancel no leases.
   */
  enqueue<A, T>(change: Change<A, T>, argument: A): Enqueued<T> {
    const task = this.#current();
    if (!task) return { result: NOT_FOUND, committed: this.#written };
    try {
      const table = this.#store.frameTable;
      const { result, changed } = decide(task, change, argument, Date.now(), table, this.#observers);
      // A call that changed nothing may still have seen what is pending.
      if (this.#state.name === "pending") return { result, committed: this.#state.row.promise };
      if (changed) return { result, committed: this.#becomePending() };
      this.#afterCommit(task, []);
      return { result, committed: this.#written };
    } catch (error) {
      this.#becomeStale(error);
      throw error;
    }
  }

  /**
   * Run one transition and write it. A change that refuses writes only the expiry of leases whose
   * time is over. `writesRows`: the change itself writes rows, so it needs a transaction; others do
   * without, because `flush` comes last and is all or nothing, and a savepoint costs half as much
   * as all rules together (decision 008).
   */
  transact<T>(change: Change<LoadedTask, T>, writesRows = false): Result<T, Refusal> {
    const task = this.committed;
    if (!task) return NOT_FOUND;
    const run = (): Decision<T> => {
      const decision = decide(task, change, task, Date.now(), this.#store.frameTable, this.#observers);
      if (decision.changed) this.#store.flush(task.record);
      return decision;
    };
    try {
      const { result, canceled } = writesRows ? this.#storage.transactionSync(run) : run();
      this.#afterCommit(task, canceled);
      return result;
    } catch (error) {
      this.#becomeStale(error);
      throw error;
    }
  }

  /** Change the record without a rule, after deferred work was done, and write all of it. */
  persist(change: (record: TaskRecord) => void): void {
    const task = this.committed;
    if (!task) return;
    this.inTransaction(() => {
      change(task.record);
      // Every change raises the version: a backup tells by it that a page of rows is older than the
      // next.
      task.record.ledger.version++;
      this.#store.checkpoint(task.record);
    });
  }

  /** Several steps in one transaction. When it throws, memory is discarded. */
  inTransaction<T>(work: () => T): T {
    try {
      return this.#storage.transactionSync(work);
    } catch (error) {
      this.#becomeStale(error);
      throw error;
    }
  }

  /**
   * The storage has been emptied: nothing of the task may stay in memory, because another may be
   * created under its id.
   */
  removed(): void {
    this.#becomeStale(new Error("the task has been removed"));
  }

  #afterCommit(task: LoadedTask, canceled: Effects["canceled"]): void {
    for (const participant of this.#participants) participant.afterCommit?.(task, canceled);
  }

  #current(): LoadedTask | null {
    if (this.#state.name === "stale") this.#read();
    return this.#task;
  }

  #read(): void {
    this.#store.forget();
    this.#task = this.#store.open() ? this.load() : null;
    this.#becomeClean();
  }

  /**
   * Write what is pending, as one row. Does not throw: the calls that wait for the row are told.
   */
  #flush(): void {
    if (this.#state.name !== "pending" || !this.#task) return;
    const { row } = this.#state;
    try {
      this.#store.flush(this.#task.record);
      this.#becomeClean();
      this.#afterCommit(this.#task, []);
      row.resolve();
    } catch (error) {
      row.reject(error);
      this.#becomeStale(error);
    }
  }

  async #flushWhenIdle(): Promise<void> {
    // Resolves at once while nothing is being written, and otherwise when that is on the disk: a
    // busy storage shares more rows.
    try {
      await this.#storage.sync();
    } catch {
      // An earlier write failed. Whether this one does, `#flush` finds out.
    }
    this.#flush();
  }

  #becomeClean(): void {
    this.#state = CLEAN;
  }

  #becomePending(): Promise<void> {
    const row = Promise.withResolvers<void>();
    // A call that throws after its transition awaits nothing: a rejection without a handler would
    // end the object.
    row.promise.catch(() => undefined);
    this.#state = { name: "pending", row };
    void this.#flushWhenIdle();
    return row.promise;
  }

  #becomeStale(error: unknown): void {
    if (this.#state.name === "pending") this.#state.row.reject(error);
    this.#state = STALE;
    this.#task = null;
    this.#store.forget();
    for (const participant of this.#participants) participant.discarded();
  }
}

function unlessRemoved(task: LoadedTask | null): LoadedTask | null {
  return task && task.record.chores.remove === null ? task : null;
}
