/**
 * The manager as it is shipped, with switches for faults behind `/__chaos/…`. This entry exists for
 * chaos runs only: it wraps the bindings that the product gets and the clock that it reads. The
 * product contains none of it.
 */
import product, { TaskDO as ProductTask, WorkerRegistry as ProductRegistry } from "../../src/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { Rng } from "./rng.ts";
import { NO_FAULTS, type FaultPlan, type ManagerFaults, type Service } from "./manager-faults.ts";

interface ChaosEnv extends Env {
  /** The setting of the clock before a restart. */
  CHAOS_OFFSET_MS?: string;
}

// The objects and the Worker share an isolate here, and so they share these variables.
let faults: ManagerFaults = NO_FAULTS;
let rng = new Rng("");
let offsetMs: number | null = null;
/** Why an object was reset. */
const ABORTED = "chaos: reset";
const counts: Record<string, number> = {};

const realNow = Date.now.bind(Date);
Date.now = () => realNow() + (offsetMs ?? 0);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Call a service with the present faults: refused, carried out with its answer lost, or late. */
async function faulty<T>(service: Service, call: () => Promise<T>): Promise<T> {
  const plan: FaultPlan | null = faults[service];
  if (!plan || !rng.chance(plan.rate)) return await call();
  const how = rng.pick(plan.how);
  counts[`${service} ${how}`] = (counts[`${service} ${how}`] ?? 0) + 1;
  // The platform marks the error of an object that was moved or reset like this: the call may be
  // repeated.
  const error = Object.assign(new Error(`chaos: ${service} ${how}`), { retryable: true });
  if (how === "refuse") throw error;
  if (how === "lose the answer") {
    await call();
    throw error;
  }
  await sleep(plan.slowMs);
  return await call();
}

/** The same object, with some of its methods faulty. */
function wrap<T extends object>(target: T, service: Service, methods: readonly string[]): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== "function") return value;
      const bound = (...args: unknown[]): unknown => Reflect.apply(value, object, args);
      return methods.includes(String(name))
        ? (...args: unknown[]) => faulty(service, async () => bound(...args))
        : bound;
    },
  });
}

/** Stubs whose calls are faulty, except the socket's `fetch`. */
function wrapObjects<T extends object>(namespace: T, service: Service): T {
  return new Proxy(namespace, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const stub: unknown = Reflect.apply(value, object, args);
        return name === "getByName" ? wrapStub(stub as object, service) : stub;
      };
    },
  });
}

function wrapStub(stub: object, service: Service): object {
  return new Proxy(stub, {
    get(object, name) {
      if (name === "fetch") return (request: Request) => (object as DurableObjectStub).fetch(request);
      const method = Reflect.get(object, name, object) as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => faulty(service, async () => await method(...args).catch(markReset));
    },
  });
}

/**
 * The platform marks the errors of an object that it resets; it does not mark those of `ctx.abort`.
 */
function markReset(error: unknown): never {
  if (error instanceof Error && error.message === ABORTED) Object.assign(error, { retryable: true });
  throw error;
}

function wrapped(env: ChaosEnv): Env {
  offsetMs ??= Number(env.CHAOS_OFFSET_MS ?? 0);
  return {
    ...env,
    HISTORY: wrap(env.HISTORY, "d1", ["batch"]),
    FILES: wrap(env.FILES, "r2", ["put", "get", "head", "list", "delete"]),
    TASK: wrapObjects(env.TASK, "task"),
    REGISTRY: wrapObjects(env.REGISTRY, "registry"),
  };
}

/** The object's alarm follows the clock that the product reads. */
function shiftAlarms(storage: DurableObjectStorage): void {
  const setAlarm = storage.setAlarm.bind(storage);
  const getAlarm = storage.getAlarm.bind(storage);
  storage.setAlarm = (at) => setAlarm(Number(at) - (offsetMs ?? 0));
  storage.getAlarm = async () => {
    const at = await getAlarm();
    return at === null ? null : at + (offsetMs ?? 0);
  };
}

