/**
 * The live leases of a task, indexed by what calls name: the lease, the claim that made it, the
 * instant at which one runs out. A call costs the same with ten leases as with ten thousand. It
 * also remembers what its rows lack: the leases that were added, changed or ended since
 * `drainChanges`. Pure.
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
  /** Frames not committed yet. */
  open: FrameSet;
  claimed_ms: number;
  until_ms: number;
  /**
   * `until_ms` as it was last written. A renewal extends in memory; it is written when less than
   * half of the lease is left.
   */
  stored_ms: number;
  /** The version of the files of `inputTask` that its worker reads; absent without one. */
  source?: string;
  /**
   * The version of Blender that renders it, of those that its worker has. Absent: another program, or an
   * agent of 0.1.
   */
  blender?: string;
}

export class Leases implements Iterable<LiveLease> {
  readonly #byId = new Map<string, LiveLease>();
  /** A worker has as many leases as it has slots. */
  readonly #byWorker = new Map<number, LiveLease[]>();
  readonly #changed = new Set<LiveLease>();
  #ended: string[] = [];
  #notBeforeMs = Infinity;
  /**
   * While it is a list, the open frames that get a lease or lose it are appended to it: for the
   * live view.
   */
  moved: FrameSet[] | null = null;

  /** `leases`: as the rows have them. */
  constructor(leases: Iterable<LiveLease> = []) {
    for (const lease of leases) this.#insert(lease);
  }

  /** The leases in the order in which they were given out. */
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
    this.#insert(lease);
    this.#changed.add(lease);
    this.moved?.push(lease.open);
  }

  /** Change a lease of this index. Every change must go through here. */
  change(lease: LiveLease, change: Partial<Pick<LiveLease, "open" | "until_ms">>): void {
    if (change.open) this.moved?.push(minus(lease.open, change.open), minus(change.open, lease.open));
    Object.assign(lease, change);
    this.#notBeforeMs = Math.min(this.#notBeforeMs, lease.until_ms);
    this.#changed.add(lease);
  }

  end(lease: LiveLease): void {
    this.#remove(lease);
    this.#changed.delete(lease);
    this.#ended.push(lease.lease_id);
    this.moved?.push(lease.open);
  }

  /**
   * No lease runs out before this instant; Infinity without leases. It is too early when the lease
   * it came from was renewed or ended, and exact after `overdue` has walked the leases.
   */
  get notBeforeMs(): number {
    return this.#byId.size === 0 ? Infinity : this.#notBeforeMs;
  }

  /**
   * The leases whose time is over. The caller must end them, because they are not found a second
   * time.
   */
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

  /**
   * What the rows lack, and hold from now on: new and changed leases, the new ones in their order,
   * and the ids of those that ended. The caller writes it.
   */
  drainChanges(): { leases: LiveLease[]; ended: string[] } {
    const changes = { leases: [...this.#changed], ended: this.#ended };
    for (const lease of changes.leases) lease.stored_ms = lease.until_ms;
    this.#changed.clear();
    this.#ended = [];
    return changes;
  }

  /** Apply changes that `drainChanges` returned and the rows hold. */
  apply({ leases, ended }: { leases: readonly LiveLease[]; ended: readonly string[] }): void {
    for (const id of ended) {
      const lease = this.get(id);
      if (lease) this.#remove(lease);
    }
    // A lease that is here already keeps its place.
    for (const lease of leases) {
      const was = this.get(lease.lease_id);
      if (was) Object.assign(was, lease);
      else this.#insert(lease);
    }
  }

  toJSON(): LiveLease[] {
    return [...this];
  }

  #remove(lease: LiveLease): void {
    this.#byId.delete(lease.lease_id);
    const others = this.#byWorker.get(lease.worker)?.filter((other) => other.lease_id !== lease.lease_id) ?? [];
    if (others.length > 0) this.#byWorker.set(lease.worker, others);
    else this.#byWorker.delete(lease.worker);
  }

  #insert(lease: LiveLease): void {
    this.#byId.set(lease.lease_id, lease);
    const others = this.#byWorker.get(lease.worker);
    if (others) others.push(lease);
    else this.#byWorker.set(lease.worker, [lease]);
    this.#notBeforeMs = Math.min(this.#notBeforeMs, lease.until_ms);
  }
}
