/**
 * Actors of the model: the product's own functions, which run against bindings that stop at each call.
 * An actor is what it has been answered so far; from that, the function is run again up to its next
 * call. So a world can hold an actor at any point, and be copied.
 */
import type { Result } from "../../../src/lib/result.ts";
import type { Piece } from "../../../src/protocol/piece-list.ts";
import type { Statement } from "./database.ts";
import { bodyOf, hashOf, pieceNamesOf, piecesOf } from "./names.ts";

type Clock = () => number;
type Sizes = Result<Map<string, { size: number; whole: number | null }>, unknown>;

/** The functions that are explored. Their own types need the runtime's declarations, which conflict with Node's. */
interface Product {
  sizesOfInputs: (
    storage: Storage,
    hashes: readonly string[],
    now: Clock,
    lists: ReadonlySet<string>,
  ) => Promise<Sizes>;
  takePieceList: (
    storage: Storage,
    sha256: string,
    pieces: readonly Piece[],
    now: Clock,
  ) => Promise<Result<unknown, unknown>>;
  noteStored: (
    storage: Storage,
    inputs: { sha256: string; size: number }[],
    seenMs: number,
    now: Clock,
  ) => Promise<Map<string, unknown>>;
  storeOnce: (bucket: object, upload: object) => Promise<Result<unknown, unknown>>;
  sweepInputs: (dependencies: object, order: { days: number; deletes: boolean }) => Promise<unknown>;
}

async function load(): Promise<Product> {
  const modules: unknown[] = [];
  for (const name of ["stored-inputs", "store", "input-sweep"])
    modules.push(await import(new URL(`../../../src/files/${name}.ts`, import.meta.url).href));
  return Object.assign({}, ...modules) as Product;
}

const { sizesOfInputs, takePieceList, noteStored, storeOnce, sweepInputs } = await load();

/** A call of a binding. */
export type Effect =
  | { to: "d1"; batch: Statement[] }
  | {
      to: "r2";
      call: "head" | "get" | "delete" | "list" | "put";
      key: string;
      keys?: string[];
      body?: string;
      custom?: Record<string, string>;
      /** Put only when an object with these bytes is there; null: only when none is. */
      onlyOver?: string | null;
    }
  | { to: "registry"; after: number }
  | { to: "task"; id: number }
  | { to: "create"; named: Named[] }
  | { to: "pause" };

/** What a call was answered; `failed`: it threw. */
export type Answer = { value: unknown } | { failed: true };

/** An input that somebody names. */
export interface Named {
  input: string;
  /** As a piece list. A list may be named as an ordinary input, too: it is the file that has its text. */
  asList: boolean;
}

export interface Actor {
  /** The same for actors that have been answered the same at the same times. */
  id: number;
  role: "submitter" | "sweep";
  /** Which of its role. */
  number: number;
  /** The inputs that a submitter names. */
  named: Named[];
  answers: Answer[];
  /** What it has read from its clock. */
  clock: number[];
  /** The call that it makes now; null when it has ended. */
  effect: Effect | null;
  /** The same for calls that are the same. */
  effectId: number;
  claims: Claim[];
}

/** What an actor has said: what it called stored, and when it began to find out. */
export interface Claim {
  named: Named[];
  atMs: number;
}

const never = new Promise<never>(() => undefined);
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Timers never ring: a call that is not answered fails when the model says so. */
export function takeOver(): void {
  Object.assign(globalThis, { setTimeout: () => 0, clearTimeout: () => undefined });
  console.warn = () => undefined;
}

const remembered = new Map<string, Actor>();
const effectIds = new Map<string, number>();

/** An actor at its first call. */
export async function newActor(role: Actor["role"], number: number, named: Named[], nowMs: number): Promise<Actor> {
  return await remember(`${role} ${number} ${JSON.stringify(named)} ${nowMs}`, () =>
    run({ role, number, named, answers: [], clock: [] }, nowMs),
  );
}

/** The actor after this answer, at its next call. What it reads from its clock now is `nowMs`. */
export async function answered(actor: Actor, answer: Answer, nowMs: number): Promise<Actor> {
  return await remember(`${actor.id} ${nowMs} ${JSON.stringify(answer)}`, () =>
    run({ ...actor, answers: [...actor.answers, answer] }, nowMs),
  );
}

type Begun = Omit<Actor, "id" | "effectId">;

async function remember(key: string, find: () => Promise<Begun>): Promise<Actor> {
  const known = remembered.get(key);
  if (known) return known;
  const found = await find();
  const text = JSON.stringify(found.effect);
  const effectId = effectIds.get(text) ?? effectIds.size;
  effectIds.set(text, effectId);
  const actor = { ...found, id: remembered.size, effectId };
  remembered.set(key, actor);
  return actor;
}

