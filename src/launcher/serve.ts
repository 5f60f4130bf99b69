/** A local manager on Miniflare: one address that serves, and the launcher's own orders to it. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Runtime } from "miniflare";
import { LOCAL_CONTROL_HEADER, localAnswerSchema, type LocalOrder } from "../protocol/local-control.ts";
import type { WorkerBuild } from "./build-worker.ts";
import { migrations } from "./migrations.ts";
import { startMiniflare, type Miniflare } from "./miniflare.ts";
import { publicNetwork } from "./public-network.ts";
import { PUBLIC_SOCKET, type PublicSocket } from "./public-socket.ts";
import { syncBlobs } from "./synced-blobs.ts";

export interface Order {
  /** The file that `build-worker.ts` wrote. */
  build: string;
  /** `host:port` to serve at, IPv6 in brackets. */
  address: string;
  /** The same as a URL of this machine. */
  url: string;
  /** Where Miniflare keeps what the manager stores. */
  storage: string;
  secrets: { TABLAO_ADMIN_TOKEN: string; TABLAO_SIGNING_KEY: string };
  /** Whether D1 may lack migrations. */
  migrate: boolean;
}

export interface LocalManager {
  miniflare: Miniflare;
  /** The names of the migrations that this start has applied. */
  applied: string[];
  /** Run a cron trigger to its end. Rejects when it failed. */
  trigger(cron: string): Promise<void>;
  stop(): Promise<void>;
}

/** Whoever reaches Miniflare's own socket meets this Worker. */
const CLOSED = `export default { fetch: () => new Response("Forbidden\\n", { status: 403 }) };`;

let entries = 0;
/** Its folder, for the owner only; made once in a process. */
let entryFolder: string | undefined;

/**
 * Miniflare's own socket ("entry") gives the files of R2 to everybody, and leads to any Worker. No
 * option leaves it out, so it becomes a file in a private folder. Miniflare needs it for calls from
 * Node, which are not used here. Of its public classes only this one is told the address.
 */
function hideEntries(): string {
  if (entryFolder !== undefined) return entryFolder;
  const folder = mkdtempSync(path.join(tmpdir(), "tablao-runtime-"));
  entryFolder = folder;
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
  const start = Runtime.prototype.updateConfig;
  Runtime.prototype.updateConfig = function updateConfig(config, options, ...rest) {
    // A new name each time: after a crash the file of the runtime before is left.
    const entryAddress = `unix:${path.join(folder, String(++entries))}`;
    return start.call(this, config, { ...options, entryAddress }, ...rest);
  };
  return folder;
}

/** Serve; resolves when requests are answered. Rejects when the runtime does not start. */
export async function serve(order: Order): Promise<LocalManager> {
  const { name, script, options } = JSON.parse(readFileSync(order.build, "utf8")) as WorkerBuild;
  const { compatibilityDate } = options;
  const [gate, control] = [0, 1].map(() => randomBytes(32).toString("base64url")) as [string, string];
  const socket: PublicSocket = { address: order.address, worker: name, secret: gate };
  const bindings = { ...options.bindings, ...order.secrets, TABLAO_LOCAL_GATE: gate, TABLAO_LOCAL_CONTROL: control };
  const plugin = { package: path.join(import.meta.dirname, "public-socket.ts"), name: PUBLIC_SOCKET };
  await syncBlobs(path.join(hideEntries(), "sync"));
  const miniflare = startMiniflare({
    port: 0,
    resourcePersistencePath: order.storage,
    workers: [
      // The first is the one that Miniflare's own socket leads to.
      {
        name: "closed",
        modules: true,
        script: CLOSED,
        compatibilityDate,
        unsafeBindings: [{ name: "SOCKET", type: PUBLIC_SOCKET, plugin, options: { ...socket } }],
      },
      { ...options, name, modules: true, script, bindings, unsafeBindings: [publicNetwork()] },
    ],
  });
  const stop = (): Promise<void> => miniflare.dispose();
  const ask = async (body: LocalOrder): Promise<string[]> => {
    const headers = { [LOCAL_CONTROL_HEADER]: control };
    const response = await fetch(order.url, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
    return localAnswerSchema.parse(await response.json()).applied;
  };
  try {
    await miniflare.ready;
    const applied = order.migrate ? await ask({ migrations: migrations() }) : [];
    const trigger = async (cron: string): Promise<void> => void (await ask({ cron }));
    return { miniflare, applied, trigger, stop };
  } catch (thrown) {
    await stop().catch(() => undefined);
    throw thrown;
  }
}
