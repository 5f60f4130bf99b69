/** R2 and D1 for a request: their failures are marked (`storage-failure.ts`). */
import { storageFailure, type StorageService } from "./storage-failure.ts";

/** The bindings in which everything but the objects' own rows is stored. */
interface StorageEnv {
  FILES: R2Bucket;
  HISTORY: D1Database;
}

async function marked<T>(service: StorageService, method: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw storageFailure(service, method, error);
  }
}

type Method = (...args: unknown[]) => unknown;

/** The same object, with `replace` for some of its methods. Others, and getters, see the object itself. */
function replacing<T extends object>(target: T, replace: (name: string, method: Method) => Method | null): T {
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name, object);
      if (typeof member !== "function") return member;
      const method = (member as Method).bind(object);
      return (typeof name === "string" ? replace(name, method) : null) ?? method;
    },
  });
}

/** The methods whose failures are marked. */
function marking<T extends object>(target: T, service: StorageService, names: readonly string[]): T {
  return replacing(target, (name, method) =>
    names.includes(name) ? (...args) => marked(service, name, async () => await method(...args)) : null,
  );
}

const READERS = ["text", "json", "arrayBuffer", "bytes", "blob"];

function bucketOf(bucket: R2Bucket): R2Bucket {
  return replacing(marking(bucket, "R2", ["head", "put", "delete", "list"]), (name, method) =>
    name === "get"
      ? (...args) =>
          marked("R2", "get", async () => {
            const object = (await method(...args)) as object | null;
            // The bytes come later than the object, and fail on their own.
            return object && marking(object, "R2", READERS);
          })
      : null,
  );
}

function databaseOf(database: D1Database): D1Database {
  const own = new WeakMap<object, D1PreparedStatement>();
  const statementOf = (statement: D1PreparedStatement): D1PreparedStatement => {
    const statements = marking(statement, "D1", ["all", "first", "run", "raw"]);
    const other = replacing(statements, (name, method) =>
      name === "bind" ? (...values) => statementOf(method(...values) as D1PreparedStatement) : null,
    );
    own.set(other, statement);
    return other;
  };
  return replacing(marking(database, "D1", ["exec"]), (name, method) => {
    if (name === "prepare") return (sql) => statementOf(method(sql) as D1PreparedStatement);
    if (name !== "batch") return null;
    // D1 takes only statements that it made itself.
    return (list) =>
      marked("D1", "batch", async () => await method((list as object[]).map((one) => own.get(one) ?? one)));
  });
}

const known = new WeakMap<StorageEnv, StorageEnv>();

/** The same bindings; what R2 and D1 throw for a reason that may pass is marked. */
export function withStorageFailures<E extends StorageEnv>(env: E): E {
  const before = known.get(env);
  if (before) return before as E;
  const other = { ...env, FILES: bucketOf(env.FILES), HISTORY: databaseOf(env.HISTORY) };
  known.set(env, other);
  return other;
}
