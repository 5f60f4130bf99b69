/** Tells task objects that they are outranked: in the background, again when a call fails, with the newest epoch only. */
import type { Env } from "../rpc/env.ts";
import { taskStub } from "../rpc/stubs.ts";

/** Calls under way at the same time: a farm may have hundreds of live tasks, and each call is a subrequest. */
const CALLS = 20;
const RETRY_MS = 2_000;
/** A task object that fails this often is broken beyond what waiting mends; its workers come by themselves in the end. */
const TRIES = 5;

export class Outranker {
  readonly #env: Env;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  readonly #onFailure: () => void;
  readonly #owed = new Map<number, { epoch: number; tries: number; retryMs: number }>();

  /** `onFailure` sees to it that `retry` is called when `retryMs` says so. */
  constructor(env: Env, waitUntil: (work: Promise<unknown>) => void, onFailure: () => void) {
    this.#env = env;
    this.#waitUntil = waitUntil;
    this.#onFailure = onFailure;
  }

  /** When a failed call is due again; null when none is. */
  get retryMs(): number | null {
    const earliest = Math.min(...[...this.#owed.values()].map((debt) => debt.retryMs));
    return Number.isFinite(earliest) ? earliest : null;
  }

  tell(tasks: readonly number[], epoch: number): void {
    for (const task of tasks) this.#owed.set(task, { epoch, tries: 0, retryMs: Infinity });
    this.#waitUntil(this.#call(tasks));
  }

  /** Repeat what failed and is due. */
  retry(nowMs: number): void {
    const due = [...this.#owed].filter(([, debt]) => debt.retryMs <= nowMs).map(([task]) => task);
    if (due.length > 0) this.#waitUntil(this.#call(due));
  }

  async #call(tasks: readonly number[]): Promise<void> {
    const left = [...tasks];
    const lane = async (): Promise<void> => {
      for (let task = left.pop(); task !== undefined; task = left.pop()) await this.#callOne(task);
    };
    await Promise.all(Array.from({ length: Math.min(CALLS, tasks.length) }, lane));
  }

  async #callOne(task: number): Promise<void> {
    const debt = this.#owed.get(task);
    if (!debt) return;
    debt.retryMs = Infinity;
    try {
      await taskStub(this.#env, task).outrank(debt.epoch);
      if (this.#owed.get(task) === debt) this.#owed.delete(task);
    } catch (error) {
      debt.tries++;
      debt.retryMs = Date.now() + RETRY_MS;
      if (debt.tries < TRIES) {
        this.#onFailure();
        return;
      }
      console.warn(`task ${task} could not be told that it is outranked`, error);
      if (this.#owed.get(task) === debt) this.#owed.delete(task);
    }
  }
}
