/**
 * The manager as a child process (`manager-child.ts`) on a state folder. It is started directly and
 * leads a process group of its own. A killed wrapper script would leave workerd running, with the
 * port and the databases.
 */
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { readRecord } from "../cli/manager-record.ts";
import { groupEnded, groupMembers, signalGroup } from "../client/process-group.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";
import { buildIfNeeded } from "./build-if-needed.ts";
import { workerBuild } from "./build-worker.ts";
import { lastWords, logSize } from "./log.ts";
import type { Outcome } from "./manager-child.ts";
import { hashOfMigrations, migrations } from "./migrations.ts";
import { startGroup } from "./node-child.ts";
import type { Order } from "./serve.ts";
import { adminToken, lockStateFolder, rotateLog, localSigningKey, type StateFolder } from "./state-folder.ts";

/**
 * A first start reads some hundred megabytes from a cold disk; a start that hangs must end with a
 * message.
 */
const READY_WITHIN_MS = 90_000;
/** The child ends workerd at once; what still runs after this is killed. */
const STOP_WITHIN_MS = 5_000;
/** How long a second launcher waits for one that is just stopping; then it refuses. */
const LOCK_WITHIN_MS = 2_500;

export interface ManagerOptions {
  /** Absolute. */
  stateFolder: string;
  host: string;
  port: number;
  /** The admin token; by default the one of the folder. */
  token?: string | undefined;
  /** Gives up starting when aborted. */
  signal: AbortSignal;
}

export interface RunningManager {
  /** Address on this machine. */
  url: string;
  port: number;
  token: string;
  state: StateFolder;
  logFile: string;
  /** Resolves when the process has ended; `expected` after `stop()`. */
  ended: Promise<{ expected: boolean }>;
  /** End it, workerd included, and free the state folder. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Start a manager and wait until it serves; undefined when `signal` fired before that. Throws
 * `CliError`. After a failure no process of it is left.
 */
export async function launchManager(options: ManagerOptions): Promise<RunningManager | undefined> {
  const state = await takeStateFolder(options.stateFolder);
  try {
    await clearLeftovers(state);
    const { address, port } = await freePort(options.host, options.port);
    return await launchOn(state, { ...options, address, port });
  } catch (thrown) {
    state.release();
    if (options.signal.aborted) return undefined;
    throw thrown;
  }
}

async function takeStateFolder(folder: string): Promise<StateFolder> {
  const until = performance.now() + LOCK_WITHIN_MS;
  for (;;) {
    const state = await lockStateFolder(folder);
    if (state) return state;
    if (performance.now() > until) {
      const url = readRecord(path.join(folder, "manager.json"))?.url;
      throw new CliError(
        EXIT.failed,
        `a manager is already running ${url === undefined ? "" : `at ${url} `}on the state folder ${folder}`,
        "Stop it first, or set TABLAO_STATE to another folder and PORT to another port.",
      );
    }
    await sleep(100);
  }
}

/**
 * End what a killed launcher may have left. The commands are compared, because the system may have
 * given the id of the group to another one. Releases before 0.2 ran wrangler and esbuild.
 */
async function clearLeftovers(state: StateFolder): Promise<void> {
  const noted = Number(readPrivateFile(state.file("group.json")) ?? "0");
  if (!Number.isSafeInteger(noted) || noted <= 1) return;
  const members = groupMembers(noted);
  const ours = members.filter(({ command }) => /workerd|manager-child|wrangler-dist|esbuild/.test(command));
  for (const { pid } of ours) signalProcess(pid);
  // A process that is just ending has no command any more, and may still hold the port.
  if (ours.length > 0 || members.some(({ command }) => command === "")) await groupEnded(noted, STOP_WITHIN_MS);
}

function signalProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}

