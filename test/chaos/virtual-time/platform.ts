/**
 * The platform in one process: objects that are created, reset and restored from their storage,
 * alarms that are late, run twice or are lost, D1 and R2 that fail. The classes that run on it are
 * the product's own.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Rng } from "../rng.ts";
import { NO_FAULTS, type ManagerFaults, type Service } from "../manager-faults.ts";
import { Access, Stored } from "./storage.ts";
import type { World } from "./world.ts";

type Method = (...args: unknown[]) => Promise<unknown>;
type ObjectClass = new (ctx: object, env: object) => Record<string, Method>;

interface Instance {
  object: Record<string, Method>;
  access: Access;
  ready: Promise<unknown>;
  /** Rejects when the instance is reset, so that waiting callers learn it at once. */
  ended: Promise<never>;
  end: () => void;
}

/** An object in the bucket. `etag`: another one after each put. */
export interface StoredObject {
  text: string;
  uploadedMs: number;
  custom?: Record<string, string>;
  etag?: string;
}

interface PutOptions {
  onlyIf?: { etagMatches?: string; etagDoesNotMatch?: string };
  sha256?: string;
  customMetadata?: Record<string, string>;
}

interface ListQuery {
  prefix?: string;
  limit?: number;
  cursor?: string;
  startAfter?: string;
}

/** A statement of D1, with its values. */
interface Statement {
  sql: string;
  values: SQLInputValue[];
}

interface D1Answer {
  results: unknown[];
  meta: { changes: number };
}

const WRITES = /^\s*(INSERT|UPDATE|DELETE)/i;
/** Retries of an alarm whose handler threw: six, as on the platform. */
const ALARM_RETRIES = 6;

export class Platform {
  readonly #world: World;
  readonly #rng: Rng;
  readonly #classes: Record<"task" | "registry", ObjectClass>;
  readonly #instances = new Map<string, Instance>();
  readonly stored = new Map<string, Stored>();
  readonly objects = new Map<string, StoredObject>();
  readonly history = new DatabaseSync(":memory:");
  readonly env: object;
  faults: ManagerFaults = NO_FAULTS;
  /** Alarms may be late, early or doubled. */
  unpunctual = true;
  /** The probability that an alarm is lost: it is deleted, and never rings. */
  loses = 0;
  /** How often alarms ran, and how many were lost or given up after their retries. */
  rings = 0;
  lost = 0;
  /** The longest time of a call between objects, or to a service. */
  travelMs = 3;
  /** The longest time of a call to D1 or R2 beyond that: so that more comes in between. */
  storageMs = 0;
  /** D1 takes no writes: it is full. */
  isFull = false;
  /** Called when objects have been deleted from the bucket, and when a batch of D1 took effect. */
  onDeleted: (keys: readonly string[]) => void = () => undefined;
  onBatch: () => void = () => undefined;
  /** The longest time until writes are on the disk. */
  syncMs = 20;

  constructor(world: World, rng: Rng, classes: Record<"task" | "registry", ObjectClass>) {
    this.#world = world;
    this.#rng = rng;
    this.#classes = classes;
    // The schema reads the clock: without this, a run would depend on the day on which it is made.
    this.history.function("unixepoch", () => BigInt(Math.floor(Date.now() / 1_000)));
    const folder = path.resolve(import.meta.dirname, "../../../schema");
    for (const name of readdirSync(folder).toSorted())
      if (name.endsWith(".sql")) this.history.exec(readFileSync(path.join(folder, name), "utf8"));
    this.env = this.#envOf(() => true);
  }

  /** Bindings of one request or run of a cron trigger, which may die: from `end` on, no call of it is answered. */
  invocation(): { env: object; end: () => void } {
    let alive = true;
    return { env: this.#envOf(() => alive), end: () => void (alive = false) };
  }

  /** Bindings; those of an ended instance never answer. */
  #envOf(alive: () => boolean): object {
    const gate = <T>(service: Service, call: () => Promise<T>): Promise<T> =>
      alive() ? this.#faulty(service, call) : new Promise<T>(() => undefined);
    const namespace = (kind: "task" | "registry"): object => ({
      getByName: (name: string) =>
        new Proxy(
          {},
          {
            get:
              (_, method) =>
              (...args: unknown[]) =>
                gate(kind, () => this.call(kind, name, String(method), args)),
          },
        ),
    });
    return {
      TABLAO_ADMIN_TOKEN: "virtual-admin-token-7fQx2LmV9cTzRk4wNbHs",
      TABLAO_SIGNING_KEY: "virtual-signing-key-7fQx2LmV9cTzRk4wNbHs",
      TASK: namespace("task"),
      REGISTRY: namespace("registry"),
      HISTORY: this.#d1(gate),
      FILES: this.#r2(gate),
    };
  }