async function run(actor: Omit<Begun, "effect" | "claims">, nowMs: number): Promise<Begun> {
  const clock: number[] = [];
  const claims: Claim[] = [];
  let effect: Effect | null = null;
  let calls = 0;
  let ids = 0;
  const now = (): number => {
    clock.push(actor.clock[clock.length] ?? nowMs);
    return clock.at(-1)!;
  };
  const call = async (made: Effect): Promise<unknown> => {
    const answer = actor.answers[calls++];
    if (!answer) {
      effect ??= made;
      return await never;
    }
    if ("failed" in answer) throw new Error("the call failed");
    return answer.value;
  };
  const uuid = { randomUUID: () => `${actor.role}${actor.number}-${ids++}` };
  Object.defineProperty(globalThis, "crypto", { value: uuid, configurable: true });
  const { storage } = bindings(call);
  const claim = (named: Named[]): void => {
    if (named.length > 0) claims.push({ named, atMs: clock.at(-1)! });
  };
  const work = actor.role === "sweep" ? sweeping(call, storage, now) : submitting(actor, call, storage, now, claim);
  let thrown: unknown;
  work.catch((error: unknown) => (thrown = error));
  await settled();
  if (thrown instanceof TypeError || thrown instanceof ReferenceError) throw thrown;
  const { role, number, named, answers } = actor;
  return { role, number, named, answers, clock, effect, claims };
}

type Call = (made: Effect) => Promise<unknown>;
interface PutOptions {
  customMetadata?: Record<string, string>;
  onlyIf?: { etagMatches?: string; etagDoesNotMatch?: "*" };
}
interface Storage {
  FILES: object;
  HISTORY: object;
}

function bindings(call: Call): { storage: Storage } {
  const object = (answer: unknown): object | null => {
    const made = answer as null | { key: string; uploadedMs: number; body: string; custom: Record<string, string> };
    return (
      made && {
        key: made.key,
        size: made.body.length,
        uploaded: new Date(made.uploadedMs),
        etag: made.body,
        customMetadata: made.custom,
        text: async () => made.body,
      }
    );
  };
  const FILES = {
    head: async (key: string) => object(await call({ to: "r2", call: "head", key })),
    get: async (key: string) => object(await call({ to: "r2", call: "get", key })),
    delete: async (keys: string[]) => await call({ to: "r2", call: "delete", key: "", keys }),
    list: async ({ prefix }: { prefix: string }) => {
      const found = (await call({ to: "r2", call: "list", key: prefix })) as unknown[];
      return { objects: found.map(object), truncated: false };
    },
    put: async (key: string, bytes: string | Uint8Array, { customMetadata: custom = {}, onlyIf }: PutOptions) => {
      const body = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
      // An etag of R2 is the MD5 of the bytes: here it is the bytes.
      const condition = onlyIf && { onlyOver: onlyIf.etagMatches ?? null };
      return object(await call({ to: "r2", call: "put", key, body, custom, ...condition }));
    },
  };
  const HISTORY = {
    prepare: (sql: string) => ({ sql, values: [], bind: (...values: never[]) => ({ sql, values }) }),
    batch: async (batch: Statement[]) =>
      await call({ to: "d1", batch: batch.map(({ sql, values }) => ({ sql, values })) }),
  };
  return { storage: { FILES, HISTORY } };
}

async function sweeping(call: Call, storage: Storage, now: () => number): Promise<void> {
  const dependencies = {
    storage,
    taskIds: async (after: number) => await call({ to: "registry", after }),
    inputsNamed: async (id: number) => await call({ to: "task", id }),
    notThere: async () => undefined,
    now,
  };
  await sweepInputs(dependencies, { days: 7, deletes: true });
}

/** A client: it asks what is missing, sends it, and submits a task, whose check asks again. */
async function submitting(
  { named }: Pick<Actor, "named">,
  call: Call,
  storage: Storage,
  now: () => number,
  claim: (named: Named[]) => void,
): Promise<void> {
  const ask = async (asked: Named[]): Promise<Named[] | null> => {
    const lists = asked.filter(({ asList }) => asList).map(({ input }) => hashOf(input));
    const hashes = asked.map(({ input }) => hashOf(input));
    const sizes = await sizesOfInputs(storage, hashes, now, new Set(lists));
    if (!sizes.ok) return null;
    const isStored = ({ input, asList }: Named): boolean => {
      const known = sizes.value.get(hashOf(input));
      return known !== undefined && (!asList || known.whole !== null);
    };
    claim(asked.filter(isStored));
    return asked.filter((one) => !isStored(one));
  };
  const send = async ({ input, asList }: Named): Promise<boolean> => {
    if (asList) return (await takePieceList(storage, hashOf(input), piecesOf(input)!, now)).ok;
    const sha256 = hashOf(input);
    const beganMs = now();
    const body = new TextEncoder().encode(bodyOf(input));
    const upload = { key: `assets/${sha256}`, body, size: body.length, sha256, hashField: "sha256" };
    const stored = await storeOnce(storage.FILES, upload);
    return stored.ok && (await noteStored(storage, [{ sha256, size: body.length }], beganMs, now)).size === 0;
  };
  const pieces = named.flatMap(({ input, asList }) => (asList ? pieceNamesOf(input) : []));
  const missing = await ask([...pieces.map((input) => ({ input, asList: false })), ...named]);
  if (!missing) return;
  for (const one of missing) {
    if (!(await send(one))) return;
    claim([one]);
  }
  await call({ to: "pause" });
  const gone = await ask(named);
  if (gone?.length === 0) await call({ to: "create", named });
}
