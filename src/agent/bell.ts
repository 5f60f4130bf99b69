/**
 * Wakes idle slots, one at a time: the one that finds work wakes the next. So a push costs as many questions to the registry
 * as there is work, and not one for every idle slot.
 */
export class Bell {
  readonly #waiting: ((rung: boolean) => void)[] = [];
  /** It rang while nobody waited: somebody may have asked just before the news. */
  #pending = false;

  /** There may be work. */
  ring(): void {
    const first = this.#waiting.shift();
    if (first) first(true);
    else this.#pending = true;
  }

  /** There was work: the next idle slot should look, too. */
  pass(): void {
    this.#waiting.shift()?.(true);
  }

  /** Wait for the bell, at most `timeoutMs`; at once when it rang meanwhile. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#pending) {
      this.#pending = false;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push(resolve);
    const give = () => resolve(false);
    // Timers hold 31 bits of milliseconds; longer ones would fire at once.
    const timer = setTimeout(give, Math.min(timeoutMs, 2 ** 31 - 1));
    signal.addEventListener("abort", give, { once: true });
    const rung = await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", give);
    const place = this.#waiting.indexOf(resolve);
    if (!rung && place !== -1) this.#waiting.splice(place, 1);
  }
}
