/**
 * The live leases of a task, found by what calls name: the lease, the claim that made it, the instant. A call costs the same
 * with ten as with ten thousand. Pure.
 *
 * Besides, it knows what its rows lack: leases that are new or changed, and those that ended, since `takeNews`.
 */
import { minus, type FrameSet } from "./frame-set.ts";

export interface LiveLease {
  lease_id: string;
  attempt: number;
  worker: number;
  /** The claim's idempotency key. */
  key: string;
  /** All frames leased. */
  frames: FrameSet;
  /** Those not committed yet. */
  open: FrameSet;
  claimed_ms: number;
  until_ms: number;
  /** `until_ms` as it was last written: renewals extend in memory, and are written when less than half of the lease is left. */
  stored_ms: number;
}

export class Leases implements Iterable<LiveLease> {
  readonly #byId = new Map<string, LiveLease>();
  /** A worker has as many as it has slots. */
  readonly #byWorker = new Map<number, LiveLease[]>();
  readonly #news = new Set<LiveLease>();
  #ended: string[] = [];
  #notBeforeMs = Infinity;
  /** While it is a list, open frames are put into it that get a lease, or lose it. */
  moved: FrameSet[] | null = null;

  /** As the rows have them. */
  constructor(leases: Iterable<LiveLease> = []) {
    for (const lease of leases) this.#hold(lease);
  }

  /** In the order in which they were given out. */
  [Symbol.iterator](): MapIterator<LiveLease> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }

  get(leaseId: string): LiveLease | undefined {
    return this.#byId.get(leaseId);
  }

  /** The lease that a claim of this worker made. */
  claimedWith(worker: number, key: string): LiveLease | undefined {
    return this.#byWorker.get(worker)?.find((lease) => lease.key === key);
  }

  add(lease: LiveLease): void {
    this.#hold(lease);
    this.#news.add(lease);
    this.moved?.push(lease.open);
  }

  /** The only way to change a lease that is held here. */
  change(lease: LiveLease, change: Partial<Pick<LiveLease, "open" | "until_ms">>): void {
    if (change.open) this.moved?.push(minus(lease.open, change.open), minus(change.open, lease.open));
    Object.assign(lease, change);
    this.#notBeforeMs = Math.min(this.#notBeforeMs, lease.until_ms);
    this.#news.add(lease);
  }

  end(lease: LiveLease): void {
    this.#drop(lease);
    this.#news.delete(lease);
    this.#ended.push(lease.lease_id);
    this.moved?.push(lease.open);
  }

  /**
   * No lease runs out before this instant; Infinity without any. It may be early when the one it came from was renewed or ended,
   * and is exact after `overdue` has looked.
   */
  get notBeforeMs(): number {
    return this.#byId.size === 0 ? Infinity : this.#notBeforeMs;
  }

  /** Those whose time is over. The caller ends them: until then they are not looked for again. */
  overdue(nowMs: number): LiveLease[] {
    if (nowMs < this.notBeforeMs) return [];
    const over: LiveLease[] = [];
    this.#notBeforeMs = Infinity;
    for (const lease of this) {
      if (lease.until_ms <= nowMs) over.push(lease);
      else this.#notBeforeMs = Math.min(this.#notBeforeMs, lease.until_ms);
    }
    return over;
  }

  /** What the rows lack; they hold it from now on. New and changed ones, the new ones in their order; ids of those that ended. */
  drainChanges(): { leases: LiveLease[]; ended: string[] } {
    const news = { leases: [...this.#news], ended: this.#ended };
    for (const lease of news.leases) lease.stored_ms = lease.until_ms;
    this.#news.clear();
    this.#ended = [];
    return news;
  }

  /** Bring it up to date with news that the rows hold. */
  apply({ leases, ended }: { leases: readonly LiveLease[]; ended: readonly string[] }): void {
    for (const id of ended) {
      const lease = this.get(id);
      if (lease) this.#drop(lease);
    }
    // One that is there keeps its place.
    for (const lease of leases) {
      const was = this.get(lease.lease_id);
      if (was) Object.assign(was, lease);
      else this.#hold(lease);
    }
  }

  toJSON(): LiveLease[] {
    return [...this];
  }

  #drop(lease: LiveLease): void {
    this.#byId.delete(lease.lease_id);
    const others = this.#byWorker.get(lease.worker)?.filter((other) => other.lease_id !== lease.lease_id) ?? [];
    if (others.length > 0) this.#byWorker.set(lease.worker, others);
    else this.#byWorker.delete(lease.worker);
  }

  #hold(lease: LiveLease): void {
    this.#byId.set(lease.lease_id, lease);
    const others = this.#byWorker.get(lease.worker);
    if (others) others.push(lease);
    else this.#byWorker.set(lease.worker, [lease]);
    this.#notBeforeMs = Math.min(this.#notBeforeMs, lease.until_ms);
  }
}
