/**
 * Exponential backoff with full jitter: a uniform draw from zero to a doubling ceiling, so that clients that failed together
 * do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
 */
export interface Backoff {
  baseMs: number;
  capMs: number;
}

/** Delay before try number `tries` + 1, where `tries` ≥ 1 counts the failures so far. `random` is in [0, 1). */
export function backoffMs(tries: number, { baseMs, capMs }: Backoff, random: number): number {
  return Math.round(random * Math.min(capMs, baseMs * 2 ** Math.min(tries - 1, 30)));
}
