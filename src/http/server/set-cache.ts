/**
 * Sets of texts by key, for what an isolate remembers between requests. Bounded by the texts of all
 * sets together: their sizes differ by thousands.
 */
export class SetCache {
  readonly #sets = new Map<string, ReadonlySet<string>>();
  readonly #size: number;
  #texts = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** The set, or undefined when it is not remembered. */
  get(key: string): ReadonlySet<string> | undefined {
    const set = this.#sets.get(key);
    if (set === undefined) return undefined;
    this.#sets.delete(key);
    this.#sets.set(key, set);
    return set;
  }

  /**
   * Remember a set; the sets that were used longest ago are dropped until the bound holds. The newest
   * stays, even one that is above the bound by itself. An empty set counts as one text.
   */
  set(key: string, set: ReadonlySet<string>): void {
    this.#drop(key);
    this.#sets.set(key, set);
    this.#texts += weightOf(set);
    for (const oldest of this.#sets.keys()) {
      if (this.#texts <= this.#size || oldest === key) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const set = this.#sets.get(key);
    if (set === undefined) return;
    this.#texts -= weightOf(set);
    this.#sets.delete(key);
  }
}

function weightOf(set: ReadonlySet<string>): number {
  return Math.max(1, set.size);
}