  async #faulty<T>(service: Service, call: () => Promise<T>): Promise<T> {
    const plan = this.faults[service];
    // A call between objects takes time, so that other calls come in between.
    await this.#world.sleep(this.#rng.int(0, this.travelMs));
    if (this.storageMs > 0 && (service === "d1" || service === "r2"))
      await this.#world.sleep(this.#rng.int(0, this.storageMs));
    if (!plan || !this.#rng.chance(plan.rate)) return await call();
    const error = Object.assign(new Error(`chaos: ${service}`), { retryable: true });
    switch (this.#rng.pick(plan.how)) {
      case "refuse":
        throw error;
      case "lose the answer":
        await call();
        throw error;
      case "be slow":
        await this.#world.sleep(this.#rng.pick([plan.slowMs, 7_000]));
        return await call();
    }
  }

  #d1(gate: <T>(service: Service, call: () => Promise<T>) => Promise<T>): object {
    const batch = (statements: Statement[]): Promise<D1Answer[]> => gate("d1", async () => this.#batch(statements));
    const one = async (statement: Statement): Promise<D1Answer> => (await batch([statement]))[0]!;
    const bound = (sql: string, values: SQLInputValue[]): object => {
      const statement: Statement = { sql, values };
      const first = async (): Promise<unknown> => (await one(statement)).results[0] ?? null;
      return { ...statement, all: () => one(statement), run: () => one(statement), first };
    };
    return {
      prepare: (sql: string) => ({ ...bound(sql, []), bind: (...values: SQLInputValue[]) => bound(sql, values) }),
      batch,
    };
  }

  readonly #statements = new Map<string, StatementSync>();

  /** All statements of a batch, or none. */
  #batch(statements: readonly Statement[]): D1Answer[] {
    if (this.isFull && statements.some(({ sql }) => WRITES.test(sql))) throw new Error("chaos: D1 is full");
    this.history.exec("BEGIN");
    let answers: D1Answer[];
    try {
      answers = statements.map((statement) => this.#execute(statement));
    } catch (error) {
      this.history.exec("ROLLBACK");
      throw error;
    }
    this.history.exec("COMMIT");
    this.onBatch();
    return answers;
  }

