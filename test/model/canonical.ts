/**
 * One text for all worlds that differ in names only, so that there are finitely many although
 * attempts and time rise for ever. Times count from now. Attempts and keys are numbered in the
 * order of those that a worker, a message or a row still names. Workers are named by what they are
 * and hold. What no rule reads (versions, seconds, error texts) is left out.
 */
import type { FailureRecord, FrameEntry, Ledger } from "../../src/task/rules/ledger.ts";
import type { Message, Reply, Snapshot, Source, Worker, World } from "./world.ts";

/**
 * 53 bits of a text (Bryc's cyrb53). At five million states, the probability that two states of one
 * exploration have the same hash is below 1e-3.
 */
export function hashOf(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}

/**
 * The names of attempts, keys and workers in a text: attempts and keys by their place among those
 * of the same worker.
 */
interface Names {
  nowMs: number;
  tickMs: number;
  /** By worker id. */
  attempts: number[][];
  /** By worker id. */
  keys: string[][];
  /** By worker id. */
  workers: number[];
}

/** The text of a ledger by itself: what the rules may depend on. */
export function ledgerText(snapshot: Snapshot, nowMs: number, tickMs: number): string {
  const attempts: number[][] = [];
  for (const { worker, attempt } of snapshot.ledger.leases) (attempts[worker] ??= []).push(attempt);
  return taskText(snapshot, { nowMs, tickMs, attempts, keys: [], workers: [0, 1, 2, 3] });
}

/** The text of a world. */
export function worldText(world: World, tickMs: number): string {
  const names: Names = { nowMs: world.nowMs, tickMs, attempts: attemptsIn(world), keys: keysIn(world), workers: [] };
  const about = world.workers.map((worker, index) => ({ index, text: workerText(world, worker, index + 1, names) }));
  about.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  about.forEach(({ index }, place) => (names.workers[index + 1] = place));
  const parts = about.map(({ text }) => text);
  parts.push(taskText(world.memory, names));
  if (world.stored !== world.memory) parts.push("S", taskText(world.stored, names));
  if (world.pending) parts.push(world.notedStored ? "G!" : "G");
  const alarm = world.alarmMs === null ? "-" : Math.max(0, world.alarmMs - world.nowMs) / tickMs;
  if (world.flatsLeft > 0) parts.push(`C${world.flatsLeft}`);
  parts.push(
    `${alarm};${world.epoch};${world.failuresLeft};${world.refusalsLeft};${world.actsLeft};${world.preemptionsLeft};${world.noted ? 1 : 0}`,
  );
  if (world.source !== null) parts.push(sourceText(world.source));
  if (world.lossesLeft !== null) {
    // How late an alarm is matters where it may be lost.
    const late = (atMs: number | null): string =>
      atMs === null ? "-" : String(Math.max(-1, (atMs - world.nowMs) / tickMs));
    parts.push(`A${world.lossesLeft},${late(world.alarmMs)},${late(world.armedMs)}`);
  }
  if (world.objects) {
    // Where objects are followed, the number of leases is bounded.
    parts.push(`${world.memory.ledger.attempt}`);
    parts.push(
      Object.keys(world.objects)
        .map((key) => {
          const [attempt, frame] = key.split("/");
          return `${placeOf(names.attempts[1], Number(attempt))}/${frame}`;
        })
        .sort()
        .join(),
    );
  }
  return parts.join("|");
}

