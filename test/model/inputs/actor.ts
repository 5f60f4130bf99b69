/**
 * Actors of the model: the product's own functions, which run against bindings that stop at each call.
 * An actor is what it has been answered so far; from that, the function is run again up to its next
 * call. So a world can hold an actor at any point, and be copied.
 */
import type { Result } from "../../../src/lib/result.ts";
import type { Statement } from "./database.ts";

type Clock = () => number;
type Sizes = Result<Map<string, { size: number }>, unknown>;

/** The functions that are explored. Their own types need the runtime's declarations, which conflict with Node's. */
interface Product {
  sizesOfInputs: (storage: Storage, hashes: readonly string[], now: Clock) => Promise<Sizes>;
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

const { sizesOfInputs, noteStored, storeOnce, sweepInputs } = await load();

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
      once?: boolean;
    }
  | { to: "registry"; after: number }
  | { to: "task"; id: number }
  | { to: "create"; inputs: string[] }
  | { to: "pause" };

/** What a call was answered; `failed`: it threw. */
export type Answer = { value: unknown } | { failed: true };

export interface Actor {
  /** The same for actors that have been answered the same at the same times. */
  id: number;
  role: "submitter" | "sweep";
  /** Which of its role. */
  number: number;
  /** The inputs that a submitter names. */
  inputs: string[];
  answers: Answer[];
  /** What it has read from its clock. */
  clock: number[];
  /** The call that it makes now; null when it has ended. */
  effect: Effect | null;
  /** The same for calls that are the same. */
  effectId: number;
  claims: Claim[];
}

/** What an actor has said: inputs that it called stored, and when it began to find out. */
export interface Claim {
  inputs: string[];
  atMs: number;
}

/** The name of the piece list. */
export const LIST = "list";

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
export async function newActor(role: Actor["role"], number: number, inputs: string[], nowMs: number): Promise<Actor> {
  return await remember(`${role} ${number} ${inputs.join()} ${nowMs}`, () =>
    run({ role, number, inputs, answers: [], clock: [] }, nowMs),
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
  const claim = (inputs: string[]): void => {
    if (inputs.length > 0) claims.push({ inputs, atMs: clock.at(-1)! });
  };
  const work = actor.role === "sweep" ? sweeping(call, storage, now) : submitting(actor, call, storage, now, claim);
  let thrown: unknown;
  work.catch((error: unknown) => (thrown = error));
  await settled();
  if (thrown instanceof TypeError || thrown instanceof ReferenceError) throw thrown;
  const { role, number, inputs, answers } = actor;
  return { role, number, inputs, answers, clock, effect, claims };
}

type Call = (made: Effect) => Promise<unknown>;
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
    put: async (key: string, body: unknown, options: { customMetadata?: Record<string, string>; onlyIf?: object }) => {
      const custom = options.customMetadata ?? {};
      const text = typeof body === "string" ? body : "1";
      return object(await call({ to: "r2", call: "put", key, body: text, custom, once: options.onlyIf !== undefined }));
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
  { inputs }: Pick<Actor, "inputs">,
  call: Call,
  storage: Storage,
  now: () => number,
  claim: (inputs: string[]) => void,
): Promise<void> {
  const ask = async (): Promise<string[] | null> => {
    const sizes = await sizesOfInputs(storage, inputs, now);
    if (!sizes.ok) return null;
    claim([...sizes.value.keys()]);
    return inputs.filter((hash) => !sizes.value.has(hash));
  };
  const missing = await ask();
  if (!missing) return;
  for (const sha256 of missing) {
    // How a piece list is taken in is not explored here (decision 020).
    if (sha256 === LIST) return;
    const beganMs = now();
    const upload = { key: `assets/${sha256}`, body: new Uint8Array(1), size: 1, sha256, hashField: "sha256" };
    const stored = await storeOnce(storage.FILES, upload);
    if (!stored.ok) return;
    const refused = await noteStored(storage, [{ sha256, size: 1 }], beganMs, now);
    if (refused.size > 0) return;
    claim([sha256]);
  }
  await call({ to: "pause" });
  const gone = await ask();
  if (gone?.length === 0) await call({ to: "create", inputs });
}
