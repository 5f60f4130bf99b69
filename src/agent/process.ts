/** A process of a lease: no shell, a process group of its own, output as lines, and dead for certain when told so. */
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
  /** It never ran. */
  | { kind: "not_started"; reason: string };

export interface RunningProcess {
  readonly pid: number | undefined;
  /** Resolves when the process has ended, its output is read and nothing of its group is left. Never rejects. */
  readonly exit: Promise<Exit>;
  /** TERM to the group, KILL after `graceMs`; resolves with `exit`. May be called again, with less patience. */
  kill(graceMs?: number): Promise<void>;
}

/** Blender removes its temporary files on TERM; 409 and `cancel` allow 5 s in all. */
const KILL_GRACE_MS = 3_000;
/** After the process has ended, its output may still be on the way; a grandchild that holds the pipe does not stop us. */
const DRAIN_MS = 1_000;

const groups = new Set<number>();
// The last resort, for an agent that dies of a bug: no process of ours outlives it.
process.on("exit", () => {
  for (const pid of groups) signalGroup(pid, "SIGKILL");
});

/** Start a process. What cannot be started shows as `exit` of kind `not_started`. */
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
    // Arguments the system cannot take (too long, NUL) are thrown at once.
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
      // Whatever the process left running in its group would go on using the machine, unseen.
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

/** Ours are secrets; the rest is what a machine's owner may keep in the environment of a service. */
const SECRET_NAME =
  /^TABLAO_|TOKEN|SECRET|PASS(WORD|WD|PHRASE|FILE|$)|PASSW|_PWD$|_PAT$|_AUTH$|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SSH_AUTH_SOCK|_DSN$/i;
/** A secret of ours, or an address with somebody's password in it, whatever the variable is called. */
const SECRET_VALUE = /tablao_[a-z]+_[A-Za-z0-9_-]{8}|:\/\/[^/\s:@]*:[^/\s@]+@/;

/** The environment of a process: the agent's own without anything that looks like a secret, and what the lease adds. */
export function childEnvironment(own: NodeJS.ProcessEnv, added: Record<string, string>): NodeJS.ProcessEnv {
  const harmless = Object.entries(own).filter(
    ([name, value]) => !SECRET_NAME.test(name) && !SECRET_VALUE.test(value ?? ""),
  );
  return { ...Object.fromEntries(harmless), ...added };
}
