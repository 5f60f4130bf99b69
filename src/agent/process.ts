/**
 * A process of a lease: started without a shell, in a process group of its own; read line by line;
 * ended for certain.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { signalGroup } from "../client/process-group.ts";
import { LineSplitter } from "./lines.ts";

export interface RunOptions {
  /** Executable and arguments. */
  command: readonly [string, ...string[]];
  cwd: string;
  env: NodeJS.ProcessEnv;
  onLine: (line: string) => void;
}

export type Exit =
  | { kind: "exit"; code: number | null; signal: NodeJS.Signals | null }
  /** It could not be started. */
  | { kind: "not_started"; reason: string };

export interface RunningProcess {
  readonly pid: number | undefined;
  /**
   * Resolves when the process has ended, its output is read and its group is killed. Never rejects.
   */
  readonly exit: Promise<Exit>;
  /**
   * SIGTERM to the group, SIGKILL after `graceMs`; resolves with `exit`. May be called again, with
   * a shorter time.
   */
  kill(graceMs?: number): Promise<void>;
}

/**
 * Blender removes its temporary files on SIGTERM. After the loss of a lease 5 s are allowed in all
 * (P2).
 */
const KILL_GRACE_MS = 3_000;
/**
 * After the process has ended, its output is read for at most this long: a grandchild may hold the
 * pipe open for ever.
 */
const DRAIN_MS = 1_000;

const groups = new Set<number>();
// For an agent that ends because of a bug: its processes end with it.
process.on("exit", () => {
  for (const pid of groups) signalGroup(pid, "SIGKILL");
});

/** Start a process. One that cannot be started has an `exit` of kind `not_started`. */
export function runProcess({ command, cwd, env, onLine }: RunOptions): RunningProcess {
  const [file, ...args] = command;
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd,
      env,
      shell: false,
      detached: process.platform !== "win32",
      windowsHide: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    // `spawn` throws for arguments that the system cannot take (too long, NUL).
    return {
      pid: undefined,
      exit: Promise.resolve({ kind: "not_started", reason: (error as Error).message }),
      kill: async () => {},
    };
  }
  const { pid } = child;
  if (pid !== undefined) groups.add(pid);
  const splitters = [child.stdout, child.stderr].map((stream) => {
    const splitter = new LineSplitter(onLine);
    stream?.on("data", (bytes: Buffer) => splitter.push(bytes));
    return splitter;
  });
  const exit = new Promise<Exit>((resolve) => {
    child.once("error", (error) => {
      if (child.pid === undefined) resolve({ kind: "not_started", reason: error.message });
    });
    const closed = new Promise<void>((done) => child.once("close", () => done()));
    child.once("exit", (code, signal) => {
      // What the process left running in its group would go on using the machine.
      if (pid !== undefined) signalGroup(pid, "SIGKILL");
      const drained = async () => {
        await Promise.race([closed, delay(DRAIN_MS, undefined, { ref: false })]);
        child.stdout?.destroy();
        child.stderr?.destroy();
        for (const splitter of splitters) splitter.end();
        if (pid !== undefined) groups.delete(pid);
        resolve({ kind: "exit", code, signal });
      };
      void drained();
    });
  });
  const kill = async (graceMs = KILL_GRACE_MS) => {
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      await exit;
      return;
    }
    if (process.platform === "win32") await taskkill(pid);
    else if (graceMs > 0) signalGroup(pid, "SIGTERM");
    const ended = new AbortController();
    void exit.finally(() => ended.abort());
    await delay(graceMs, undefined, { signal: ended.signal }).catch(() => undefined);
    if (!ended.signal.aborted) signalGroup(pid, "SIGKILL");
    await exit;
  };
  return { pid, exit, kill };
}

async function taskkill(pid: number): Promise<void> {
  await new Promise<void>((resolve) => {
    execFile("taskkill", ["/PID", String(pid), "/T", "/F"], { windowsHide: true }, () => resolve());
  });
}
