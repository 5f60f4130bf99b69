/**
 * The world in which inputs are checked, stored, used and swept: D1, R2, tasks, actors, and time in
 * coarse steps. A world is never changed: every move makes a new one.
 */
import { answered, newActor, type Actor, type Answer, type Effect, type Named } from "./actor.ts";
import { batch, type State } from "./database.ts";
import { hashOf, pieceNamesOf, readable } from "./names.ts";

export const SECOND = 1_000;
export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;
/** The platform's part: a call takes effect so long after it was begun, or never. */
const WITHIN = { d1: HOUR, r2: MINUTE, registry: MINUTE, task: MINUTE, create: HOUR, pause: 5 * DAY } as const;
/** What is called stored stays so long. */
const PROMISED_MS = 6 * DAY;

export interface Configuration {
  name: string;
  /** The inputs that are there, by name. */
  inputs: Record<string, Present>;
  /** What the tasks that exist name. */
  tasks: Named[][];
  /** What the submitters name. */
  submitters: Named[][];
  /** Sweeps at a time, and in all. */
  sweepsAtOnce: number;
  sweeps: number;
  removals: number;
  crashes: number;
  /** Calls that fail. */
  faults: number;
  /** Answers that take their time; all others are there at once. */
  slow: number;
  /** A run has asked all tasks, and its marker has been there for long enough. */
  isDeleting: boolean;
  /** How often time passes, and how much of it: any of these. */
  steps: number;
  stepsMs: number[];
}

export interface Present {
  usedDaysAgo: number;
  /** It came as a piece list; else as an ordinary input, whatever its text is. */
  asList?: boolean;
  /** A sweep that died had begun to delete it. */
  givenUp?: boolean;
  /** It was deleted just now: there is its row alone. */
  deleted?: boolean;
  /** Of a deleted one: its object has come again since, and its sender has died before D1 knew. */
  cameAgain?: boolean;
  /** D1 did not take its row: a marker stands in for it. */
  marked?: boolean;
}

export interface StoredObject {
  key: string;
  uploadedMs: number;
  body: string;
  custom: Record<string, string>;
}

/** An actor whose call is under way, and when that was begun. */
interface Running {
  actor: Actor;
  beganMs: number;
  /** It was carried out, and this is on its way back. */
  answer?: Answer;
}

/** A call whose caller has gone. */
interface Orphan {
  effect: Effect;
  effectId: number;
  beganMs: number;
}

export interface World {
  nowMs: number;
  d1: State;
  objects: Record<string, StoredObject>;
  tasks: { named: Named[]; removed: boolean }[];
  running: Running[];
  orphans: Orphan[];
  /** Input → until when it must be there. */
  promised: Record<string, number>;
  left: { sweeps: number; removals: number; crashes: number; faults: number; slow: number; steps: number };
}

export class Broken extends Error {}

export const START_MS = 1_800_000_000_000;

/** A move: what happened, and the world after it. */
export type Move = [label: string, after: World];

/** An effect on the world, and its answer. */
function carryOut(world: World, effect: Effect, effectId: number): { after: World; value: unknown } {
  switch (effect.to) {
    case "d1": {
      const { state, results } = batch(world.d1, effect.batch, effectId);
      return { after: { ...world, d1: state }, value: results };
    }
    case "r2":
      return bucket(world, effect);
    case "registry":
      return { after: world, value: world.tasks.map((_, i) => i + 1).filter((id) => id > effect.after) };
    case "task": {
      const { named, removed } = world.tasks[effect.id - 1]!;
      const hashes = (some: Named[]): string[] => some.map(({ input }) => hashOf(input));
      const answer = { inputs: hashes(named), lists: hashes(named.filter(({ asList }) => asList)) };
      return { after: world, value: removed ? null : answer };
    }
    case "create":
      return { after: { ...world, tasks: [...world.tasks, { named: effect.named, removed: false }] }, value: null };
    case "pause":
      return { after: world, value: null };
  }
}

function bucket(world: World, effect: Extract<Effect, { to: "r2" }>): { after: World; value: unknown } {
  const { objects } = world;
  switch (effect.call) {
    case "head":
    case "get":
      return { after: world, value: objects[effect.key] ?? null };
    case "list":
      return { after: world, value: Object.values(objects).filter(({ key }) => key.startsWith(effect.key)) };
    case "delete": {
      const left = Object.entries(objects).filter(([key]) => !effect.keys!.includes(key));
      return { after: { ...world, objects: Object.fromEntries(left) }, value: null };
    }
    case "put": {
      const { key, body = "", custom = {}, onlyOver } = effect;
      const isThis = onlyOver === undefined || onlyOver === (objects[key]?.body ?? null);
      if (!isThis) return { after: world, value: null };
      const stored = { key, body, custom, uploadedMs: world.nowMs };
      return { after: { ...world, objects: { ...objects, [key]: stored } }, value: stored };
    }
  }
}

