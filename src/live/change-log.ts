/**
 * Which things have changed since which message, so that a page that was away gets only what it
 * missed. A log of names, not of messages: a page gets each thing as it is now. Pure; in memory,
 * bounded.
 */

/**
 * The most names that are kept. The oldest are dropped beyond that, and a page that was away for
 * longer gets a snapshot.
 */
const MAX_NAMES = 5_000;

export class ChangeLog<K> {
  readonly #max: number;
  /** Name → the step of its last change, in the order of steps. */
  readonly #steps = new Map<K, number>();
  #pending = new Set<K>();
  #seq: number;
  /** Changes of this step, and of steps before it, are not known any more. */
  #floor: number;

  /**
   * `seq`: the number to start from. The clock's milliseconds rise over restarts without being
   * stored, because there are far fewer steps than milliseconds.
   */
  constructor(seq: number, max = MAX_NAMES) {
    this.#seq = seq;
    this.#floor = seq;
    this.#max = max;
  }

  /** The number of the newest step. */
  get seq(): number {
    return this.#seq;
  }

  /** Whether anything has changed since the newest step. */
  get waiting(): boolean {
    return this.#pending.size > 0;
  }

  /** This has changed: it is part of the next step. */
  note(name: K): void {
    this.#pending.add(name);
  }

  /**
   * Begin a new step. Answers what has changed in the one that ended; null, and no new step, when
   * nothing has.
   */
  step(): K[] | null {
    if (this.#pending.size === 0) return null;
    const names = [...this.#pending];
    this.#pending = new Set();
    this.#seq++;
    if (names.length > this.#max) {
      // Not even these names fit, so none is kept.
      this.#steps.clear();
      this.#floor = this.#seq;
      return names;
    }
    for (const name of names) {
      this.#steps.delete(name);
      this.#steps.set(name, this.#seq);
    }
    for (const [name, step] of this.#steps) {
      if (this.#steps.size <= this.#max) break;
      this.#steps.delete(name);
      this.#floor = Math.max(this.#floor, step);
    }
    return names;
  }

  /**
   * What has changed after step `seq`, including what is part of the next step; null when that is
   * not known.
   */
  since(seq: number): K[] | null {
    if (seq < this.#floor || seq > this.#seq) return null;
    const ended = [...this.#steps].filter(([, step]) => step > seq).map(([name]) => name);
    return [...new Set([...ended, ...this.#pending])];
  }

  /**
   * Drop all names and begin a new step: too much has changed, or changes were not noted for a
   * while.
   */
  forget(): void {
    this.#pending = new Set();
    this.#steps.clear();
    this.#floor = ++this.#seq;
  }
}
