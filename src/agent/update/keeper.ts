/**
 * Keeps an installed agent at the program that its manager serves. The keeper starts the agent as a child. When
 * the agent has fetched another program and finished its frames, the keeper starts that one in its place, and
 * goes back to the one before when the new one does not come up, or ends by itself before it has settled.
 *
 * The new program is what `current` names only when it has settled: whatever ends the keeper before, the next
 * start is that of the program that worked.
 */
import type { ChildProcess } from "node:child_process";
import type { SignalSource } from "../stop-signals.ts";
import type { Logger } from "../log.ts";
import type { AgentMessage } from "./messages.ts";
import type { ProgramFolder } from "./program-folder.ts";

/**
 * A new program must have called the manager after this. Before that, the agent asks each program of the machine
 * for its version, which takes half a minute where one hangs.
 */
const COMES_UP_MS = 180_000;
/** A new program that has run for this long has settled, as one that has finished a lease. */
const SETTLES_MS = 600_000;
/** A process that was told to end and does not. */
const END_MS = 15_000;

export interface KeeperOptions {
  folder: ProgramFolder;
  /** The file that runs now, by its name. */
  own: string;
  /** Start the agent of this file; its messages come over the IPC channel. */
  start: (file: string) => ChildProcess;
  signals: SignalSource;
  /** Whether a signal reaches the child by itself, as Ctrl-C of a console of Windows does. */
  childGetsSignals: boolean;
  log: Logger;
  comesUpMs?: number;
  settlesMs?: number;
}

/** How one run of a program ended. */
interface Run {
  code: number;
  /** The program that it wants in its place. */
  next: string | null;
  /** It had called the manager, and has settled. */
  called: boolean;
  settled: boolean;
  /** A person told it to end. */
  asked: boolean;
}

/** Keep the agent until it ends for another reason than an update. Answers with its exit code. */
export async function keep(options: KeeperOptions): Promise<number> {
  const { folder, log } = options;
  let file = folder.current() ?? options.own;
  /** The program to go back to while `file` is on trial. */
  let before: string | null = null;
  for (;;) {
    const run = await runOnce(options, file, before !== null);
    if (before !== null && !run.settled && run.next === null && !run.asked && isFault(run)) {
      const sha256 = folder.sha256(file);
      const how = run.called ? `ended with code ${run.code}` : "did not come up";
      log(`the new program ${file} ${how}: going back to ${before}`);
      if (sha256 !== null) folder.refuse(sha256);
      [file, before] = [before, null];
      continue;
    }
    if (run.next === null) return run.code;
    // A program that wants to be replaced works.
    if (before !== null) folder.setCurrent(file);
    log(`starting the new program ${run.next}`);
    [before, file] = [file, run.next];
  }
}

/** The agent's own exit codes for what people did: done, wrong options, frames that failed. */
const NO_FAULTS = new Set([0, 2, 3]);

function isFault({ code, called }: Run): boolean {
  return !called || !NO_FAULTS.has(code);
}

async function runOnce(options: KeeperOptions, file: string, onTrial: boolean): Promise<Run> {
  const { folder, signals, log, comesUpMs = COMES_UP_MS, settlesMs = SETTLES_MS } = options;
  const child = options.start(folder.file(file));
  const run: Run = { code: 1, next: null, called: false, settled: false, asked: false };
  const kill = (): void => {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), END_MS).unref();
  };
  const comesUp = setTimeout(() => {
    if (!onTrial || run.called) return;
    log(`the new program ${file} has not called the manager after ${Math.round(comesUpMs / 1_000)} s`);
    kill();
  }, comesUpMs);
  const settle = (): void => {
    if (run.settled) return;
    run.settled = true;
    if (!onTrial) return;
    folder.setCurrent(file);
    folder.keepOnly([file, options.own]);
  };
  let settles: NodeJS.Timeout | undefined;
  child.on("message", (message: AgentMessage) => {
    if (message.type === "called") {
      run.called = true;
      settles ??= setTimeout(settle, settlesMs);
    } else if (message.type === "proven") settle();
    else if (message.type === "stopping") run.asked = true;
    else run.next = message.file;
  });
  const forward = (signal: NodeJS.Signals) => () => {
    run.asked = true;
    if (!options.childGetsSignals) child.kill(signal);
  };
  const [interrupt, terminate] = [forward("SIGINT"), forward("SIGTERM")];
  signals.on("SIGINT", interrupt);
  signals.on("SIGTERM", terminate);
  try {
    run.code = await new Promise<number>((resolve) => {
      child.once("error", () => resolve(1));
      child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
    });
    if (run.asked) run.next = null;
    return run;
  } finally {
    clearTimeout(comesUp);
    clearTimeout(settles);
    signals.off("SIGINT", interrupt);
    signals.off("SIGTERM", terminate);
  }
}