/**
 * Whether nothing else can change what this call is answered, and it changes nothing: then it does not
 * matter what happens before it.
 */
function isAlone(world: World, { actor }: Running): boolean {
  if (actor.effect!.to !== "d1" || actor.role !== "sweep" || world.orphans.length > 0) return false;
  const { sql } = actor.effect!.batch[0]!;
  if (sql.includes("FROM inputs_fill")) return true;
  return sql === "SELECT * FROM input_sweep WHERE id = 1" && sweepsIn(world) === 1;
}

function sweepsIn(world: World): number {
  return world.running.filter(({ actor }) => actor.role === "sweep").length;
}

/** Everything that can happen next. */
export async function moves(world: World, configuration: Configuration): Promise<Move[]> {
  const found: Move[] = [];
  const { left } = world;
  const alone = world.running.find((running) => isAlone(world, running));
  for (const [i, running] of world.running.entries()) {
    if (alone && running !== alone) continue;
    const { actor, beganMs } = running;
    const effect = actor.effect!;
    const who = `${actor.role} ${actor.number}`;
    const what = nameOf(effect);
    const others = world.running.filter((_, j) => j !== i);
    const goOn = async (before: World, answer: Answer): Promise<World> =>
      await advance({ ...before, running: others }, running, answer);
    if (running.answer) {
      found.push([`${who}: ${what}, answered`, await goOn(world, running.answer)]);
      continue;
    }
    const orphans = [...world.orphans, { effect, effectId: actor.effectId, beganMs }];
    if (isInTime(world, effect, beganMs)) {
      const { after, value } = carryOut(world, effect, actor.effectId);
      found.push([`${who}: ${what}`, await goOn(after, { value })]);
      if (alone) return found;
      if (left.slow > 0 && (effect.to === "d1" || effect.to === "r2")) {
        const fewer = { ...left, slow: left.slow - 1 };
        const waiting = { ...running, answer: { value } };
        found.push([`${who}: ${what}, slow`, { ...after, running: [...others, waiting], left: fewer }]);
      }
      if (left.faults > 0 && effect.to !== "pause") {
        const fewer = { ...left, faults: left.faults - 1 };
        found.push([`${who}: ${what}, refused`, await goOn({ ...world, left: fewer }, { failed: true })]);
        found.push([`${who}: ${what}, answer lost`, await goOn({ ...after, left: fewer }, { failed: true })]);
        if (effect.to === "d1" || effect.to === "r2")
          found.push([`${who}: ${what}, late`, await goOn({ ...world, left: fewer, orphans }, { failed: true })]);
      }
    } else found.push([`${who}: ${what}, timed out`, await goOn(world, { failed: true })]);
    if (left.crashes > 0 && actor.role === "sweep") {
      const fewer = { ...left, crashes: left.crashes - 1 };
      found.push([`${who} dies at ${what}`, { ...world, running: others, orphans, left: fewer }]);
    }
  }
  for (const [i, orphan] of world.orphans.entries()) {
    const orphans = world.orphans.filter((_, j) => j !== i);
    if (isInTime(world, orphan.effect, orphan.beganMs)) {
      const { after } = carryOut(world, orphan.effect, orphan.effectId);
      found.push([`late: ${nameOf(orphan.effect)}`, { ...after, orphans }]);
    }
  }
  if (left.sweeps > 0 && sweepsIn(world) < configuration.sweepsAtOnce) {
    const begun = { ...world, left: { ...left, sweeps: left.sweeps - 1 } };
    found.push(["a sweep begins", await begin(begun, "sweep", configuration.sweeps - left.sweeps + 1, [])]);
  }
  if (left.removals > 0) {
    const at = world.tasks.findIndex(({ removed }) => !removed);
    if (at !== -1) {
      const tasks = world.tasks.map((task, i) => (i === at ? { ...task, removed: true } : task));
      found.push([`task ${at + 1} is removed`, { ...world, tasks, left: { ...left, removals: left.removals - 1 } }]);
    }
  }
  if (left.steps > 0)
    for (const ms of configuration.stepsMs) {
      const nowMs = world.nowMs + ms;
      const orphans = world.orphans.filter(({ effect, beganMs }) => isInTime({ nowMs }, effect, beganMs));
      found.push([`${ms / SECOND} s pass`, { ...world, nowMs, orphans, left: { ...left, steps: left.steps - 1 } }]);
    }
  return found;
}

