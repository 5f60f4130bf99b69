/**
 * A map whose entries expire and whose size is bounded, for what an isolate remembers between
 * requests.
 */
export class BoundedCache<V> {
  readonly #entries = new Map<string, { value: V; untilMs: number }>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  /** The value, or undefined when absent or expired. */
  get(key: string, nowMs: number): V | undefined {
    return this.#live(key, nowMs)?.value;
  }

  /** When the live entry expires. */
  expiryOf(key: string, nowMs: number): number | undefined {
    return this.#live(key, nowMs)?.untilMs;
  }

  /**
   * Remember until `untilMs`. When the map is full, the entry that was set longest ago is dropped.
   */
  set(key: string, value: V, untilMs: number): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#size) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, { value, untilMs });
  }

  #live(key: string, nowMs: number): { value: V; untilMs: number } | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.untilMs > nowMs) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
