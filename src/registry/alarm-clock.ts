/** The registry's one alarm: set when it is not, or set too late. */

/** A handler that failed is tried again this much later: the alarm chain never ends with an error. */
const RETRY_MS = 60_000;

export class AlarmClock {
  readonly #storage: DurableObjectStorage;
  /** When it is set for, as far as this instance knows; it asks once. */
  #armedMs: number | null | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** See that it rings at `wakeMs` or before. One that is due already counts as not set: it may have been lost. */
  async arm(wakeMs: number | null, nowMs: number): Promise<void> {
    if (wakeMs === null) return;
    if (this.#armedMs === undefined) this.#armedMs = await this.#storage.getAlarm();
    if (this.#armedMs !== null && this.#armedMs > nowMs && this.#armedMs <= wakeMs) return;
    this.#armedMs = wakeMs;
    await this.#storage.setAlarm(wakeMs);
  }

  /** It has rung: do what is due, and try again later should that fail. */
  async rang(work: (nowMs: number) => Promise<void>): Promise<void> {
    this.#armedMs = null;
    const nowMs = Date.now();
    try {
      await work(nowMs);
    } catch (error) {
      console.error("the registry's alarm failed", error);
      this.#armedMs = nowMs + RETRY_MS;
      await this.#storage.setAlarm(this.#armedMs);
    }
  }
}
