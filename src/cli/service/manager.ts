/** A service manager of the system: the commands by which it takes, starts, shows and forgets a service. */
import { CliError, EXIT } from "../failure.ts";
import type { Host, Ran } from "./host.ts";
import type { Command, ServiceFile, ServiceSpec } from "./spec.ts";

export interface ServiceState {
  /** Its files are there, or the service manager knows it. */
  installed: boolean;
  /** It starts by itself. */
  enabled: boolean;
  running: boolean;
  /** The process that runs; null when none does, or the service manager does not say. */
  pid: number | null;
  /** In the service manager's own words. */
  text: string;
}

export interface ServiceManager {
  /** Its name in sentences. */
  name: string;
  /** When the service starts by itself. */
  starts(): string;
  /** Where the log is: a file, or the command that shows it. */
  log: string;
  /** The log file that the agent itself must write; undefined where the service manager keeps the log. */
  logFile: string | undefined;
  files(): ServiceFile[];
  /** Throw `CliError` where this service manager cannot be used, before anything is changed. */
  check(): void;
  state(): ServiceState;
  /** Take the written files, and run the service. */
  start(): Promise<void>;
  /** Stop it; it stays installed. */
  stop(): Promise<void>;
  /** After the service runs: what makes it start with the machine where that is a matter of its own. */
  finish(): void;
  /** Stop it, and make it start by itself no more; its files are there. */
  disable(): Promise<void>;
  /** Its files were removed. */
  forget(): void;
}

/** What all of them are made from. */
export interface ManagerContext {
  host: Host;
  spec: ServiceSpec;
  /** Says what was done: a command that ran, or a remark. */
  say: (line: string) => void;
}

/** A command as a person types it. */
function commandText(command: Command): string {
  return command.map((word) => (/^[\w@%+=:,./\\-]+$/.test(word) ? word : `'${word}'`)).join(" ");
}

/** Run a command, say so, and throw `CliError` when it fails. */
export function must({ host, say }: ManagerContext, command: Command): Ran {
  const ran = host.run(command);
  if (ran.code === null) throw new CliError(EXIT.failed, `${command[0]} is not here`);
  if (ran.code !== 0)
    throw new CliError(EXIT.failed, `'${commandText(command)}' failed: ${saidOf(ran) || `exit code ${ran.code}`}`);
  say(`ran ${commandText(command)}`);
  return ran;
}

/** What a program said, on one line. */
export function saidOf({ stdout, stderr }: Ran): string {
  return (stderr.trim() || stdout.trim()).replaceAll(/\s*\n\s*/g, " ");
}
