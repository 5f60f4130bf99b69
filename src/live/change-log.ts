/**
 * What has changed since when, so that a page that was away gets only what it missed. Not a list of messages but of names: what
 * is sent is always how the thing stands now. Pure; in memory, bounded.
 */

/** Names kept: beyond this the oldest are forgotten, and who was away for longer gets a snapshot. */
const MAX_NAMES = 5_000;

export class ChangeLog<K> {
  readonly #max: number;
  /** By the step they last changed in, oldest first. */
  readonly #steps = new Map<K, number>();
  #pending = new Set<K>();
  #seq: number;
  /** What changed in this step or before is not known any more. */
  #floor: number;

  /**
   * `seq` to start at. With the clock's milliseconds it rises across restarts without being stored, since there are far fewer
   * steps than that.
   */
  constructor(seq: number, max = MAX_NAMES) {
    this.#seq = seq;
    this.#floor = seq;
    this.#max = max;
  }

  /** The newest step. */
  get seq(): number {
    return this.#seq;
  }

  /** Whether the next step has something in it. */
  get waiting(): boolean {
    return this.#pending.size > 0;
  }

  /** This has changed; it belongs to the next step. */
  note(name: K): void {
    this.#pending.add(name);
  }

  /** End the step: what changed in it; null when nothing did. */
  step(): K[] | null {
    if (this.#pending.size === 0) return null;
    const names = [...this.#pending];
    this.#pending = new Set();
    this.#seq++;
    if (names.length > this.#max) {
      // None of what was kept would be left, nor all of this.
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

  /** What has changed after step `seq`, the step that is not ended yet included; null when that is not known. */
  since(seq: number): K[] | null {
    if (seq < this.#floor || seq > this.#seq) return null;
    const ended = [...this.#steps].filter(([, step]) => step > seq).map(([name]) => name);
    return [...new Set([...ended, ...this.#pending])];
  }

  /** Too much has changed, or nobody looked: forget it all, and start a new step. */
  forget(): void {
    this.#pending = new Set();
    this.#steps.clear();
    this.#floor = ++this.#seq;
  }
}
