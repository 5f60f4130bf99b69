/**
 * The audit checks, from rows and stored objects alone, everything that must be true when faults
 * have ended and the farm is quiet. It does not trust the manager's own results: it counts again,
 * replays the history, and compares bytes with those that were sent.
 */
import type { HistoryRow } from "../../src/protocol/history-rows.ts";
import { parseFrameList, framesOf } from "../../src/protocol/frame-list.ts";
import type { FrameState } from "../../src/protocol/task.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import {
  countsOf,
  listFromText,
  statusOf,
  type FrameEntry,
  type Ledger,
  type Terms,
} from "../../src/task/rules/ledger.ts";
import { Leases, type LiveLease } from "../../src/task/rules/lease-index.ts";
import { frames as framesOfSet, has } from "../../src/task/rules/frame-set.ts";
import { storedBytes } from "../../src/task/rules/stored-bytes.ts";
import { outputId, type Journal } from "./event-journal.ts";

/** One task, as the rows of its object have it. */
export interface StoredTask {
  id: number;
  definition: {
    id: number;
    type: string;
    frame_list: string;
    files_per_frame: 0 | 1;
    lease_ms: number;
    tries: number;
    chunk: number | "auto";
    order: "ascending" | "preview";
  };
  ledger: Ledger;
  chores: { outbox_due_ms: number | null; news_due_ms: number | null; remove: unknown };
  tail: HistoryEvent[];
  entries: Map<number, FrameEntry>;
  /** Number of rows in the outbox. */
  waiting: number;
}

export interface Facts {
  tasks: StoredTask[];
  /** Deleted tasks: their objects must hold no rows. */
  deleted: { id: number; rows: number }[];
  objects: { key: string; text: string }[];
  history: (Omit<HistoryRow, "events"> & { events: string })[];
  /** The rows of the totals. */
  totals: { open: { day: number; task_id: number; entries: string }[]; packed: { day: number; entries: string }[] };
  /** The registry's summaries. */
  listed: {
    id: number;
    status: string;
    frames: Record<string, number>;
    seconds: number;
    stored_bytes?: number | null;
  }[];
  journal: Journal;
}

/** All problems that were found; empty when all promises held. */
export function audit(facts: Facts): string[] {
  const problems = facts.journal.surprises.slice(0, 20);
  const report = (text: string): void => void problems.push(text);
  for (const task of facts.tasks) {
    auditFrames(task, report);
    auditQuiet(task, report);
    const done = replay(task.id, facts.history, report);
    auditCommits(task, done, facts.journal, report);
    auditRepeats(task, facts.journal, report);
    auditRegistry(task, facts.listed, report);
  }
  for (const { id, rows } of facts.deleted) {
    if (rows > 0) report(`task ${id} is deleted, but its object holds ${rows} rows`);
    if (facts.listed.some((task) => task.id === id)) report(`task ${id} is deleted and still listed`);
    const done = replay(id, facts.history, report);
    if (!done.events.some((event) => event.kind === "deleted"))
      report(`P7: nobody can read that task ${id} was deleted`);
  }
  auditTotals(facts, report);
  auditObjects(facts, report);
  return problems;
}

type Report = (text: string) => void;

function termsOf({ id, definition }: StoredTask): Terms {
  const { type, chunk, order, lease_ms, tries, files_per_frame } = definition;
  return {
    id,
    type,
    ...listFromText(definition.frame_list),
    chunk,
    order,
    leaseMs: lease_ms,
    tries,
    filesPerFrame: files_per_frame,
    inputTask: null,
    strict: false,
    blender: null,
  };
}

