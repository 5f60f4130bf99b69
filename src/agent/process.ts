/**
 * A process of a lease: started without a shell, in a process group of its own; read line by line;
 * ended for certain, with all that it has started (`process-tree.ts`). If this agent is killed, the
 * supervisor ends it.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { signalGroup } from "../client/process-group.ts";
import { readProcessStat } from "../client/process-stat.ts";
import { LineSplitter } from "./lines.ts";
import { killAll, MARK_VARIABLE, signalEach, treeOf, type Lineage } from "./process-tree.ts";
import { supervisor } from "./supervisor.ts";
import { killWindowsTree } from "./windows-processes.ts";

export interface RunOptions {
  /** Executable and arguments. */
  command: readonly [string, ...string[]];
  cwd: string;
  /** The lease's folder, links resolved: what works there belongs to the process. By default `cwd`. */
  folder?: string;
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
   * Resolves when the process has ended, its output is read, and what it has started is killed.
   * Never rejects.
   */
  readonly exit: Promise<Exit>;
  /**
   * SIGTERM to all its processes, SIGKILL after `graceMs`; resolves with `exit`. May be called again,
   * with a shorter time. Windows has no such signals: there they are ended at once.
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
 * pipe open for ever. What it has started has as long to end after SIGKILL.
 */
const DRAIN_MS = 1_000;

const IS_WINDOWS = process.platform === "win32";

const groups = new Set<number>();
// For an agent that ends because of a bug: its processes end with it. The supervisor ends what has
// left its group.
process.on("exit", () => {
  for (const pid of groups) signalGroup(pid, "SIGKILL");
});

/** Start a process. One that cannot be started has an `exit` of kind `not_started`. */
export function runProcess({ command, cwd, folder = cwd, env, onLine }: RunOptions): RunningProcess {
  const [file, ...args] = command;
  const mark = randomBytes(8).toString("hex");
  supervisor.announce(mark, folder);
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd,
      env: { ...env, [MARK_VARIABLE]: `${mark}:${folder}` },
      shell: false,
      // On Windows it would outlive the agent: Node puts only processes that are not detached into the
      // job that the system ends with it.
      detached: !IS_WINDOWS,
      windowsHide: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    supervisor.over(mark);
    // `spawn` throws for arguments that the system cannot take (too long, NUL).
    return {
      pid: undefined,
      exit: Promise.resolve({ kind: "not_started", reason: (error as Error).message }),
      kill: async () => {},
    };
  }
  const { pid } = child;
  if (pid === undefined) supervisor.over(mark);
  else {
    groups.add(pid);
    supervisor.started(mark, pid);
  }
  const lineage: Lineage = { mark, folder, group: pid, since: Number(pid && (readProcessStat(pid)?.start ?? 0)) };
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
      const over = async () => {
        // What it left running would go on using the machine.
        if (pid !== undefined) await killRest(pid, lineage);
        supervisor.over(mark);
        await Promise.race([closed, delay(DRAIN_MS, undefined, { ref: false })]);
        child.stdout?.destroy();
        child.stderr?.destroy();
        for (const splitter of splitters) splitter.end();
        resolve({ kind: "exit", code, signal });
      };
      void over();
    });
  });
  const kill = async (graceMs = KILL_GRACE_MS) => {
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      await exit;
      return;
    }
    if (IS_WINDOWS) await killWindowsTree(pid);
    else if (graceMs > 0) signalTree(pid, lineage, "SIGTERM");
    const ended = new AbortController();
    void exit.finally(() => ended.abort());
    await delay(graceMs, undefined, { signal: ended.signal }).catch(() => undefined);
    if (!ended.signal.aborted) signalTree(pid, lineage, "SIGKILL");
    await exit;
  };
  return { pid, exit, kill };
}

/** A signal to the group, and to what has left it. */
function signalTree(pid: number, lineage: Lineage, signal: NodeJS.Signals): void {
  // Looked for first: the children of a process that has ended have another parent.
  const left = treeOf(lineage).filter((each) => readProcessStat(each)?.group !== pid);
  signalGroup(pid, signal);
  signalEach(left, signal);
}

/** The process has ended: kill what it has started, and wait for its end, at most `DRAIN_MS`. */
async function killRest(pid: number, lineage: Lineage): Promise<void> {
  groups.delete(pid);
  // Windows has no groups, and the id of a process that has ended may be another's by now.
  if (IS_WINDOWS) return;
  const left = treeOf(lineage);
  signalGroup(pid, "SIGKILL");
  if (left.length === 0) return;
  signalEach(left, "SIGKILL");
  await killAll(() => treeOf(lineage), DRAIN_MS);
}