function attemptsIn(world: World): number[][] {
  const seen = world.workers.map(() => new Set<number>());
  const add = (worker: number, attempt: number): void => void seen[worker - 1]!.add(attempt);
  for (const { worker, attempt } of world.memory.ledger.leases) add(worker, attempt);
  if (world.stored !== world.memory) for (const { worker, attempt } of world.stored.ledger.leases) add(worker, attempt);
  world.workers.forEach((worker, index) => {
    if (worker.held) add(index + 1, worker.held.attempt);
    if (worker.call && worker.call.verb !== "claim") add(index + 1, worker.call.attempt);
    if (worker.reply?.ok && worker.reply.lease) add(index + 1, worker.reply.lease.attempt);
    for (const message of worker.old) if (message.verb !== "claim") add(index + 1, message.attempt);
  });
  if (world.objects) {
    // Garbage may be all attempts up to one, of any worker: here the order over all workers counts.
    const all = new Set(seen.flatMap((set) => [...set]));
    for (const key of Object.keys(world.objects)) all.add(Number(key.split("/")[0]));
    for (const garbage of world.memory.ledger.sweeps) all.add(garbage.attempt);
    const sorted = [...all].sort((a, b) => a - b);
    return [[], ...seen.map(() => sorted)];
  }
  return [[], ...seen.map((set) => [...set].sort((a, b) => a - b))];
}

/**
 * Keys of claims that may still arrive: only these can meet a lease again. Their names sort in the
 * order of their making.
 */
function keysIn(world: World): string[][] {
  return [
    [],
    ...world.workers.map(({ call, old }) => {
      const keys = [call, ...old].map((message) => (message?.verb === "claim" ? message.key : message?.next));
      return [...new Set(keys.filter((key) => typeof key === "string"))].sort();
    }),
  ];
}

function placeOf<T>(list: readonly T[] | undefined, item: T): number {
  return list === undefined ? -1 : list.indexOf(item);
}

function messageText(message: Message, names: Names): string {
  const keys = names.keys[message.worker];
  if (message.verb === "claim") return `k${placeOf(keys, message.key)}e${message.epoch}`;
  const { verb, worker, attempt, done, flat = [], failed, cause = "", fault = "", read, next, epoch } = message;
  const colours = flat.length > 0 ? `C${flat.join()}` : "";
  return `${colours}${verb.slice(0, 3)}${cause}${fault}${read ? `${read.files}@${read.at}` : ""}${placeOf(names.attempts[worker], attempt)}d${done.join()}b${failed.join()}n${next === null ? "" : placeOf(keys, next)}e${epoch}`;
}

function replyText(reply: Reply, worker: number, names: Names): string {
  if (!reply.ok) return reply.code;
  const { lease } = reply;
  return lease ? `L${placeOf(names.attempts[worker], lease.attempt)}` : "none";
}

function workerText(world: World, worker: Worker, id: number, names: Names): string {
  const { ledger, entries } = world.memory;
  let text = `${worker.phase[0]}${worker.epoch}${worker.carriedOut ? "!" : ""}`;
  if (worker.held) {
    text += `h${placeOf(names.attempts[id], worker.held.attempt)}f${worker.held.frames.join()}d${worker.done.join()}`;
    if (worker.flat.length > 0) text += `C${worker.flat.join()}`;
    if (world.objects) text += `g${Math.max(0, worker.held.grantMs - world.nowMs) / names.tickMs}`;
  }
  if (worker.call) text += `c${messageText(worker.call, names)}`;
  if (worker.reply) text += `r${replyText(worker.reply, id, names)}`;
  if (worker.waits) text += worker.waits.carriedOut ? "w!" : "w";
  if (worker.read !== null) text += `R${worker.read.files}@${worker.read.at}`;
  for (const message of worker.old) text += `o${messageText(message, names)}`;
  if (worker.blenders.length > 0) text += `V${worker.blenders.join()}`;
  // What the ledger says of the worker, so that workers with the same text are the same for the
  // ledger, too.
  for (const lease of ledger.leases) if (lease.worker === id) text += `l${lease.frames.join()}`;
  const record = ledger.blames.find((b) => b.worker === id);
  if (record) text += `B${recordText(record, world.nowMs, 1)}`;
  if (ledger.streak.workers.includes(id)) text += "S";
  for (const [frame, entry] of Object.entries(entries)) {
    if (mayBeNamed(entry) && entry.worker === id && placeOf(names.attempts[id], entry.attempt) >= 0)
      text += `D${frame}`;
    for (const [who, count] of entry.failures) if (who === id) text += `F${frame}x${count}`;
    if (entry.refusals?.includes(id)) text += `R${frame}`;
  }
  return text;
}

