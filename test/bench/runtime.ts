/**
 * The manager on workerd without the dev proxy: three Workers in one process, each with a socket of
 * its own.
 *   manager the product as it is deployed
 *   bare the platform's own speed (`workerd/bare.ts`)
 *   driver load over RPC from inside (`workerd/driver.ts`)
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { bundle } from "../../src/launcher/bundle.ts";
import { applySchema, COMPATIBILITY_DATE, MANAGER_OBJECTS, startMiniflare } from "../support/runtime.ts";
import type { CountedOrder, Order } from "./order.ts";

export const CHECKOUT = path.resolve(import.meta.dirname, "../..");
export const ADMIN_TOKEN = "bench-admin-token-7fQx2LmV9cTzRk4wNbHs";
/** A token signed with this key is valid for the manager. */
export const SIGNING_KEY = "bench-signing-key-7fQx2LmV9cTzRk4wNbHs";

export interface Runtime {
  manager: URL;
  bare: URL;
  /** Carry out an order; returns how long it took. */
  drive(order: Order): Promise<number>;
  /** Send JSON to the manager as admin. Throws when it is refused. */
  admin(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Carry out an order of the counted manager (`startCounted`). */
  count<T>(order: CountedOrder): Promise<T>;
  /** Submit a task; returns its id. */
  submit(body: Record<string, unknown>): Promise<number>;
  stop(): Promise<void>;
}

/**
 * The same with the manager's isolate metered, for counts. Its clock is the meter's, so its speed
 * means nothing.
 */
export function startCounted(): Promise<Runtime> {
  return startRuntime({ manager: "test/bench/workerd/counted.ts" });
}

/** Start it on an empty state folder, in `folder` or in the system's temporary folder. */
export async function startRuntime(options: { manager?: string; folder?: string } = {}): Promise<Runtime> {
  const state = mkdtempSync(path.join(options.folder ?? tmpdir(), "tablao-bench-"));
  const [manager, bare, driver] = await Promise.all(
    [options.manager ?? "src/index.ts", "test/bench/workerd/bare.ts", "test/bench/workerd/driver.ts"].map((entry) =>
      bundle(entry),
    ),
  );
  const common = {
    modules: true as const,
    compatibilityDate: COMPATIBILITY_DATE,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
  const miniflare = startMiniflare({
    port: 0,
    resourcePersistencePath: state,
    workers: [
      {
        ...common,
        name: "manager",
        script: manager!,
        bindings: { TABLAO_ADMIN_TOKEN: ADMIN_TOKEN, TABLAO_SIGNING_KEY: SIGNING_KEY },
        durableObjects: MANAGER_OBJECTS,
        d1Databases: { HISTORY: "history" },
        r2Buckets: { FILES: "files" },
      },
      {
        ...common,
        name: "bare",
        script: bare!,
        durableObjects: { BARE: { className: "BareDO", useSQLite: true } },
        r2Buckets: { FILES: "files" },
      },
      {
        ...common,
        name: "driver",
        script: driver!,
        bindings: { TABLAO_SIGNING_KEY: SIGNING_KEY },
        durableObjects: {
          TASK: { className: "TaskDO", scriptName: "manager", useSQLite: true },
          REGISTRY: { className: "WorkerRegistry", scriptName: "manager", useSQLite: true },
          BARE: { className: "BareDO", scriptName: "bare", useSQLite: true },
        },
      },
    ],
  });
  const stop = async (): Promise<void> => {
    await miniflare.dispose();
    rmSync(state, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    await miniflare.ready;
    await applySchema(miniflare, "manager");
    const [managerUrl, bareUrl, driverUrl] = await Promise.all(
      ["manager", "bare", "driver"].map((name) => miniflare.unsafeGetDirectURL(name)),
    );
    const admin = (method: string, where: string, body?: unknown): Promise<unknown> =>
      call(new URL(where, managerUrl), method, ADMIN_TOKEN, body);
    return {
      manager: managerUrl!,
      bare: bareUrl!,
      drive: async (order) => {
        const began = performance.now();
        const response = await fetch(driverUrl!, { method: "POST", body: JSON.stringify(order) });
        if (!response.ok) throw new Error(`the driver failed: ${await response.text()}`);
        await response.json();
        return performance.now() - began;
      },
      count: async <T>(order: CountedOrder) =>
        (await call(new URL("/counted", managerUrl), "POST", ADMIN_TOKEN, order)) as T,
      admin,
      submit: async (body) => ((await admin("POST", "/tasks", body)) as { id: number }).id,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One JSON call. Throws when it is refused, with the answer's text. */
async function call(url: URL, method: string, token: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url.pathname} answered ${response.status}: ${text}`);
  return text === "" ? null : JSON.parse(text);
}
