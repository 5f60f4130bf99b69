/**
 * Counts what the platform bills, inside the isolate that is billed: calls of objects as their
 * callers make them, alarms, rows by the cursors themselves, D1 by its own `meta`, operations of
 * R2. It patches the prototypes of the bindings, so the product runs unchanged.
 *
 * The meter controls alarms and the clock: `setAlarm` is counted and noted, and `ring` runs what is
 * due. So hours pass in milliseconds, and counts are the same each time.
 */
import type { Env } from "../../../src/rpc/env.ts";
import { REGISTRY_NAME } from "../../../src/rpc/stubs.ts";
import type { Counts } from "../counts.ts";

type Cursor = Pick<SqlStorageCursor<Record<string, SqlStorageValue>>, "rowsRead" | "rowsWritten">;
type Method = (this: object, ...args: unknown[]) => unknown;
type Alarmed = { ctx: DurableObjectState; alarm(): Promise<void> };

/** The methods that the meter adds to a class of objects. */
interface Metered {
  /** Count rows from now on; add what the cursors of this object have counted so far. */
  meterRows(): Promise<void>;
  /** Run its alarm if it is due at `nowMs`; returns when it is next due. */
  meterRing(nowMs: number): Promise<number | null>;
}

export class Meter {
  readonly counts: Counts = emptyCounts();
  /** The time that `Date.now()` returns while the meter's clock runs. */
  nowMs: number;
  /** By the database that they read. */
  readonly #cursors = new Map<object, Cursor[]>();
  readonly #alarms = new WeakMap<object, number>();
  readonly #realNow = Date.now;
  #patched = false;
  /** Calls of objects that have not been answered. */
  #underWay = 0;

  /**
   * `classes`: the classes whose objects are metered; `env`: any of their bindings, because all
   * share their prototypes.
   */
  constructor(classes: readonly { prototype: object }[], env: Env, nowMs: number) {
    this.nowMs = nowMs;
    const rows = (storage: DurableObjectStorage): void => this.#rows(storage);
    const ring = (object: Alarmed, nowMs: number): Promise<number | null> => this.#ring(object, nowMs);
    for (const { prototype } of classes) {
      Object.assign(prototype, {
        async meterRows(this: Alarmed) {
          rows(this.ctx.storage);
        },
        async meterRing(this: Alarmed, nowMs: number) {
          return await ring(this, nowMs);
        },
      });
    }
    this.#countCalls(env.REGISTRY);
    this.#countBucket(env.FILES);
    this.#countDatabase(env.HISTORY);
  }

  /** Time changes only with `nowMs`. */
  startClock(): void {
    Date.now = () => this.nowMs;
  }

  stopClock(): void {
    Date.now = this.#realNow;
  }

  /** Run the object's alarm if it is due; returns when it is next due, or null. */
  async ring(stub: unknown): Promise<number | null> {
    return await (raw(stub) as Metered).meterRing(this.nowMs);
  }

  /** Wait until no call of an object is under way: objects report in the background. */
  async quiet(): Promise<void> {
    while (this.#underWay > 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** The counts since the last reading, with the rows of these objects. */
  async read(stubs: readonly unknown[]): Promise<Counts> {
    // A cursor that is not at its end can be read only inside its object.
    for (const stub of stubs) await (raw(stub) as Metered).meterRows();
    const counts = { ...this.counts };
    Object.assign(this.counts, emptyCounts());
    return counts;
  }

  #rows(storage: DurableObjectStorage): void {
    for (const cursor of this.#cursors.get(storage.sql) ?? []) {
      this.counts.rowsRead += cursor.rowsRead;
      this.counts.rowsWritten += cursor.rowsWritten;
    }
    this.#cursors.delete(storage.sql);
    this.#watch(storage);
  }

  #watch(storage: DurableObjectStorage): void {
    if (this.#patched) return;
    this.#patched = true;
    wrap(storage.sql, "exec", (exec, self) => {
      const cursor = exec() as Cursor;
      const cursors = this.#cursors.get(self) ?? [];
      this.#cursors.set(self, cursors);
      cursors.push(cursor);
      return cursor;
    });
    wrap(storage, "setAlarm", async (_setAlarm, self, [atMs]) => {
      this.#alarms.set(self, Number(atMs));
      this.counts.alarmsSet++;
      // Each alarm that is set is a written row.
      this.counts.rowsWritten++;
    });
    wrap(storage, "getAlarm", async (_getAlarm, self) => this.#alarms.get(self) ?? null);
  }

  async #ring(object: Alarmed, nowMs: number): Promise<number | null> {
    const { storage } = object.ctx;
    const dueMs = this.#alarms.get(storage);
    if (dueMs !== undefined && dueMs <= nowMs) {
      this.#alarms.delete(storage);
      this.counts.alarms++;
      await object.alarm();
    }
    return this.#alarms.get(storage) ?? null;
  }

  /**
   * Calls of stubs are counted where they are made, as they are billed. Both namespaces share a
   * prototype.
   */
  #countCalls(namespace: DurableObjectNamespace): void {
    wrap(namespace, "getByName", (getByName, _self, [name]) => {
      const count = name === REGISTRY_NAME ? "registryCalls" : "taskCalls";
      return countingStub(getByName() as object, async (method, call) => {
        const { counts } = this;
        counts[count]++;
        counts.calls[method] = (counts.calls[method] ?? 0) + 1;
        this.#underWay++;
        try {
          return await call();
        } finally {
          this.#underWay--;
        }
      });
    });
  }

  #countBucket(bucket: R2Bucket): void {
    const counted = {
      put: "classA",
      list: "classA",
      get: "classB",
      head: "classB",
    } as const;
    for (const [name, count] of Object.entries(counted))
      wrap(bucket, name, (call) => {
        this.counts[count]++;
        return call();
      });
  }

  #countDatabase(database: D1Database): void {
    wrap(database, "batch", async (batch) => {
      const results = (await batch()) as D1Result[];
      for (const { meta } of results) {
        this.counts.d1RowsRead += meta.rows_read;
        this.counts.d1RowsWritten += meta.rows_written;
      }
      return results;
    });
  }
}

function emptyCounts(): Counts {
  return {
    requests: 0,
    calls: {},
    taskCalls: 0,
    registryCalls: 0,
    alarms: 0,
    alarmsSet: 0,
    rowsRead: 0,
    rowsWritten: 0,
    d1RowsRead: 0,
    d1RowsWritten: 0,
    classA: 0,
    classB: 0,
  };
}

const RAW = Symbol("the stub itself");

function countingStub(stub: object, counted: (method: string, call: () => unknown) => Promise<unknown>): object {
  return new Proxy(stub, {
    get: (target, name) => {
      if (name === RAW) return target;
      const member = (target as Record<PropertyKey, unknown>)[name];
      if (typeof member !== "function" || name === "then") return member;
      return (...args: unknown[]) =>
        counted(String(name), () => (target as Record<PropertyKey, Method>)[name]!(...args));
    },
  });
}

/** The stub behind a counting one. */
function raw(stub: unknown): unknown {
  return (stub as { [RAW]?: unknown })[RAW] ?? stub;
}

/** Replace a method on the prototype that holds it. `call` calls the original. */
function wrap(
  instance: object,
  name: string,
  replacement: (call: () => unknown, self: object, args: unknown[]) => unknown,
): void {
  let holder = instance;
  while (!Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder) as object;
  const methods = holder as Record<string, Method>;
  const original = methods[name]!;
  methods[name] = function (this: object, ...args) {
    return replacement(() => original.apply(this, args), this, args);
  };
}
