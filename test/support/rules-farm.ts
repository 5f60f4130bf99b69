/**
 * A task in memory for tests and the model check: the real ledger and rules, a map as the frame
 * table, and an audit that checks the promises about frames from what is stored.
 */
import type { HistoryEvent } from "../../src/protocol/history.ts";
import { frames, has } from "../../src/task/rules/frame-set.ts";
import {
  countsOf,
  listFromText,
  newLedger,
  stateOf,
  type FrameTable,
  type FrameEntry,
  type Ledger,
  type Terms,
  type Transition,
} from "../../src/task/rules/ledger.ts";
import { countOf } from "../../src/task/rules/stored-bytes.ts";
import type { Dependency } from "../../src/protocol/task.ts";
import { framesOf } from "../../src/protocol/frame-list.ts";

export interface FarmTask {
  terms: Terms;
  ledger: Ledger;
  entries: Map<number, FrameEntry>;
  events: Omit<HistoryEvent, "seq" | "task_id" | "type">[];
  canceled: { worker_id: number; lease_id: string }[];
}

/** Terms with sensible defaults. */
export function terms(frameList: string, overrides: Partial<Terms> = {}): Terms {
  return {
    id: 1,
    type: "demo_render",
    ...listFromText(frameList),
    chunk: 1,
    order: "ascending",
    leaseMs: 60_000,
    tries: 3,
    filesPerFrame: 1,
    inputTask: null,
    blender: null,
    strict: false,
    ...overrides,
  };
}

export function newTask(of: Terms, dependsOn: Dependency[] = []): FarmTask {
  return { terms: of, ledger: newLedger(dependsOn, false, 0), entries: new Map(), events: [], canceled: [] };
}

/** A transition on the task at `nowMs`. */
export function at(task: FarmTask, nowMs: number, ableWorkers = 3): Transition {
  const table: FrameTable = {
    get: (frame) => task.entries.get(frame),
    set: (frame, entry) => void (entry ? task.entries.set(frame, entry) : task.entries.delete(frame)),
  };
  return {
    terms: task.terms,
    ledger: task.ledger,
    table,
    nowMs,
    ableWorkers,
    effects: { events: task.events, canceled: task.canceled, expired: false },
  };
}

export const allFrames = (task: FarmTask) => ({
  failedFrames: () => [...task.entries].filter(([, entry]) => entry.state === "failed").map(([frame]) => frame),
  clear: () => task.entries.clear(),
});

/** The warnings of the ledger are those of the done frames, and name the lowest of them. */
function auditWarnings({ ledger, entries }: FarmTask): void {
  const found = new Map<number, number[]>();
  for (const [frame, { warnings = [] }] of entries)
    for (const id of warnings) found.set(id, [...(found.get(id) ?? []), frame]);
  const said = (ledger.warnings ?? []).map(({ id, frames: number, first_frame }) => [id, number, first_frame]);
  const rows = [...found].map(([id, its]) => [id, its.length, Math.min(...its)]);
  const sorted = (list: (number | null)[][]): string => JSON.stringify(list.toSorted((a, b) => a[0]! - b[0]!));
  if (sorted(said) !== sorted(rows)) throw new Error(`warnings ${sorted(said)} differ from rows ${sorted(rows)}`);
}

/** The sum of the stored bytes equals the frame table's, as far as it is counted. */
function auditStored({ ledger, entries }: FarmTask): void {
  const { bytes, below } = ledger.stored;
  const counted = [...entries].filter(([frame]) => below === null || frame < below);
  const files = counted.flatMap(([, entry]) => (entry.state === "done" ? entry.files : []));
  const sum = files.reduce((all, { size }) => all + size, 0);
  if (bytes !== sum) throw new Error(`P1: ${bytes} bytes are said to be stored, and the rows say ${sum}`);
  if (JSON.stringify(countOf(ledger)) !== JSON.stringify(ledger.stored))
    throw new Error("P1: the sum of the stored bytes would be taken for that of a release that does not keep it");
}

/**
 * P1 and P2 from the rows: every frame in one state, counters equal rows, no frame under two live
 * leases. Throws what is wrong.
 */
export function audit(task: FarmTask): void {
  const t = at(task, 0);
  const counted = { pending: 0, leased: 0, done: 0, failed: 0, skipped: 0 };
  for (const frame of framesOf(task.terms.list)) {
    const state = stateOf(t, frame);
    counted[state]++;
    const holders = [...task.ledger.leases].filter((lease) => has(lease.open, frame)).length;
    if (holders > 1) throw new Error(`P2: frame ${frame} is under ${holders} live leases`);
    const entry = task.entries.get(frame);
    if (holders === 1 && entry && entry.state !== "retry")
      throw new Error(`P1: frame ${frame} is leased and ${entry.state}`);
    const waiting = has(task.ledger.ready, frame) || has(task.ledger.retry, frame);
    if (waiting && state !== "pending") throw new Error(`P1: frame ${frame} waits and is ${state}`);
    if (has(task.ledger.skipped, frame) && state !== "skipped")
      throw new Error(`P1: frame ${frame} is skipped and ${state}`);
  }
  const { total, ...counts } = countsOf(task.terms, task.ledger);
  if (JSON.stringify(counts) !== JSON.stringify(counted))
    throw new Error(`P1: counters ${JSON.stringify(counts)} differ from rows ${JSON.stringify(counted)}`);
  if (total !== task.terms.total) throw new Error("P1: the total moved");
  auditStored(task);
  auditWarnings(task);
  for (const lease of task.ledger.leases) {
    for (const frame of frames(lease.open))
      if (!has(lease.frames, frame)) throw new Error(`frame ${frame} is open but not in its lease`);
    if (lease.attempt > task.ledger.attempt) throw new Error("an attempt from the future");
  }
}
