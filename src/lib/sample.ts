/** A random sample of a sequence whose length is not known. */

/**
 * At most `size` of the items that were offered, each with the same probability. Algorithm R: J. S.
 * Vitter, "Random Sampling with a Reservoir", 1985.
 */
export class RandomSample<T> {
  readonly items: T[] = [];
  /** How many were offered. */
  offered = 0;
  readonly #size: number;
  readonly #random: () => number;

  /** `random`: from 0 to below 1, as `Math.random`. */
  constructor(size: number, random: () => number = Math.random) {
    this.#size = size;
    this.#random = random;
  }

  offer(item: T): void {
    this.offered++;
    if (this.items.length < this.#size) this.items.push(item);
    else {
      const at = Math.floor(this.#random() * this.offered);
      if (at < this.#size) this.items[at] = item;
    }
  }
}
