/**
 * Wakes idle slots when there may be work, one at a time: the slot that finds work wakes the next
 * one. So a push costs one question to the registry for each lease that is found, and one more;
 * waking all slots would cost a question for each.
 */
import { deferred } from "../lib/deferred.ts";
export class WorkNotifier {
  readonly #waiting: ((notified: boolean) => void)[] = [];
  /**
   * `notify` was called while no slot waited: one may have asked the registry just before the work
   * was there.
   */
  #pending = false;

  /**
   * There may be work: wake the slot that has waited longest, or let the next one that waits go on
   * at once.
   */
  notify(): void {
    const first = this.#waiting.shift();
    if (first) first(true);
    else this.#pending = true;
  }

  /** A slot has found work: wake the next one, if one waits. */
  wakeNext(): void {
    this.#waiting.shift()?.(true);
  }

  /**
   * Wait for a notification, at most `timeoutMs` or until `signal` fires; resolves at once when one
   * is pending.
   */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#pending) {
      this.#pending = false;
      return;
    }
    const { promise, resolve } = deferred<boolean>();
    this.#waiting.push(resolve);
    const giveUp = () => resolve(false);
    // Timers hold 31 bits of milliseconds; longer ones would fire at once.
    const timer = setTimeout(giveUp, Math.min(timeoutMs, 2 ** 31 - 1));
    signal.addEventListener("abort", giveUp, { once: true });
    const notified = await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    const place = this.#waiting.indexOf(resolve);
    if (!notified && place !== -1) this.#waiting.splice(place, 1);
  }
}
