/** An agent that a keeper has started: how they talk, in each of the two processes. */
import { spawn } from "node:child_process";
import path from "node:path";
import { PROGRAM_FILE } from "../../client/program-file.ts";
import type { Logger } from "../log.ts";
import type { WorkerDependencies } from "../worker.ts";
import { keep } from "./keeper.ts";
import { KEPT } from "./messages.ts";
import { ProgramFolder } from "./program-folder.ts";

/**
 * Keep an agent with these arguments, in a process of its own, and answer with its exit code. Null where nothing
 * is to be kept: this program was not installed by the join line, or it is the agent itself.
 */
export async function keepAgent(args: readonly string[], log: Logger): Promise<number | null> {
  if (PROGRAM_FILE === undefined || process.env[KEPT] !== undefined) return null;
  const folder = ProgramFolder.of(PROGRAM_FILE);
  if (folder === null) return null;
  const isWindows = process.platform === "win32";
  return await keep({
    folder,
    own: path.basename(PROGRAM_FILE),
    start: (file) =>
      spawn(process.execPath, [file, ...args], {
        stdio: ["inherit", "inherit", "inherit", "ipc"],
        env: { ...process.env, [KEPT]: "1" },
        // Out of the terminal's group: Ctrl-C would reach the agent twice, and a second one means "at once".
        detached: !isWindows,
      }),
    signals: process,
    childGetsSignals: isWindows,
    log,
  });
}

/** What the agent of a keeper needs to renew itself; undefined for any other agent. */
export function updatesOfKept(): WorkerDependencies["updates"] {
  if (PROGRAM_FILE === undefined || process.send === undefined || process.env[KEPT] === undefined) return undefined;
  const folder = ProgramFolder.of(PROGRAM_FILE);
  const own = folder?.sha256(path.basename(PROGRAM_FILE)) ?? null;
  if (folder === null || own === null) return undefined;
  // The keeper is gone: without it, nobody would start this agent again or hand on a signal.
  process.on("disconnect", () => process.emit("SIGTERM", "SIGTERM"));
  return {
    folder,
    own,
    tell: (message) => void (process.connected && process.send?.(message)),
  };
}