/** The address that a host name stands for, and a port of it that is free. */
async function freePort(host: string, port: number): Promise<{ address: string; port: number }> {
  const server = net.createServer();
  try {
    return await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, exclusive: true }, () => {
        const bound = server.address();
        resolve(typeof bound === "object" && bound ? bound : { address: host, port });
      });
    });
  } catch (thrown) {
    const code = systemCode(thrown);
    if (code === "EADDRINUSE") {
      throw new CliError(
        EXIT.failed,
        `port ${port} on ${host} is taken`,
        "Set PORT to another one, for example: PORT=8788 npm start",
      );
    }
    if (code === "EACCES")
      throw new CliError(EXIT.failed, `port ${port} needs more rights than you have`, "Set PORT to one above 1023.");
    throw new CliError(
      EXIT.usage,
      `cannot listen on ${host}:${port}: ${messageOf(thrown)}`,
      "HOST is an address of this machine.",
    );
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

async function launchOn(state: StateFolder, options: ManagerOptions & { address: string }): Promise<RunningManager> {
  const token = adminToken(state, options.token);
  const secrets = { TABLAO_ADMIN_TOKEN: token, TABLAO_SIGNING_KEY: localSigningKey(state) };
  const logFile = state.file("manager.log");
  rotateLog(logFile);
  // Releases before 0.2 kept both secrets there once more.
  rmSync(state.file("secrets.env"), { force: true });
  const logFrom = logSize(logFile);

  // It loads Miniflare while the rest is looked after here; it touches the state when it gets its order.
  const child = startGroup("manager-child.ts", logFile);
  const group = child.pid!;
  // The next launcher ends this group if this launcher is killed.
  writePrivateFile(state.file("group.json"), `${group}\n`);

  let stopping = false;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ended = exited.then(async () => {
    signalGroup(group, "SIGKILL");
    await groupEnded(group, STOP_WITHIN_MS);
    return { expected: stopping };
  });
  const stop = async (): Promise<void> => {
    if (!stopping) {
      stopping = true;
      // Not to the group: the child would take workerd's end for a crash, and start it again.
      child.kill("SIGTERM");
      if (!(await settlesWithin(exited, STOP_WITHIN_MS))) signalGroup(group, "SIGKILL");
      await ended;
      state.release();
    }
    await ended;
  };
  try {
    const schema = hashOfMigrations(migrations());
    const migrate = readPrivateFile(state.file("schema.sha256"))?.trim() !== schema;
    const url = `http://${urlHost(options.host)}:${options.port}`;
    const order: Order = {
      url,
      build: await builtWorker(options.signal),
      address: `${bracketed(options.address)}:${options.port}`,
      storage: state.file("v3"),
      secrets,
      migrate,
    };
    await untilServing(child, order, { logFile, logFrom, signal: options.signal });
    if (migrate) writePrivateFile(state.file("schema.sha256"), `${schema}\n`);
    return { url, port: options.port, token, state, logFile, ended, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** The file of the Worker's build, made where needed. Throws `CliError`. */
async function builtWorker(signal: AbortSignal): Promise<string> {
  const failure = await buildIfNeeded(() => workerBuild().built, "build-worker.ts", signal);
  signal.throwIfAborted();
  if (failure !== undefined) throw new CliError(EXIT.failed, failure);
  return workerBuild().file;
}

interface Watch {
  logFile: string;
  /** Where in the log this start begins. */
  logFrom: number;
  signal: AbortSignal;
}

/** Give the child its order, and wait until `/healthz` answers 200. Throws `CliError`. */
async function untilServing(child: ChildProcess, order: Order, watch: Watch): Promise<void> {
  const until = performance.now() + READY_WITHIN_MS;
  const { logFile, logFrom, signal } = watch;
  let outcome: Outcome | undefined;
  child.once("message", (message) => (outcome = message as Outcome));
  child.send(order);
  for (;;) {
    signal.throwIfAborted();
    const gone = child.exitCode !== null || child.signalCode !== null;
    if (gone || outcome?.serving === false) {
      const reason = outcome?.serving === false ? `: ${outcome.reason}` : lastWords(logFile, logFrom);
      throw new CliError(EXIT.failed, `the manager did not start${reason}`, `The whole log: ${logFile}`);
    }
    if (outcome?.serving && (await isHealthy(order.url))) return;
    if (performance.now() > until) {
      throw new CliError(
        EXIT.failed,
        `the manager did not answer within ${READY_WITHIN_MS / 1000} s`,
        `Its log: ${logFile}`,
      );
    }
    await sleep(20);
  }
}

/** Whether a manager answers 200 at `/healthz`. */
async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

async function settlesWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const timeout = sleep(ms, false, { signal: timer.signal }).catch(() => false);
  const first = await Promise.race([promise.then(() => true), timeout]);
  timer.abort();
  return first;
}

/** The host part of a URL: a wildcard address is reached by loopback; IPv6 takes brackets. */
function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return bracketed(host);
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