/** P1: every frame has one state, counters equal rows, seconds add up. */
function auditFrames(task: StoredTask, report: Report): void {
  const terms = termsOf(task);
  const { ledger, entries } = task;
  const counted = { total: terms.total, pending: 0, leased: 0, done: 0, failed: 0, skipped: 0 };
  let seconds = 0;
  let bytes = 0;
  for (const frame of framesOf(terms.list)) {
    const entry = entries.get(frame);
    const places: FrameState[] = [];
    if ([...ledger.leases].some((lease) => has(lease.open, frame))) places.push("leased");
    if (entry && entry.state !== "retry") places.push(entry.state);
    if (has(ledger.skipped, frame)) places.push("skipped");
    if (places.length > 1) report(`P1: frame ${frame} of task ${task.id} is ${places.join(" and ")}`);
    counted[places[0] ?? "pending"]++;
    if (entry?.state === "done") {
      seconds += entry.seconds;
      for (const { size } of entry.files) bytes += size;
    }
  }
  for (const frame of entries.keys())
    if (![...framesOf(terms.list)].includes(frame))
      report(`P1: task ${task.id} has a row for frame ${frame}, which is not its own`);
  const claimed = countsOf(terms, ledger);
  if (JSON.stringify(claimed) !== JSON.stringify(counted))
    report(`P1: task ${task.id} counts ${JSON.stringify(claimed)}, its rows say ${JSON.stringify(counted)}`);
  if (Math.abs(seconds - ledger.seconds) > 1e-6)
    report(`P1: task ${task.id} says ${ledger.seconds} s, its rows ${seconds} s`);
  if (storedBytes(ledger) !== bytes)
    report(`P1: task ${task.id} says ${storedBytes(ledger)} stored bytes, its rows ${bytes}`);
  const status = statusOf(terms, ledger);
  if (status !== "completed") report(`task ${task.id} is stuck: ${status}, ${JSON.stringify(claimed)}`);
}

/** Nothing is left: no lease, no upload to sweep, no update that is due. */
function auditQuiet({ id, ledger, chores, tail, waiting }: StoredTask, report: Report): void {
  if (ledger.leases.size > 0) report(`task ${id} still has live leases: ${JSON.stringify(ledger.leases)}`);
  if (ledger.sweeps.length > 0) report(`task ${id} still has uploads to sweep: ${JSON.stringify(ledger.sweeps)}`);
  if (tail.length + waiting > 0)
    report(`P7: task ${id} keeps ${tail.length} events and ${waiting} rows that are not in D1`);
  // That a report was made is not stored; the registry's list shows it.
  for (const name of ["outbox_due_ms", "news_due_ms"] as const)
    if (chores[name] !== null) report(`task ${id} still has ${name} = ${chores[name]}`);
}

interface Replayed {
  events: HistoryEvent[];
  /** Frame → who committed it last, according to the history. */
  done: Map<number, { attempt: number; worker: number }>;
  /** `frame/attempt/worker` of every commit. */
  commits: Set<string>;
}

/** P7, P3, P2: replay the history of a task; each event once, in order, and no impossible event. */
function replay(id: number, rows: Facts["history"], report: Report): Replayed {
  const own = rows.filter((row) => row.task_id === id);
  const events = own.flatMap((row) => JSON.parse(row.events) as HistoryEvent[]).toSorted((a, b) => a.seq - b.seq);
  for (const [i, event] of events.entries())
    if (event.seq !== i + 1) {
      report(`P7: task ${id}'s history has seq ${event.seq} where ${i + 1} should be`);
      break;
    }
  for (const row of own) {
    const of = (kind: string): number =>
      (JSON.parse(row.events) as HistoryEvent[])
        .filter((e) => e.kind === kind)
        .reduce((sum, e) => sum + e.frame_count, 0);
    if (of("done") !== row.frames_done || of("error") !== row.frames_error || of("lost") !== row.frames_lost)
      report(`P7: the sums of row ${row.seq} of task ${id} differ from its events`);
  }
  const done: Replayed["done"] = new Map();
  const commits = new Set<string>();
  const lost = new Set<string>();
  for (const event of events) {
    const frames = framesIn(event.frames);
    if (event.kind === "requeued") for (const frame of frames) done.delete(frame);
    for (const frame of frames) {
      const key = `${frame}/${event.attempt}`;
      if (event.kind === "lost" || event.kind === "error") lost.add(key);
      if (event.kind !== "done") continue;
      if (lost.has(key))
        report(`P2: attempt ${event.attempt} of task ${id} committed frame ${frame} after it had lost it`);
      if (done.has(frame))
        report(
          `P3: frame ${frame} of task ${id} was committed twice: attempts ${done.get(frame)!.attempt}, ${event.attempt}`,
        );
      done.set(frame, { attempt: event.attempt!, worker: event.worker_id! });
      commits.add(`${key}/${event.worker_id}`);
    }
  }
  return { events, done, commits };
}

function framesIn(text: string | null): number[] {
  if (text === null) return [];
  const list = parseFrameList(text);
  return list.ok ? [...framesOf(list.value)] : [];
}

