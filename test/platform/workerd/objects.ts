/**
 * The product's objects on the emulated platform: their storage, their bindings and every event that
 * they get go through the limits.
 */
import product, { TaskDO as ProductTask, WorkerRegistry as ProductRegistry } from "../../../src/index.ts";
import type { Env } from "../../../src/rpc/env.ts";
import { forgetNewerSchema } from "../limits/newer-schema.ts";
import type { AlarmInfo } from "../limits/limit.ts";
import { limitedEnv, RESET } from "./bindings.ts";
import { beforeConstruction, beginEvent, checkAlarm, checkStatement, machineMs, managerMs, ring } from "./switches.ts";

export { product };

/** The methods that a test calls on an object (`controls`). */
export interface Controlled {
  /** End it, as a deployment or the platform does: memory is lost, storage stays. */
  platformReset(): Promise<void>;
  /** The manager's clock was set forward by so much: its alarm rings that much sooner. */
  platformClock(byMs: number): Promise<void>;
  /** How many rows each table holds, and when the alarm is set for, by the machine's clock. */
  platformState(): Promise<{ rows: Record<string, number>; alarmMs: number | null }>;
  /** Store a text of so many bytes in a row; answers with the error, or null when it was stored. */
  platformRow(bytes: number): Promise<string | null>;
  /** Take an argument of any size. */
  platformTake(value: string): Promise<number>;
}

/** Storage without limits, for what a test asks. */
interface Raw {
  exec: SqlStorage["exec"];
  getAlarm: () => Promise<number | null>;
  setAlarm: (atMs: number) => Promise<void>;
}

/** By the name of an object: what it does is one invocation, also after it was reset. */
const invocations = new Map<string, object>();

function invocationOf(ctx: DurableObjectState): object {
  const name = String(ctx.id);
  const known = invocations.get(name) ?? { name };
  invocations.set(name, known);
  return known;
}

const raws = new WeakMap<DurableObjectState, Raw>();

/** Put the limits between the object and its storage. Returns the bindings that it gets. */
function onPlatform(ctx: DurableObjectState, env: Env): Env {
  const { storage } = ctx;
  const { sql } = storage;
  const invocation = invocationOf(ctx);
  const exec = sql.exec.bind(sql);
  const deleteAll = storage.deleteAll.bind(storage);
  const getAlarm = storage.getAlarm.bind(storage);
  const setAlarm = storage.setAlarm.bind(storage);
  raws.set(ctx, { exec, getAlarm: () => getAlarm(), setAlarm: (atMs) => setAlarm(atMs) });
  forgetNewerSchema({ exec });
  beforeConstruction({ exec });
  sql.exec = ((statement: string, ...params: unknown[]) => {
    checkStatement(statement, params, invocation);
    return exec(statement, ...params);
  }) as typeof exec;
  storage.deleteAll = async () => {
    checkStatement("DELETE", [], invocation);
    await deleteAll();
  };
  storage.setAlarm = async (at) => {
    checkAlarm(invocation);
    await setAlarm(machineMs(Number(at)));
  };
  storage.getAlarm = async () => {
    const atMs = await getAlarm();
    return atMs === null ? null : managerMs(atMs);
  };
  return limitedEnv(env, invocation);
}

/** Each method of the product is an event of the object, and the alarm rings as the limits let it. */
function limitEvents(prototype: object, productPrototype: object): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(productPrototype))) {
    if (name === "constructor" || typeof value !== "function") continue;
    const method = value as (this: object, ...args: unknown[]) => unknown;
    const limited =
      name === "alarm"
        ? async function (this: { ctx: DurableObjectState }, info?: AlarmInfo): Promise<void> {
            const invocation = invocationOf(this.ctx);
            beginEvent(invocation);
            const handler = async (info: AlarmInfo): Promise<void> => void (await method.call(this, info));
            await ring(handler, info ?? { isRetry: false, retryCount: 0 }, invocation);
          }
        : function (this: { ctx: DurableObjectState }, ...args: unknown[]): unknown {
            beginEvent(invocationOf(this.ctx));
            return method.apply(this, args);
          };
    Object.defineProperty(prototype, name, { value: limited, writable: true, configurable: true });
  }
}

/** What a test asks of an object, beside what the product offers. Methods of both classes. */
const controls: Controlled & ThisType<{ ctx: DurableObjectState }> = {
  async platformReset() {
    this.ctx.abort(RESET);
  },

  async platformClock(byMs) {
    const { getAlarm, setAlarm } = raws.get(this.ctx)!;
    const atMs = await getAlarm();
    if (atMs !== null) await setAlarm(atMs - byMs);
  },

  async platformState() {
    const { exec, getAlarm } = raws.get(this.ctx)!;
    const tables = exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
    const ours = tables.filter(({ name }) => !/^(_|sqlite_)/.test(name));
    const rows = ours.map(({ name }) => [name, exec<{ n: number }>(`SELECT count(*) AS n FROM ${name}`).one().n]);
    return { rows: Object.fromEntries(rows) as Record<string, number>, alarmMs: await getAlarm() };
  },

  async platformRow(bytes) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS platform_rows (text TEXT)");
    try {
      sql.exec("INSERT INTO platform_rows (text) VALUES (?)", "a".repeat(bytes));
      return null;
    } catch (error) {
      return String(error);
    } finally {
      sql.exec("DROP TABLE platform_rows");
    }
  },

  async platformTake(value) {
    return value.length;
  },
};

export class TaskDO extends ProductTask {
  constructor(ctx: DurableObjectState, env: Env) {
    const limited = onPlatform(ctx, env);
    super(ctx, limited);
  }
}

export class WorkerRegistry extends ProductRegistry {
  constructor(ctx: DurableObjectState, env: Env) {
    const limited = onPlatform(ctx, env);
    super(ctx, limited);
  }
}

limitEvents(TaskDO.prototype, ProductTask.prototype);
limitEvents(WorkerRegistry.prototype, ProductRegistry.prototype);
for (const { prototype } of [TaskDO, WorkerRegistry]) Object.assign(prototype, controls);