  #execute({ sql, values }: Statement): D1Answer {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.history.prepare(sql)));
    if (statement.columns().length === 0)
      return { results: [], meta: { changes: Number(statement.run(...values).changes) } };
    const results = statement.all(...values);
    const changes = WRITES.test(sql) ? Number(this.history.prepare("SELECT changes() AS n").get()!["n"]) : 0;
    return { results, meta: { changes } };
  }

  #r2(gate: <T>(service: Service, call: () => Promise<T>) => Promise<T>): object {
    return {
      list: (query: ListQuery) => gate("r2", async () => this.#list(query)),
      delete: (keys: string | string[]) =>
        gate("r2", async () => {
          for (const key of [keys].flat()) this.objects.delete(key);
          this.onDeleted([keys].flat());
        }),
      head: (key: string) => gate("r2", async () => this.#head(key)),
      get: (key: string) =>
        gate("r2", async () => {
          const head = this.#head(key);
          const text = this.objects.get(key)?.text;
          return head && { ...head, text: async () => text, body: { cancel: async () => undefined } };
        }),
      put: (key: string, body: string | Uint8Array, options: PutOptions = {}) =>
        gate("r2", async () => this.#put(key, body, options)),
    };
  }

  #head(key: string): object | null {
    const object = this.objects.get(key);
    if (!object) return null;
    const { text, uploadedMs, custom, etag } = object;
    return { key, size: Buffer.byteLength(text), uploaded: new Date(uploadedMs), customMetadata: custom ?? {}, etag };
  }

  #put(key: string, body: string | Uint8Array, { onlyIf, sha256, customMetadata }: PutOptions): object | null {
    const present = this.objects.get(key);
    if (onlyIf?.etagDoesNotMatch === "*" && present) return null;
    if (onlyIf?.etagMatches !== undefined && present?.etag !== onlyIf.etagMatches) return null;
    const text = typeof body === "string" ? body : Buffer.from(body).toString();
    if (sha256 !== undefined && createHash("sha256").update(text).digest("hex") !== sha256)
      throw new Error("put: the SHA-256 does not match (10037)");
    const etag = String(++this.#etags);
    this.objects.set(key, { text, uploadedMs: Date.now(), etag, ...(customMetadata && { custom: customMetadata }) });
    return this.#head(key);
  }

  #etags = 0;

  #list({ prefix = "", limit = 1_000, cursor = "", startAfter = "" }: ListQuery): object {
    const after = cursor > startAfter ? cursor : startAfter;
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
    const page = keys.slice(0, limit);
    return { objects: page.map((key) => this.#head(key)), truncated: keys.length > limit, cursor: page.at(-1) };
  }

  /** Call a method of an object; the object is created if necessary. Values are copied. */
  async call(kind: "task" | "registry", name: string, method: string, args: unknown[]): Promise<unknown> {
    const instance = this.#instance(kind, name);
    await instance.ready;
    const copies = structuredClone(args);
    const result = await Promise.race([instance.object[method]!(...copies), instance.ended]);
    if (instance.access.ended) throw resetError();
    return structuredClone(result);
  }

  /** An object's storage, also of one that was never called. */
  storedOf(id: string): Stored {
    const stored = this.stored.get(id) ?? new Stored();
    this.stored.set(id, stored);
    return stored;
  }

  #instance(kind: "task" | "registry", name: string): Instance {
    const id = `${kind}/${name}`;
    const known = this.#instances.get(id);
    if (known) return known;
    const stored = this.storedOf(id);
    stored.onAlarm = () => this.#arm(kind, name, stored);
    const access = new Access(stored, () => this.#world.sleep(this.#rng.int(0, this.syncMs)));
    let ready: Promise<unknown> = Promise.resolve();
    const ctx = {
      storage: access,
      id: { name },
      blockConcurrencyWhile: (work: () => Promise<unknown>) => (ready = work()),
      waitUntil: (work: Promise<unknown>) => void work.catch(() => undefined),
      getWebSockets: () => [],
      setWebSocketAutoResponse: () => undefined,
      getWebSocketAutoResponseTimestamp: () => null,
    };
    const object = new this.#classes[kind](
      ctx,
      this.#envOf(() => !access.ended),
    );
    const { promise: ended, reject } = Promise.withResolvers<never>();
    ended.catch(() => undefined);
    const instance = { object, access, ready, ended, end: () => reject(resetError()) };
    this.#instances.set(id, instance);
    return instance;
  }

  /** Reset one object, or all of them: memory is lost, storage stays, calls under way fail. */
  reset(id?: string): void {
    for (const [key, { access, end }] of this.#instances) {
      if (id !== undefined && key !== id) continue;
      access.ended = true;
      end();
      this.#instances.delete(key);
    }
  }

  /** Free the databases. */
  close(): void {
    this.reset();
    for (const { db } of this.stored.values()) db.close();
    this.history.close();
  }

  #arm(kind: "task" | "registry", name: string, stored: Stored): void {
    const at = stored.alarmMs;
    if (at === null) return;
    const late = this.unpunctual && this.#rng.chance(0.08) ? this.#rng.int(100, 20_000) : this.#rng.int(0, 20);
    const early = this.unpunctual && this.#rng.chance(0.03) ? -this.#rng.int(1, 2_000) : 0;
    const waitMs = at - this.#world.nowMs - this.#world.offsetMs + late + early;
    this.#world.after(waitMs, () => {
      if (stored.alarmMs !== at) return;
      stored.alarmMs = null;
      if (this.#rng.chance(this.loses)) {
        this.lost++;
        return;
      }
      void this.#ring(kind, name, 0);
      if (this.unpunctual && this.#rng.chance(0.05)) void this.#ring(kind, name, ALARM_RETRIES);
    });
  }

  async #ring(kind: "task" | "registry", name: string, retries: number): Promise<void> {
    this.rings++;
    try {
      await this.call(kind, name, "alarm", [{ retryCount: retries, isRetry: retries > 0 }]);
    } catch {
      if (retries >= ALARM_RETRIES) {
        this.lost++;
        return;
      }
      await this.#world.sleep(2_000 * 2 ** retries);
      // An alarm that was set meanwhile replaces the retry.
      if (this.stored.get(`${kind}/${name}`)?.alarmMs === null) await this.#ring(kind, name, retries + 1);
    }
  }
}

/** The error of a reset, marked as the platform marks it. */
function resetError(): Error {
  return Object.assign(new Error("the object was reset"), { retryable: true });
}
