/** The bindings that the product gets: each call of theirs goes through the limits. */
import type { BindingCall } from "../limits/limit.ts";
import type { Env } from "../../../src/rpc/env.ts";
import { carryOut } from "./switches.ts";

type Method = (...args: unknown[]) => unknown;
type Service = BindingCall["service"];

/** Why an object was reset; the platform marks such errors, and `ctx.abort` does not. */
export const RESET = "the platform has reset the object";

/** Names of the objects that were called so far, by namespace. */
export const called = { task: new Set<string>(), registry: new Set<string>() };

/** Bindings whose calls belong to one invocation. */
export function limitedEnv(env: Env, invocation: object): Env {
  return {
    ...env,
    FILES: limited(env.FILES, "r2", ["head", "get", "put", "delete", "list"], invocation),
    HISTORY: limitedDatabase(env.HISTORY, invocation),
    TASK: limitedNamespace(env.TASK, "task", invocation),
    REGISTRY: limitedNamespace(env.REGISTRY, "registry", invocation),
    ...(env.ASSETS && { ASSETS: limited(env.ASSETS, "assets", ["fetch"], invocation) }),
  };
}

/** The same object with other members where `replace` has one. */
function proxied<T extends object>(target: T, replace: (name: string) => unknown): T {
  return new Proxy(target, {
    get(object, name) {
      const other = typeof name === "string" ? replace(name) : undefined;
      if (other !== undefined) return other;
      const value: unknown = Reflect.get(object, name, object);
      return typeof value === "function" ? (value as Method).bind(object) : value;
    },
  });
}

function methodOf(target: object, name: string): Method {
  return (Reflect.get(target, name, target) as Method).bind(target);
}

/** The same binding, with these methods under the limits. */
function limited<T extends object>(target: T, service: Service, methods: readonly string[], invocation: object): T {
  return proxied(target, (method) =>
    methods.includes(method)
      ? (...args: unknown[]) =>
          carryOut({ service, method, args }, async () => await methodOf(target, method)(...args), invocation)
      : undefined,
  );
}

/** A statement of D1 behind its proxy, and its text. */
const statements = new WeakMap<object, { raw: D1PreparedStatement; sql: string }>();

function limitedDatabase(database: D1Database, invocation: object): D1Database {
  const query = (method: string, sql: string[], run: () => unknown): Promise<unknown> =>
    carryOut({ service: "d1", method, args: sql }, async () => await run(), invocation);
  const prepared = (raw: D1PreparedStatement, sql: string): D1PreparedStatement => {
    const statement = proxied(raw, (method) => {
      if (method === "bind") return (...values: unknown[]) => prepared(raw.bind(...values), sql);
      if (!["all", "first", "run", "raw"].includes(method)) return undefined;
      return (...args: unknown[]) => query(method, [sql], () => methodOf(raw, method)(...args));
    });
    statements.set(statement, { raw, sql });
    return statement;
  };
  return proxied(database, (method) => {
    if (method === "prepare") return (sql: string) => prepared(database.prepare(sql), sql);
    if (method === "exec") return (sql: string) => query("exec", [sql], () => database.exec(sql));
    if (method !== "batch") return undefined;
    return (list: D1PreparedStatement[]) => {
      const known = list.map((statement) => statements.get(statement)!);
      const sql = known.map((statement) => statement.sql);
      return query("batch", sql, () => database.batch(known.map((statement) => statement.raw)));
    };
  });
}

function limitedNamespace(
  namespace: DurableObjectNamespace,
  service: "task" | "registry",
  invocation: object,
): DurableObjectNamespace {
  return proxied(namespace, (method) => {
    if (method !== "getByName" && method !== "get") return undefined;
    return (...args: unknown[]) => {
      const stub = methodOf(namespace, method)(...args) as DurableObjectStub;
      const name = stub.name ?? (method === "getByName" ? String(args[0]) : undefined);
      if (name !== undefined) called[service].add(name);
      return limitedStub(stub, service, invocation);
    };
  });
}

function limitedStub(stub: DurableObjectStub, service: Service, invocation: object): object {
  return new Proxy(stub, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name, object);
      // A stub has a member of every name. Those of a promise and the ones that are no methods stay.
      if (typeof name !== "string" || typeof member !== "function" || name === "then") return member;
      return (...args: unknown[]) => {
        // A method of a stub is called on the stub itself, as the runtime wants it.
        const carry = async (): Promise<unknown> =>
          await (object as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name]!(...args);
        return carryOut({ service, method: name, args }, async () => await carry().catch(markReset), invocation);
      };
    },
  });
}

function markReset(error: unknown): never {
  if (error instanceof Error && error.message === RESET) Object.assign(error, { retryable: true });
  throw error;
}
