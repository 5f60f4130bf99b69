/**
 * The sum of one number for each key, which may change. A change costs the same however many keys
 * there are.
 */
export class SumBy<K> {
  readonly #numbers = new Map<K, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  set(key: K, number: number): void {
    this.#total += number - (this.#numbers.get(key) ?? 0);
    this.#numbers.set(key, number);
  }
}