function rowsOf(storage: DurableObjectStorage, tables: readonly string[]): Record<string, unknown[]> {
  const there = storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
  const known = tables.filter((table) => there.some(({ name }) => name === table));
  return Object.fromEntries(known.map((table) => [table, storage.sql.exec(`SELECT * FROM ${table}`).toArray()]));
}

export class TaskDO extends ProductTask {
  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    const product = wrapped(env);
    shiftAlarms(ctx.storage);
    super(ctx, product);
  }

  /** Everything in the rows. */
  chaosRows(): Record<string, unknown[]> {
    return rowsOf(this.ctx.storage, ["definition", "record", "pages", "journal", "leases", "outbox", "dependents"]);
  }

  async chaosAlarm(): Promise<void> {
    await this.alarm();
  }

  chaosAbort(): void {
    this.ctx.abort(ABORTED);
  }
}

export class WorkerRegistry extends ProductRegistry {
  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    const product = wrapped(env);
    shiftAlarms(ctx.storage);
    super(ctx, product);
  }

  chaosAbort(): void {
    this.ctx.abort(ABORTED);
  }
}

export default {
  async fetch(request: Request, env: ChaosEnv, context: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    const bindings = wrapped(env);
    if (pathname.startsWith("/__chaos/")) return await control(pathname.slice(9).split("/"), request, env);
    return await product.fetch(request as Parameters<typeof product.fetch>[0], bindings, context);
  },
} satisfies ExportedHandler<ChaosEnv>;

/** Over RPC every method is asynchronous. */
interface ChaosTask {
  chaosRows(): Promise<Record<string, unknown[]>>;
  chaosAlarm(): Promise<void>;
  chaosAbort(): Promise<void>;
}

async function control([what, id]: string[], request: Request, env: ChaosEnv): Promise<Response> {
  const body = request.method === "POST" ? ((await request.json()) as Record<string, unknown>) : {};
  const task = (): ChaosTask => taskStub(env, Number(id)) as unknown as ChaosTask;
  switch (what) {
    case "faults":
      faults = body["faults"] as ManagerFaults;
      rng = new Rng(String(body["seed"]));
      return Response.json(counts);
    case "clock":
      offsetMs = Number(body["offset_ms"]);
      return Response.json({ now_ms: Date.now() });
    case "schema":
      await env.HISTORY.batch((body["statements"] as string[]).map((sql) => env.HISTORY.prepare(sql)));
      return Response.json({});
    case "abort": {
      const stub = id === "registry" ? (registryStub(env) as unknown as ChaosTask) : task();
      // The call itself fails, because its object is gone.
      await stub.chaosAbort().catch(() => undefined);
      return Response.json({});
    }
    case "alarm":
      await task().chaosAlarm();
      return Response.json({});
    case "daily":
      await product.scheduled({ scheduledTime: Number(body["at_ms"]) } as ScheduledController, env);
      return Response.json({});
    case "rows":
      return Response.json(await task().chaosRows());
    case "history":
      return Response.json((await env.HISTORY.prepare("SELECT * FROM history ORDER BY task_id, seq").all()).results);
    case "totals": {
      const [open, packed] = await env.HISTORY.batch(
        ["SELECT * FROM history_open_days", "SELECT * FROM history_days"].map((sql) => env.HISTORY.prepare(sql)),
      );
      return Response.json({ open: open!.results, packed: packed!.results });
    }
    case "objects":
      return Response.json(await allObjects(env.FILES));
    default:
      return new Response("no such switch", { status: 404 });
  }
}

async function allObjects(bucket: R2Bucket): Promise<{ key: string; text: string }[]> {
  const objects: { key: string; text: string }[] = [];
  let cursor: string | undefined;
  do {
    const page: R2Objects = await bucket.list({ limit: 500, cursor });
    for (const { key } of page.objects) objects.push({ key, text: (await (await bucket.get(key))?.text()) ?? "" });
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return objects;
}
