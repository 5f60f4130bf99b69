/**
 * Tells task objects that they are preempted: in the background, with the newest epoch only, and
 * again when a call fails. On the wire this is the RPC method `outrank`.
 */
import { mapConcurrent } from "../lib/concurrency.ts";
import { within } from "../lib/within.ts";
import type { Env } from "../rpc/env.ts";
import { taskStub } from "../rpc/stubs.ts";

/**
 * Calls in flight at once. A farm may have hundreds of live tasks, and each call is a subrequest of
 * this object's event.
 */
const CALLS = 20;
/** A task object that is being moved or deployed is back within a second or so. */
const RETRY_MS = 2_000;
/**
 * After this many failures the object will not recover by retrying. Its workers come to the
 * registry when it has no frames left.
 */
const TRIES = 5;
/** A call that is not answered within this has failed. Without it, one that hangs is never repeated. */
const ANSWER_MS = 10_000;

interface PendingCall {
  epoch: number;
  failures: number;
  /** Infinity while the call is in flight. */
  retryMs: number;
}

export class Preemptor {
  readonly #env: Env;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  readonly #onFailure: () => void;
  readonly #pending = new Map<number, PendingCall>();

  /** `onFailure` sees to it that `retry` is called at `retryMs`; it does not throw. */
  constructor(env: Env, waitUntil: (work: Promise<unknown>) => void, onFailure: () => void) {
    this.#env = env;
    this.#waitUntil = waitUntil;
    this.#onFailure = onFailure;
  }

  /** When to repeat a failed call; null when no call has failed. */
  get retryMs(): number | null {
    const earliest = Math.min(...[...this.#pending.values()].map((call) => call.retryMs));
    return Number.isFinite(earliest) ? earliest : null;
  }

  /**
   * Tell these tasks the epoch. A newer epoch takes the place of an older one that has not been
   * delivered.
   */
  preempt(tasks: readonly number[], epoch: number): void {
    for (const task of tasks) this.#pending.set(task, { epoch, failures: 0, retryMs: Infinity });
    this.#waitUntil(this.#callAll(tasks));
  }

  /** Repeat the failed calls that are due. */
  retry(nowMs: number): void {
    const due = [...this.#pending].filter(([, call]) => call.retryMs <= nowMs).map(([task]) => task);
    if (due.length > 0) this.#waitUntil(this.#callAll(due));
  }

  async #callAll(tasks: readonly number[]): Promise<void> {
    await mapConcurrent(tasks, CALLS, (task) => this.#callOne(task));
  }

  async #callOne(task: number): Promise<void> {
    const call = this.#pending.get(task);
    if (!call) return;
    call.retryMs = Infinity;
    try {
      await within(ANSWER_MS, taskStub(this.#env, task).outrank(call.epoch));
      if (this.#pending.get(task) === call) this.#pending.delete(task);
    } catch (error) {
      call.failures++;
      call.retryMs = Date.now() + RETRY_MS;
      if (call.failures < TRIES) {
        this.#onFailure();
        return;
      }
      console.warn(`task ${task} could not be told that it is preempted`, error);
      if (this.#pending.get(task) === call) this.#pending.delete(task);
    }
  }
}
