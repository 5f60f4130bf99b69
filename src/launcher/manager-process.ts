/**
 * The manager as a child process: `wrangler dev` on a state folder. Wrangler's entry file is
 * started directly and leads a process group of its own. A killed wrapper script would leave
 * workerd running, with the port and the databases.
 */
import type { ChildProcess } from "node:child_process";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { readRecord } from "../cli/manager-record.ts";
import { groupEnded, groupMembers, signalGroup } from "../client/process-group.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";
import { startCron } from "./cron.ts";
import { adminToken, lockStateFolder, rotateLog, localSigningKey, type StateFolder } from "./state-folder.ts";
import { applyMigrations, lastWords, logSince, logSize, startDev } from "./wrangler.ts";

/**
 * A first start reads some hundred megabytes from a cold disk; a start that hangs must end with a
 * message.
 */
const READY_WITHIN_MS = 90_000;
/** Wrangler ends workerd at once; what still runs after this is killed. */
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
    const port = await freePort(options.host, options.port);
    return await launchOn(state, { ...options, port });
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
 * given the id of the group to another one.
 */
async function clearLeftovers(state: StateFolder): Promise<void> {
  const noted = Number(readPrivateFile(state.file("group.json")) ?? "0");
  if (!Number.isSafeInteger(noted) || noted <= 1) return;
  const members = groupMembers(noted);
  const ours = members.filter(({ command }) => /workerd|wrangler-dist|esbuild/.test(command));
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

async function freePort(host: string, port: number): Promise<number> {
  const server = net.createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, exclusive: true }, () => {
        const address = server.address();
        resolve(typeof address === "object" && address ? address.port : port);
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

async function launchOn(state: StateFolder, options: ManagerOptions): Promise<RunningManager> {
  const token = adminToken(state, options.token);
  const secrets = state.file("secrets.env");
  writePrivateFile(secrets, `TABLAO_ADMIN_TOKEN=${token}\nTABLAO_SIGNING_KEY=${localSigningKey(state)}\n`);
  const logFile = state.file("manager.log");
  rotateLog(logFile);

  await applyMigrations(state, logFile);
  const logFrom = logSize(logFile);
  const child = startDev(state, logFile, [
    `--ip=${options.host}`,
    `--port=${options.port}`,
    "--inspector-port=0",
    `--persist-to=${state.path}`,
    `--env-file=${secrets}`,
    "--log-level=warn",
    "--show-interactive-dev-session=false",
  ]);
  const group = child.pid!;

  let stopping = false;
  let stopCron = (): void => {};
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ended = exited.then(async () => {
    signalGroup(group, "SIGKILL");
    await groupEnded(group, STOP_WITHIN_MS);
    return { expected: stopping };
  });
  const url = `http://${urlHost(options.host)}:${options.port}`;
  const stop = async (): Promise<void> => {
    if (!stopping) {
      stopping = true;
      stopCron();
      signalGroup(group, "SIGTERM");
      if (!(await settlesWithin(exited, STOP_WITHIN_MS))) signalGroup(group, "SIGKILL");
      await ended;
      state.release();
    }
    await ended;
  };
  try {
    await untilServing(url, child, logFile, logFrom, options.signal);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  stopCron = startCron(url);
  return { url, port: options.port, token, state, logFile, ended, stop };
}

/**
 * Wait for `/healthz` to answer 200. After a build error wrangler does not end but waits for an
 * edit, so its log is watched, too.
 */
async function untilServing(
  url: string,
  child: ChildProcess,
  logFile: string,
  logFrom: number,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + READY_WITHIN_MS;
  let bound = false;
  child.once("message", () => (bound = true));
  for (;;) {
    signal.throwIfAborted();
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new CliError(
        EXIT.failed,
        `the manager did not start${lastWords(logFile, logFrom)}`,
        `The whole log: ${logFile}`,
      );
    }
    if (bound && (await isHealthy(url))) return;
    if (/Build failed with|\[ERROR\]/.test(logSince(logFile, logFrom))) {
      throw new CliError(
        EXIT.failed,
        `the manager cannot be built or started${lastWords(logFile, logFrom)}`,
        `The whole log: ${logFile}`,
      );
    }
    if (performance.now() > until) {
      throw new CliError(
        EXIT.failed,
        `the manager did not answer within ${READY_WITHIN_MS / 1000} s`,
        `Its log: ${logFile}`,
      );
    }
    await sleep(bound ? 50 : 25);
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
  return host.includes(":") ? `[${host}]` : host;
}
