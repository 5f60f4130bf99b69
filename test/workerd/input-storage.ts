/** Bindings of tests of the index of inputs: calls that are counted, and bindings that fail. */
import type { Env } from "../../src/rpc/env.ts";

type Method = (...args: unknown[]) => unknown;

/**
 * Bindings that count the calls of their users.
 *
 * A chain is a list of calls of which each began after the one before had ended, so that it could
 * not be made earlier. `chain` is the longest that can be told from outside: a call counts as the
 * successor of every call that ended before it began. The true chain is never longer.
 */
export class CountedCalls {
  /** R2, Durable Objects, and each statement of D1. */
  calls = 0;
  /** Of these: calls of R2 and of Durable Objects; the others are statements of D1. */
  r2Calls = 0;
  objectCalls = 0;
  chain = 0;
  /** Calls that waited for their answer at the same time. */
  most = 0;
  /** What D1 says that its statements read and wrote. */
  d1RowsRead = 0;
  d1RowsWritten = 0;
  readonly env: Env;
  #waiting = 0;

  constructor(env: Env) {
    this.env = {
      ...env,
      FILES: this.#counting(env.FILES, ["get", "head", "put", "list", "delete"]),
      HISTORY: this.#countingDatabase(env.HISTORY),
      TASK: this.#countingObjects(env.TASK),
      REGISTRY: this.#countingObjects(env.REGISTRY),
    };
  }

  async #call<T>(calls: number, work: () => Promise<T>): Promise<T> {
    this.calls += calls;
    const depth = this.chain + 1;
    this.#waiting++;
    this.most = Math.max(this.most, this.#waiting);
    try {
      return await work();
    } finally {
      this.#waiting--;
      this.chain = Math.max(this.chain, depth);
    }
  }

  #counting<T extends object>(binding: T, names: readonly string[]): T {
    return replacing(binding, (name, method) =>
      names.includes(name)
        ? (...args) => {
            this.r2Calls++;
            return this.#call(1, async () => await method(...args));
          }
        : method,
    );
  }

  #countingDatabase(database: D1Database): D1Database {
    return replacing(database, (name, method) => {
      if (name !== "batch") return method;
      return async (...args) => {
        const statements = args[0] as unknown[];
        const results = (await this.#call(statements.length, async () => await method(...args))) as D1Result[];
        for (const { meta } of results) {
          this.d1RowsRead += meta.rows_read;
          this.d1RowsWritten += meta.rows_written;
        }
        return results;
      };
    });
  }

  #countingObjects(namespace: DurableObjectNamespace): DurableObjectNamespace {
    return replacing(namespace, (name, method) => {
      if (name !== "getByName") return method;
      return (...args) =>
        replacing(method(...args) as object, (_, call) => (...values) => {
          this.objectCalls++;
          return this.#call(1, async () => await call(...values));
        });
    });
  }
}

/** The binding with some of its methods replaced. */
function replacing<T extends object>(binding: T, replace: (name: string, method: Method) => Method): T {
  return new Proxy(binding, {
    get: (target, name) => {
      const member = (target as Record<PropertyKey, unknown>)[name];
      if (typeof member !== "function" || typeof name !== "string") return member;
      return replace(name, (...args) => (target as Record<string, Method>)[name]!(...args));
    },
  });
}

/** A database whose batches fail, all of them or those that write. */
export function failing(database: D1Database, which: "all" | "writes"): D1Database {
  const writing = new WeakSet();
  return {
    prepare: (sql: string) => {
      const statement = database.prepare(sql);
      if (!/^\s*(INSERT|UPDATE|DELETE)/.test(sql)) return statement;
      return {
        bind: (...values: unknown[]) => {
          const bound = statement.bind(...values);
          writing.add(bound);
          return bound;
        },
      };
    },
    batch: async (statements: D1PreparedStatement[]) => {
      if (which === "all") throw new Error("D1_ERROR: Network connection lost.");
      if (statements.some((statement) => writing.has(statement)))
        throw new Error("D1_ERROR: Exceeded maximum DB size.");
      return await database.batch(statements);
    },
  } as unknown as D1Database;
}

/**
 * A bucket with `count` inputs of ten bytes, of which none is stored: their hashes are the multiples
 * of `step`. It takes markers and notes, and forgets them.
 */
export class VirtualBucket {
  lists = 0;
  heads = 0;
  readonly bucket: R2Bucket;
  readonly #count: number;
  readonly #step: number;

  constructor(count: number, step = 1) {
    this.#count = count;
    this.#step = step;
    this.bucket = {
      head: async (key: string) => this.#head(key),
      list: async (query: { prefix: string; startAfter: string }) => this.#list(query),
      put: async (key: string) => objectOf(key),
    } as unknown as R2Bucket;
  }

  /** The hash of input `i`, from 0. */
  sha256(i: number): string {
    return hashOfNumber(i * this.#step);
  }

  #head(key: string): object | null {
    this.heads++;
    const number = Number.parseInt(key.slice("assets/".length), 16);
    const isThere = number % this.#step === 0 && number / this.#step < this.#count;
    return isThere ? objectOf(key) : null;
  }

  #list({ prefix, startAfter }: { prefix: string; startAfter: string }): object {
    this.lists++;
    if (prefix !== "assets/") return { objects: [], truncated: false };
    const text = startAfter.slice(prefix.length);
    const from = Number.parseInt(text.padEnd(64, "0"), 16) / this.#step;
    const first = text.length < 64 ? Math.ceil(from) : Math.floor(from) + 1;
    const size = Math.min(1_000, Math.max(0, this.#count - first));
    const objects = Array.from({ length: size }, (_, i) => objectOf(`assets/${this.sha256(first + i)}`));
    return { objects, truncated: first + size < this.#count };
  }
}

/** A hash that is as good as any, and sorts as its number does. */
export function hashOfNumber(number: number): string {
  return number.toString(16).padStart(64, "0");
}

function objectOf(key: string): object {
  return { key, size: 10, uploaded: new Date(1_700_000_000_000), customMetadata: {} };
}
