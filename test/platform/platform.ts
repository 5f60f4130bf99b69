/**
 * The emulated platform from outside: workerd with the manager behind limits (`workerd/worker.ts`),
 * and the orders that switch them.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { ManagerClient } from "../../src/client/manager-client.ts";
import { bundle } from "../../src/launcher/bundle.ts";
import { childrenOf } from "../support/cpu.ts";
import { CHECKOUT } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { applySchema, COMPATIBILITY_DATE, MANAGER_OBJECTS, startMiniflare } from "../support/runtime.ts";
import type { LimitName } from "./limits/index.ts";
import type { PlatformOrder, Rule } from "./order.ts";

/** The client of the test itself, beside the edge: limits may make the manager refuse for a while. */
const RETRY_FOR_MS = 60_000;

export interface Platform {
  /** The manager's address. */
  url: string;
  /** The admin token. */
  token: string;
  /** Calls as admin. */
  client: ManagerClient;
  /** The processes of the runtime. */
  pids: readonly number[];
  /** From now on these limits act, and no others. */
  limit(...names: LimitName[]): Promise<void>;
  /** How often each limit has acted. */
  bites(): Promise<Partial<Record<LimitName, number>>>;
  /** Set the manager's clock forward; alarms follow it. */
  setClockForward(byMs: number): Promise<void>;
  /** How long until the manager's clock says 00:00 UTC, in milliseconds. */
  untilMidnightMs(): Promise<number>;
  /** Reset every object: memory is lost, storage stays. */
  reset(): Promise<void>;
  /** A trigger of wrangler.toml fires. */
  cron(cron: string): Promise<void>;
  /** The rows of a task's object, by table, and its alarm by the machine's clock. */
  task(id: number): Promise<{ rows: Record<string, number>; alarmMs: number | null }>;
  /** Up to a thousand keys of the bucket. */
  keys(prefix: string): Promise<string[]>;
  /** Break a rule of the platform on purpose: the error, or null when nothing refused it. */
  breakRule(rule: Rule): Promise<string | null>;
  /** The last lines that the manager and the runtime have logged. */
  log(): string;
  stop(): Promise<void>;
}

/** Lines of the log that are kept: enough for the requests around a failure. */
const LOG_LINES = 200;

let bundled: Promise<string> | undefined;

/** Addresses that the Worker answers before the files of the page, from wrangler.toml. */
const WORKER_FIRST = JSON.parse(
  /^run_worker_first = (\[.*\])$/m.exec(readFileSync(path.join(CHECKOUT, "wrangler.toml"), "utf8"))![1]!,
) as string[];

/** Build the page and the Worker; once for all platforms of this process. */
async function build(): Promise<string> {
  await promisify(execFile)(process.execPath, [path.join(CHECKOUT, "src/launcher/build-page.ts")]);
  return await bundle("test/platform/workerd/worker.ts");
}

/** Start a manager on an empty state, without limits. */
export async function startPlatform(): Promise<Platform> {
  const script = await (bundled ??= build());
  const state = temporaryFolder("platform");
  const token = `test-${randomBytes(16).toString("hex")}`;
  const before = new Set(childrenOf(process.pid, "workerd"));
  const lines: string[] = [];
  const miniflare = startMiniflare({
    port: 0,
    handleStructuredLogs: ({ message }) => {
      lines.push(message);
      lines.splice(0, lines.length - LOG_LINES);
    },
    resourcePersistencePath: state.path,
    workers: [
      {
        name: "manager",
        modules: true,
        script,
        compatibilityDate: COMPATIBILITY_DATE,
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        bindings: { TABLAO_ADMIN_TOKEN: token, TABLAO_SIGNING_KEY: `key-of-${token}` },
        durableObjects: MANAGER_OBJECTS,
        d1Databases: { HISTORY: "history" },
        r2Buckets: { FILES: "files" },
        assets: {
          directory: path.join(CHECKOUT, "public"),
          binding: "ASSETS",
          routerConfig: { has_user_worker: true, static_routing: { user_worker: WORKER_FIRST } },
          assetConfig: { html_handling: "none", not_found_handling: "none" },
        },
      },
    ],
  });
  const stop = async (): Promise<void> => {
    await miniflare.dispose();
    state.remove();
  };
  try {
    await miniflare.ready;
    await applySchema(miniflare, "manager");
    const url = (await miniflare.unsafeGetDirectURL("manager")).href.replace(/\/$/, "");
    const order = async <T>(body: PlatformOrder): Promise<T> => {
      const response = await fetch(`${url}/__platform`, { method: "POST", body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${body.do}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    };
    return {
      url,
      token,
      client: new ManagerClient({ url, secret: token, retryForMs: RETRY_FOR_MS }),
      pids: childrenOf(process.pid, "workerd").filter((pid) => !before.has(pid)),
      limit: (...names) => order({ do: "limits", names }),
      bites: () => order({ do: "bites" }),
      setClockForward: (byMs) => order({ do: "clock", byMs }),
      untilMidnightMs: () => order({ do: "until midnight" }),
      reset: () => order({ do: "reset" }),
      cron: (cron) => order({ do: "cron", cron }),
      task: (id) => order({ do: "task", id }),
      keys: (prefix) => order({ do: "keys", prefix }),
      breakRule: (rule) => order({ do: "break", rule }),
      log: () => lines.join("\n"),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
