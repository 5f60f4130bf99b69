/**
 * For promises that limit real time (P2, P5). Other load on the machine adds to every time that a
 * test measures. So time in which a process waited for a processor does not count: Linux adds it up
 * in `/proc/pressure/cpu`. On a machine without other load that time is close to zero, and the
 * limit is the promise's own. Where the system does not report it, all time counts.
 */
import { readFileSync } from "node:fs";

/**
 * Milliseconds since the machine started in which at least one process waited for a processor; 0
 * where the system does not report it.
 */
function waitedMs(): number {
  try {
    return Number(/^some .*total=(\d+)/m.exec(readFileSync("/proc/pressure/cpu", "utf8"))?.[1] ?? 0) / 1_000;
  } catch {
    return 0;
  }
}

export class Stopwatch {
  readonly #fromMs = performance.now();
  readonly #waitedMs = waitedMs();

  /**
   * Milliseconds since the stopwatch was made, without the time that was spent waiting for a
   * processor.
   */
  get elapsedMs(): number {
    return performance.now() - this.#fromMs - (waitedMs() - this.#waitedMs);
  }
}
