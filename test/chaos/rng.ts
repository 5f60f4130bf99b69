/**
 * Random numbers from a seed: the same seed gives the same numbers, and parts of a run have
 * generators of their own.
 */
export class Rng {
  readonly #seed: string;
  #state: number;

  constructor(seed: string) {
    this.#seed = seed;
    // FNV-1a, then a few numbers are dropped: neighbouring seeds must not begin alike.
    let hash = 0x811c9dc5;
    for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
    this.#state = hash >>> 0;
    for (let i = 0; i < 4; i++) this.next();
  }

  /**
   * A generator for a part of the run: how many numbers other parts take does not change its
   * numbers.
   */
  fork(name: string | number): Rng {
    return new Rng(`${this.#seed}/${name}`);
  }

  /** From 0 up to 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  /** Letters and digits, for keys and ids. */
  word(length: number): string {
    return Array.from({ length }, () => "abcdefghijklmnopqrstuvwxyz0123456789"[this.int(0, 35)]).join("");
  }
}