/** P3, P4: rows and history have the same commits, and all acknowledged commits are among them. */
function auditCommits(
  { id, entries, definition }: StoredTask,
  replayed: Replayed,
  journal: Journal,
  report: Report,
): void {
  for (const [frame, entry] of entries) {
    if (entry.state !== "done") continue;
    const told = replayed.done.get(frame);
    if (told?.attempt !== entry.attempt || told.worker !== entry.worker)
      report(
        `P7: frame ${frame} of task ${id} is by attempt ${entry.attempt}, its history says ${told?.attempt ?? "nothing"}`,
      );
    if (entry.files.length !== definition.files_per_frame)
      report(`P11: frame ${frame} of task ${id} is done with ${entry.files.length} files`);
  }
  for (const frame of replayed.done.keys())
    if (entries.get(frame)?.state !== "done")
      report(`P4: history has frame ${frame} of task ${id} done, its row does not`);
  for (const { task, attempt, worker, frames } of journal.acknowledged) {
    if (task !== id) continue;
    for (const frame of frames)
      if (!replayed.commits.has(`${frame}/${attempt}/${worker}`))
        report(`P4: frame ${frame} of task ${id} was acknowledged to attempt ${attempt} and is in no history`);
  }
}

/** P7: the totals of each worker on each day are those of its events; each event is counted once. */
function auditTotals({ history, totals }: Pick<Facts, "history" | "totals">, report: Report): void {
  const told = new DaySums();
  for (const row of history)
    told.add(
      Math.floor(row.from_ms / 86_400_000),
      [row.worker_id ?? 0, row.frames_done, row.frames_error, row.frames_lost, row.seconds],
      [row.task_id],
    );
  const counted = new DaySums();
  for (const { day, task_id, entries } of totals.open)
    for (const entry of JSON.parse(entries) as number[][]) counted.add(day, entry, [task_id]);
  for (const { day, entries } of totals.packed)
    for (const [worker, frames, errors, lost, seconds, , tasks] of JSON.parse(entries) as [
      ...[number, number, number, number, number, number],
      number[],
    ][])
      counted.add(day, [worker, frames, errors, lost, seconds], tasks);
  const [events, sums] = [told.text(), counted.text()];
  if (events !== sums) report(`P7: the totals say ${sums}, the events of the history ${events}`);
}

/** Sums by day and worker, with the tasks that they are about. */
class DaySums {
  readonly #sums = new Map<string, { counts: number[]; tasks: Set<number> }>();

  add(day: number, [worker, ...counts]: readonly number[], tasks: readonly number[]): void {
    const key = `${day}/${worker}`;
    const sum = this.#sums.get(key) ?? { counts: [0, 0, 0, 0], tasks: new Set() };
    this.#sums.set(key, sum);
    sum.counts = sum.counts.map((before, i) => before + counts[i]!);
    for (const task of tasks) sum.tasks.add(task);
  }