function isInTime({ nowMs }: Pick<World, "nowMs">, effect: Effect, beganMs: number): boolean {
  return nowMs - beganMs <= WITHIN[effect.to];
}

async function advance(world: World, { actor: before }: Running, answer: Answer): Promise<World> {
  const actor = await answered(before, answer, world.nowMs);
  const promised = { ...world.promised };
  for (const { named, atMs } of actor.claims.slice(before.claims.length))
    for (const input of named.flatMap(withPieces)) promised[input] = Math.max(promised[input] ?? 0, atMs + PROMISED_MS);
  const on = actor.effect ? [{ actor, beganMs: world.nowMs }] : [];
  return { ...world, promised, running: [...world.running, ...on] };
}

/** An actor begins. */
export async function begin(world: World, role: Actor["role"], number: number, named: Named[]): Promise<World> {
  const actor = await newActor(role, number, named, world.nowMs);
  return { ...world, running: [...world.running, { actor, beganMs: world.nowMs }] };
}

function nameOf(effect: Effect): string {
  switch (effect.to) {
    case "d1":
      return effect.batch.map(({ sql }) => sql.trim().split(/\s+/).slice(0, 3).join(" ")).join(" + ");
    case "r2":
      return `${effect.call} ${readable(effect.key || effect.keys!.join(", "))}`;
    case "task":
      return `ask task ${effect.id}`;
    case "registry":
    case "create":
    case "pause":
      return effect.to;
  }
}

/** What must be there for this to be. */
function withPieces({ input, asList }: Named): string[] {
  return asList ? [input, ...pieceNamesOf(input)] : [input];
}

/**
 * P14: what is in use, or was called stored, is there, of a list also its pieces; and whatever the
 * index calls live, or a list, is.
 */
export function check(world: World): void {
  const isThere = (input: string): boolean => world.objects[`assets/${hashOf(input)}`] !== undefined;
  for (const [i, { named, removed }] of world.tasks.entries())
    for (const input of removed ? [] : named.flatMap(withPieces))
      if (!isThere(input)) throw new Broken(`task ${i + 1} needs ${input}, which is not there`);
  for (const [input, untilMs] of Object.entries(world.promised))
    if (world.nowMs <= untilMs && !isThere(input)) throw new Broken(`${input} was called stored, and is not there`);
  for (const { sha256, deleting_until_ms, whole_size } of world.d1.inputs) {
    if (deleting_until_ms !== null) continue;
    const row = { input: readable(sha256), asList: whole_size !== null };
    for (const input of withPieces(row))
      if (!isThere(input)) throw new Broken(`${row.input} is live, and ${input} is not there`);
  }
}

/** From here, once all else has ended, sweeps alone bring the farm to where nothing unused is left. */
export async function checkEnd(world: World): Promise<void> {
  let at: World = {
    ...world,
    running: [],
    orphans: [],
    nowMs: world.nowMs + 40 * DAY,
    left: { sweeps: 0, removals: 0, crashes: 0, faults: 0, slow: 0, steps: 0 },
  };
  // A sweep that reads a note spares what it names for another week.
  for (let sweeps = 0; sweeps < 12; sweeps++) {
    const unused = unusedIn(at);
    if (unused === null) return;
    if (sweeps === 11) throw new Broken(`nothing uses ${unused}, and no sweep deletes it`);
    if (sweeps === 6) at = { ...at, nowMs: at.nowMs + 8 * DAY };
    at = await begin(at, "sweep", 100, []);
    while (at.running.length > 0) {
      const [running] = at.running as [Running];
      const { after, value } = carryOut(at, running.actor.effect!, running.actor.effectId);
      at = await advance({ ...after, running: [] }, running, { value });
      check(at);
    }
    at = { ...at, nowMs: at.nowMs + 6 * MINUTE };
  }
}

/** An input that nothing uses, and that is not deleted; null when there is none. */
function unusedIn({ tasks, d1, objects }: World): string | null {
  const used = new Set(tasks.flatMap(({ named, removed }) => (removed ? [] : named.flatMap(withPieces).map(hashOf))));
  // Who names a list as an ordinary input keeps its pieces as well, for as long as the row names them.
  for (const { sha256, pieces } of d1.inputs)
    if (used.has(sha256)) for (const piece of JSON.parse(pieces ?? "[]") as string[]) used.add(piece);
  const left = d1.inputs.find(
    ({ sha256, deleting_until_ms }) =>
      !used.has(sha256) && (deleting_until_ms === null || objects[`assets/${sha256}`] !== undefined),
  );
  return left ? readable(left.sha256) : null;
}
