/**
 * The journal: what each transition changed, so that it costs one small row instead of the whole record and its pages.
 *
 * A checkpoint writes everything; each transition after it writes its delta into the next slot of a ring. A delta holds the new
 * values themselves, not how they came about: bringing the record up to date is assignment, whatever the rules were when it
 * was written. Slots are overwritten and never deleted, for a deletion would be another written row; versions tell which of
 * them are newer than the checkpoint. Pure.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { LiveLease } from "../rules/lease-index.ts";
import type { FrameTable, FrameEntry, Ledger } from "../rules/ledger.ts";
import type { DeferredState, TaskRecord } from "../rules/record.ts";

/** Small objects that rules change in place: always written, but for those that are empty and were. */
const IN_PLACE: ReadonlySet<string> = new Set(["counts", "dependencies", "remove"]);

/** One row of the journal, as JSON. */
export interface Delta {
  ledger: Partial<Omit<Ledger, "leases">>;
  chores: Partial<DeferredState>;
  rest: Rest;
  /** New and changed ones, in their order. */
  leases: LiveLease[];
  /** Ids of those that ended. */
  ended: string[];
  /** Frames whose entry changed; null where there is none any more. */
  entries: [number, FrameEntry | null][];
  events: HistoryEvent[];
}

/** What else a record holds. */
type Rest = Pick<TaskRecord, "shares">;

/** Remembers what the rows hold, to tell what a transition changed. */
export class DirtyTracker {
  readonly #ledger = new Map<string, unknown>();
  readonly #chores = new Map<string, unknown>();
  #shares: TaskRecord["shares"];
  #seq = 0;

  /** The rows hold all of this record now. */
  flushed(record: TaskRecord): void {
    // A write that failed may have left here what no row holds, also of fields that this record does not have.
    for (const known of [this.#ledger, this.#chores]) known.clear();
    this.drainDelta(record, []);
  }

  /** What the rows lack; they hold it from now on. Marks its leases as stored. */
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

/** The fields that are not what was stored; `stored` holds them from now on. Sets of frames are replaced, never changed. */
function changes<T extends Ledger | DeferredState>(stored: Map<string, unknown>, now: T): Partial<Omit<T, "leases">> {
  const changed: Record<string, unknown> = {};
  // A loop over names: every lease call comes through here, and a list of pairs would be made for it.
  for (const name in now) {
    if (name === "leases") continue;
    const value = now[name];
    const was = stored.get(name);
    const holds = IN_PLACE.has(name) && isEmpty(value) ? NOTHING : value;
    if (holds === was && (holds === NOTHING || !IN_PLACE.has(name))) continue;
    changed[name] = value;
    stored.set(name, holds);
  }
  return changed as Partial<Omit<T, "leases">>;
}

const NOTHING = Symbol("nothing");

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

/** Bring a record and its table up to date with one delta, the oldest first. */
export function apply(record: TaskRecord, table: FrameTable, delta: Delta): void {
  Object.assign(record.ledger, delta.ledger);
  record.ledger.leases.apply(delta);
  Object.assign(record.chores, delta.chores);
  Object.assign(record, delta.rest);
  for (const [frame, entry] of delta.entries) table.set(frame, entry ?? undefined);
  record.tail.push(...delta.events);
}