  /** All of it, in an order that does not depend on how it was added up; seconds are rounded. */
  text(): string {
    return [...this.#sums]
      .map(([key, { counts, tasks }]) => {
        const list = [...tasks].toSorted((a, b) => a - b).join("+");
        return `${key}: ${counts.map((count) => count.toFixed(3)).join(" ")} in ${list}`;
      })
      .toSorted()
      .join("; ");
  }
}

/**
 * P3: a completion that was carried out, and whose answer was lost, is not refused when it is
 * repeated.
 */
function auditRepeats({ id, entries }: StoredTask, journal: Journal, report: Report): void {
  for (const { task, attempt, worker, frames } of journal.refused) {
    const isResult = (frame: number): boolean => {
      const entry = entries.get(frame);
      return entry?.state === "done" && entry.attempt === attempt && entry.worker === worker;
    };
    if (task === id && frames.length > 0 && frames.every(isResult))
      report(`P3: attempt ${attempt} of task ${id} was told that it is lost, and its frames are the result`);
  }
}

/** The registry's lists agree with the rows. */
function auditRegistry(task: StoredTask, listed: Facts["listed"], report: Report): void {
  const summary = listed.find(({ id }) => id === task.id);
  const counts = countsOf(termsOf(task), task.ledger);
  if (!summary) report(`task ${task.id} is not listed`);
  else if (JSON.stringify({ ...counts, ...summary.frames }) !== JSON.stringify(counts))
    report(
      `the registry lists task ${task.id} with ${JSON.stringify(summary.frames)}, it has ${JSON.stringify(counts)}`,
    );
  if (summary && summary.stored_bytes !== storedBytes(task.ledger))
    report(`the registry lists ${summary.stored_bytes} bytes of task ${task.id}, it has ${storedBytes(task.ledger)}`);
}

/**
 * P3, P11: an object for every committed file, with the bytes that its attempt sent, and no other
 * object.
 */
function auditObjects({ tasks, objects, journal }: Facts, report: Report): void {
  const left = new Map(objects.map(({ key, text }) => [key, text]));
  for (const { id, entries } of tasks) {
    for (const [frame, entry] of entries) {
      for (const file of entry.state === "done" ? entry.files : []) {
        const key = `tasks/${id}/${entry.attempt}/${file.name}`;
        const text = left.get(key);
        left.delete(key);
        if (text === undefined) report(`P3: frame ${frame} of task ${id} is done, but ${key} is not there`);
        else if (text !== journal.sent.get(outputId(id, entry.attempt, file.name)))
          report(`P3: ${key} does not hold the bytes that attempt ${entry.attempt} sent`);
      }
    }
  }
  // The open marker stays until a run of the watchdog finds nothing to do.
  for (const key of left.keys()) if (!key.startsWith("farm/")) report(`an orphan is left after the sweep: ${key}`);
}

/** The changes in a journal row that were made after the record was last written as a whole. */
interface Change {
  ledger: Partial<Ledger>;
  chores: Partial<StoredTask["chores"]>;
  leases: LiveLease[];
  ended: string[];
  entries: [number, FrameEntry | null][];
  events: HistoryEvent[];
}

/** Read a task from its rows: the record, the pages, and the later changes in the journal. */
export function storedTask(id: number, rows: Record<string, Record<string, unknown>[]>): StoredTask {
  const json = (row: Record<string, unknown> | undefined): unknown => JSON.parse(String(row?.["json"]));
  const { ledger, chores, tail } = json(rows["record"]?.[0]) as Pick<StoredTask, "chores" | "tail"> & {
    ledger: Omit<Ledger, "leases"> & { leases: LiveLease[] };
  };
  const entries = new Map<number, FrameEntry>();
  for (const page of rows["pages"] ?? [])
    for (const [frame, entry] of Object.entries(json(page) as Record<string, FrameEntry>))
      entries.set(Number(frame), entry);
  const newer = (rows["journal"] ?? []).filter((row) => Number(row["version"]) > ledger.version);
  ledger.leases.push(...(rows["leases"] ?? []).flatMap((row) => json(row) as LiveLease[]));
  for (const row of newer.toSorted((a, b) => Number(a["version"]) - Number(b["version"]))) {
    const change = json(row) as Change;
    const touched = new Set([...change.ended, ...change.leases.map((lease) => lease.lease_id)]);
    const leases = [...ledger.leases.filter((lease) => !touched.has(lease.lease_id)), ...change.leases];
    Object.assign(ledger, change.ledger, { leases });
    Object.assign(chores, change.chores);
    tail.push(...change.events);
    for (const [frame, entry] of change.entries) {
      if (entry) entries.set(frame, entry);
      else entries.delete(frame);
    }
  }
  const definition = json(rows["definition"]?.[0]) as StoredTask["definition"];
  return {
    id,
    definition,
    ledger: { ...ledger, leases: new Leases(ledger.leases) },
    chores,
    tail,
    entries,
    waiting: rows["outbox"]?.length ?? 0,
  };
}

/** Problems with what must hold at every moment (P1, P2): checked during a run. */
export function watchProblems({ id, definition, ledger }: StoredTask): string[] {
  const problems: string[] = [];
  const { total, ...states } = countsOf({ total: listFromText(definition.frame_list).total } as Terms, ledger);
  if (Object.values(states).some((n) => n < 0 || n > total))
    problems.push(`P1: task ${id} counts ${JSON.stringify(states)}`);
  const held = new Map<number, number>();
  const keys = new Set([...ledger.leases].map(({ worker, key }) => `${worker}/${key}`));
  if (keys.size < ledger.leases.size) problems.push(`P3: one claim made two leases of task ${id}`);
  for (const { attempt, open } of ledger.leases) {
    for (const frame of framesOfSet(open)) {
      if (held.has(frame))
        problems.push(`P2: frame ${frame} of task ${id} is under attempts ${held.get(frame)} and ${attempt}`);
      held.set(frame, attempt);
    }
  }
  if (held.size !== states.leased)
    problems.push(`P1: task ${id} counts ${states.leased} leased frames and leases ${held.size}`);
  return problems;
}
