/**
 * The platform in one process: objects that are created, reset and restored from their storage,
 * alarms that are late, run twice or are lost, D1 and R2 that fail. The classes that run on it are
 * the product's own.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
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

/** Retries of an alarm whose handler threw: six, as on the platform. */
const ALARM_RETRIES = 6;

export class Platform {
  readonly #world: World;
  readonly #rng: Rng;
  readonly #classes: Record<"task" | "registry", ObjectClass>;
  readonly #instances = new Map<string, Instance>();
  readonly stored = new Map<string, Stored>();
  readonly objects = new Map<string, { text: string; uploadedMs: number }>();
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
  /** The longest time until writes are on the disk. */
  syncMs = 20;

  constructor(world: World, rng: Rng, classes: Record<"task" | "registry", ObjectClass>) {
    this.#world = world;
    this.#rng = rng;
    this.#classes = classes;
    const folder = path.resolve(import.meta.dirname, "../../../schema");
    for (const name of readdirSync(folder).toSorted())
      if (name.endsWith(".sql")) this.history.exec(readFileSync(path.join(folder, name), "utf8"));
    this.env = this.#envOf(() => true);
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
      TABLAO_ADMIN_TOKEN: "admin",
      TABLAO_SIGNING_KEY: "key",
      TASK: namespace("task"),
      REGISTRY: namespace("registry"),
      HISTORY: this.#d1(gate),
      FILES: {
        list: (query: { prefix?: string; limit?: number; cursor?: string }) =>
          gate("r2", async () => this.#list(query)),
        delete: (keys: string | string[]) =>
          gate("r2", async () => {
            for (const key of [keys].flat()) this.objects.delete(key);
          }),
        head: (key: string) => gate("r2", async () => (this.objects.has(key) ? { key } : null)),
        put: (key: string, text: string) =>
          gate("r2", async () => void this.objects.set(key, { text, uploadedMs: Date.now() })),
      },
    };
  }

  async #faulty<T>(service: Service, call: () => Promise<T>): Promise<T> {
    const plan = this.faults[service];
    // A call between objects takes time, so that other calls come in between.
    await this.#world.sleep(this.#rng.int(0, this.travelMs));
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
    interface Statement {
      sql: string;
      values: string[];
    }
    const run = ({ sql, values }: Statement): unknown[] => this.history.prepare(sql).all(...values);
    return {
      prepare: (sql: string) => ({ bind: (...values: string[]): Statement => ({ sql, values }) }),
      batch: (statements: Statement[]) =>
        gate("d1", async () => {
          this.history.exec("BEGIN");
          for (const statement of statements) run(statement);
          this.history.exec("COMMIT");
        }),
    };
  }

  #list({ prefix = "", limit = 1_000, cursor = "" }: { prefix?: string; limit?: number; cursor?: string }): object {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > cursor).toSorted();
    const page = keys.slice(0, limit);
    const objects = page.map((key) => ({ key, uploaded: new Date(this.objects.get(key)!.uploadedMs) }));
    return { objects, truncated: keys.length > limit, cursor: page.at(-1) };
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
