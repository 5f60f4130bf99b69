/** Child processes of tests. Their output is kept, and none outlives the test. */
import { spawn, type ChildProcess } from "node:child_process";
import { HANG_MS } from "./wait.ts";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Child {
  pid: number;
  process: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when it has ended and its output is complete. */
  ended: Promise<Ended>;
  /** Whether it still runs. */
  running(): boolean;
  /** Send a signal and wait for the end; SIGKILL after `withinMs`. */
  end(signal?: NodeJS.Signals, withinMs?: number): Promise<Ended>;
}

export interface ChildOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Written to its stdin, which is then closed. */
  input?: string;
}

/** How long output may still come after the end; a grandchild may hold the pipe for ever. */
const CLOSE_WITHIN_MS = 1_000;

const live = new Set<Child>();

/** Start a program, its output kept in memory. */
export function startChild(program: string, args: readonly string[], options: ChildOptions = {}): Child {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
    // A grandchild may hold the pipe open for ever.
    child.once("exit", (code, signal) => void setTimeout(() => resolve({ code, signal }), CLOSE_WITHIN_MS));
  });
  const started: Child = {
    pid: child.pid ?? -1,
    process: child,
    stdout: () => Buffer.concat(out).toString("utf8"),
    stderr: () => Buffer.concat(err).toString("utf8"),
    ended,
    running: () => child.exitCode === null && child.signalCode === null,
    end: async (signal = "SIGTERM", withinMs = HANG_MS) => {
      if (started.running()) child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
      return await ended.finally(() => clearTimeout(timer));
    },
  };
  live.add(started);
  void ended.catch(() => undefined).finally(() => live.delete(started));
  return started;
}

/** End whatever is still running. For `afterAll`. */
export async function endAllChildren(): Promise<void> {
  await Promise.all([...live].map((child) => child.end("SIGTERM").catch(() => undefined)));
}

/**
 * The environment of this process without what would lead a command to another manager or by another
 * way, or tell it that npm runs it; and then `extra`.
 */
export function cleanEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env };
  for (const name of Object.keys(environment)) {
    if (/^(TABLAO_|npm_|VITEST|NODE_OPTIONS$|PORT$|HOST$|FORCE_COLOR$)|^(https?|no)_proxy$/i.test(name))
      delete environment[name];
  }
  return { ...environment, ...extra };
}
