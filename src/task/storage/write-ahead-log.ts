/**
 * The write-ahead log: deltas of the record, so that a transition costs one small row instead of
 * the whole record and its pages. The table is called `journal`. Pure.
 *
 * - A checkpoint writes the record and the pages. Each write after it puts one delta into the next
 *   slot of a ring of rows.
 * - A delta holds the new values, not the calls that led to them. Applying it is assignment,
 *   whatever the rules were then.
 * - Slots are overwritten and never deleted, because a deletion is another billed row. Versions
 *   tell which slots are newer than the checkpoint.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { LiveLease } from "../rules/lease-index.ts";
import type { FrameTable, FrameEntry, Ledger } from "../rules/ledger.ts";
import type { DeferredState, TaskRecord } from "../rules/record.ts";

/**
 * Small objects that rules change in place, so a change cannot be seen: always written, unless they
 * are and were empty.
 */
const IN_PLACE: ReadonlySet<string> = new Set(["counts", "dependencies", "remove"]);

/** One row of the write-ahead log, as JSON. */
export interface Delta {
  ledger: Partial<Omit<Ledger, "leases">>;
  chores: Partial<DeferredState>;
  rest: Rest;
  /** New and changed leases, in their order. */
  leases: LiveLease[];
  /** Ids of leases that ended. */
  ended: string[];
  /** Frames whose entry changed; null where it was removed. */
  entries: [number, FrameEntry | null][];
  events: HistoryEvent[];
}

/** The rest of a record. */
type Rest = Pick<TaskRecord, "shares">;

/** Remembers what the rows hold, to tell what has changed since. */
export class DirtyTracker {
  readonly #ledger = new Map<string, unknown>();
  readonly #chores = new Map<string, unknown>();
  #shares: TaskRecord["shares"];
  #seq = 0;

  /** The rows hold all of this record. */
  flushed(record: TaskRecord): void {
    // A write that failed may have left values here that no row holds, also of fields that this
    // record does not have.
    for (const known of [this.#ledger, this.#chores]) known.clear();
    this.drainDelta(record, []);
  }

  /** What the rows lack, and hold from now on: the caller writes it. Marks its leases as stored. */
  drainDelta(record: TaskRecord, entries: Iterable<[number, FrameEntry | null]>): Delta {
    const { ledger, chores, tail, shares } = record;
    const rest: Rest = shares === this.#shares ? {} : { shares };
    this.#shares = shares;
    const fresh = Math.min(tail.length, ledger.event_seq - this.#seq);
    this.#seq = ledger.event_seq;
    return {
      ledger: changes(this.#ledger, ledger),
      chores: changes(this.#chores, chores),
      rest,
      ...ledger.leases.drainChanges(),
      entries: [...entries],
      events: fresh === 0 ? [] : tail.slice(-fresh),
    };
  }
}

/**
 * The fields that differ from `rows`, which holds them from now on. Compared by identity: rules
 * replace a set of frames and never change it in place.
 */
function changes<T extends Ledger | DeferredState>(rows: Map<string, unknown>, now: T): Partial<Omit<T, "leases">> {
  const changed: Record<string, unknown> = {};
  // A loop over names instead of `Object.entries`, because every lease call runs this.
  for (const name in now) {
    if (name === "leases") continue;
    const value = now[name];
    const was = rows.get(name);
    const holds = IN_PLACE.has(name) && isEmpty(value) ? NOTHING : value;
    if (holds === was && (holds === NOTHING || !IN_PLACE.has(name))) continue;
    changed[name] = value;
    rows.set(name, holds);
  }
  return changed as Partial<Omit<T, "leases">>;
}

const NOTHING = Symbol("nothing");

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

/** Apply one delta to a record and its frame table; the oldest delta comes first. */
export function apply(record: TaskRecord, table: FrameTable, delta: Delta): void {
  Object.assign(record.ledger, delta.ledger);
  record.ledger.leases.apply(delta);
  Object.assign(record.chores, delta.chores);
  Object.assign(record, delta.rest);
  for (const [frame, entry] of delta.entries) table.set(frame, entry ?? undefined);
  record.tail.push(...delta.events);
}