function taskText({ ledger, entries }: Snapshot, names: Names): string {
  const { nowMs, tickMs, attempts, keys, workers } = names;
  let text = `${ledger.cursor};${ledger.ready.join()};${ledger.retry.join()};${ledger.skipped.join()};${flags(ledger)};${ledger.outranked}`;
  if (ledger.streak.failures > 0)
    text += `;S${ledger.streak.failures}:${ledger.streak.workers
      .map((id) => workers[id])
      .toSorted((a, b) => a! - b!)
      .join()}`;
  const leases = [...ledger.leases].map(
    ({ attempt, worker, key, frames, open, until_ms, stored_ms, source = "", blender = "" }) =>
      `;L${workers[worker]}a${placeOf(attempts[worker], attempt)}k${placeOf(keys[worker], key)}f${frames.join()}o${open.join()}u${Math.max(0, until_ms - nowMs) / tickMs}s${Math.max(0, stored_ms - nowMs) / tickMs}${source}${blender}`,
  );
  text += leases.length > 1 ? leases.sort().join("") : (leases[0] ?? "");
  for (const [frame, entry] of Object.entries(entries)) {
    text += `;${frame}${entry.state}${entry.blender ?? ""}${entry.one_colour ?? ""}`;
    // The worker and attempt matter only as long as a repeated call may name them.
    const place = mayBeNamed(entry) ? placeOf(attempts[entry.worker], entry.attempt) : -1;
    if (place >= 0) text += `${workers[entry.worker]}a${place}`;
    for (const [who, count] of [...entry.failures].sort((a, b) => workers[a[0]]! - workers[b[0]]!))
      text += `F${workers[who]}x${count}`;
    for (const who of (entry.refusals ?? []).map((id) => workers[id]!).toSorted((a, b) => a - b)) text += `R${who}`;
  }
  for (const b of [...ledger.blames].sort((a, b) => workers[a.worker]! - workers[b.worker]!))
    text += `;B${workers[b.worker]}:${recordText(b, nowMs, tickMs)}`;
  for (const garbage of ledger.sweeps)
    text += `;X${placeOf(attempts[1], garbage.attempt)}${garbage.only ? "o" : ""}f${garbage.frames.join()}d${Math.max(0, garbage.due_ms - nowMs) / tickMs}`;
  for (const { version, state, opened, closed = [], outdated = [], files_version = "" } of ledger.dependencies)
    text += `;D${version}${state}o${opened.join()}c${closed.join()}u${outdated.join()}v${files_version}m${ledger.made_from ?? ""}`;
  return ledger.bound_blender === undefined ? text : `${text};V${ledger.bound_blender}`;
}

/** A completion that is repeated may name the frame: it is done, or failed when the completion was carried out. */
function mayBeNamed({ state, one_colour }: FrameEntry): boolean {
  return state === "done" || one_colour === "told";
}

function sourceText(source: Source): string {
  const { version, done, filesVersion, takesLeft, takenBack, told, old, outdated, made } = source;
  return JSON.stringify([version, done, filesVersion, takesLeft, takenBack, told.version, old, outdated, made]);
}

function recordText(record: FailureRecord, nowMs: number, tickMs: number): string {
  const { streak, times, kept_off_until_ms, holds = 0, held_until_ms = 0 } = record;
  const left = (untilMs: number): number => Math.max(0, untilMs - nowMs) / tickMs;
  return `${streak}:${times}:${left(kept_off_until_ms)}:${holds}:${left(held_until_ms)}`;
}

function flags(ledger: Ledger): string {
  return `${ledger.paused ? "p" : ""}${ledger.canceled ? "c" : ""}${ledger.stopped === null ? "" : "s"}${ledger.error === null ? "" : "e"}`;
}
