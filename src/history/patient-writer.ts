/**
 * Writes to D1 without waiting for it for long, and without asking it twice. D1 stalls for a minute
 * now and then, and a promise of D1 cannot be canceled: the object is billed until D1 answers it.
 * So a write that was not answered in time stays the only one until it is answered; when D1 works
 * again it finds one write of each task, and not one for each try.
 */

import { within } from "../lib/within.ts";

/** The alarm that drains the outbox also expires leases, so a drain must not hold it for longer. */
const ANSWER_MS = 5_000;
/**
 * A write that is not answered for so long never is: no run of D1 lasts longer. Without this, a
 * lost answer would end the history of the task.
 */
const GIVE_UP_MS = 900_000;

export class PatientWriter<T> {
  readonly #write: (rows: T) => Promise<void>;
  /** When the write began that is not answered; null while there is none. */
  #waitsSinceMs: number | null = null;

  constructor(write: (rows: T) => Promise<void>) {
    this.#write = write;
  }

  /**
   * Resolves when these rows are stored. Rejects when D1 refuses them; after ANSWER_MS, when they
   * may be stored yet; and at once while an earlier write is not answered.
   */
  async write(rows: T): Promise<void> {
    const nowMs = Date.now();
    if (this.#waitsSinceMs !== null && nowMs - this.#waitsSinceMs < GIVE_UP_MS)
      throw new Error("an earlier write is not answered yet");
    this.#waitsSinceMs = nowMs;
    const answered = (): void => {
      if (this.#waitsSinceMs === nowMs) this.#waitsSinceMs = null;
    };
    const answer = this.#write(rows).finally(answered);
    await within(ANSWER_MS, answer);
  }
}
