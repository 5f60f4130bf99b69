/** `tablao worker`: run an agent on this machine. The orders to one that runs are in `worker-local.ts`. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import type { WorkerOptions } from "../../agent/options.ts";
import { PROGRAMS } from "../../protocol/programs.ts";
import { decimal, flagsOf, collect, whole } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { isLive, ownRecordFile, readRecord, type ManagerRecord } from "../manager-record.ts";
import { usableToken } from "../connection.ts";
import { addWorkerService } from "./worker-service.ts";
import { readPrivateFile, readPrivateJson } from "../../client/private-file.ts";
import { addWorkerLocal } from "./worker-local.ts";

/** Add the command to the program. */
export function addWorker(program: Command): void {
  const worker = program
    .command("worker")
    .summary("render for the farm on this machine")
    .description(
      "Render for the farm on this machine. Ctrl-C once: finish the frame, give back the rest, and stop; twice: stop at once.",
    )
    .option(
      "--join <token>",
      "join token; needed once, to register. Better TABLAO_JOIN, or '-' to read it from standard input: arguments can be read by others",
    )
    .option("--name <text>", "this worker's name; by default the machine's")
    .option("--slots <n>", "processes at a time (1)", whole(1, 64))
    .option("--tags <a,b>", "tags that tasks can ask for", collect(String))
    .option("--once", "do what there is, then stop")
    .option("--allow-exec", "take tasks that run any program their submitter names")
    .option("--allow-autoexec", "take tasks that run the scripts inside their .blend files");
  for (const { flag, title, several } of PROGRAMS)
    worker.option(
      `--${flag} <path>`,
      several
        ? `${title} to use, repeatable: one of each version; by default all that are found`
        : `${title} to use; by default the one on the PATH`,
      several ? collect(String, false) : (path: string) => [path],
    );
  worker
    .option("--env <name>", "environment variable that renderers get, too; repeatable", collect(String, false))
    .option("--no-fetch", "fetch no Blender from the farm that a task needs and this machine lacks")
    .option("--renderers-gb <n>", "bound of the folder with Blenders from the farm (10)", decimal(0, 1_000_000))
    .option("--cache-gb <n>", "bound of the cache of inputs (20)", decimal(0, 1_000_000))
    .option("--state-dir <dir>", "where it keeps its secret and its cache (~/.tablao/workers)")
    .option("--work-dir <dir>", "where it keeps cache and lease folders, if elsewhere")
    .option("--no-update", "stay at this program when the manager serves another one")
    .option("--log-file <path>", "write what it says into this file, of at most 5 MB, and keep the last three")
    .option("--register-only", "register with the manager, and stop")
    .option("--quiet", "say nothing but problems")
    .action(async (_: unknown, command: Command) => {
      const { update = true, logFile: file, ...flags } = flagsOf<WorkerFlags>(command);
      const { logFileWriter } = await import("../../agent/log-file.ts");
      const { createLogger } = await import("../../agent/log.ts");
      const write = file === undefined ? undefined : logFileWriter(path.resolve(file));
      const { AGENT_EXIT, DEFAULT_DEPENDENCIES, runWorker } = await import("../../agent/worker.ts");
      const { keepAgent, updatesOfKept } = await import("../../agent/update/kept.ts");
      const isKept = update && flags.once !== true && flags.registerOnly !== true;
      const log = createLogger(flags.json ? "json" : "text", write ?? DEFAULT_DEPENDENCIES.write);
      const kept = isKept ? await keepAgent(process.argv.slice(2), log) : null;
      if (kept !== null) process.exit(kept);
      const options = await workerOptions(flags, process.env, liveRecord);
      const code = await runWorker(options, {
        ...DEFAULT_DEPENDENCIES,
        updates: updatesOfKept(),
        ...(write && { write }),
      });
      process.exit(code === AGENT_EXIT.ok ? EXIT.ok : code === AGENT_EXIT.usage ? EXIT.usage : EXIT.failed);
    });
  addWorkerLocal(worker);
  addWorkerService<WorkerFlags>(worker, {
    joining: async (flags) => {
      const { manager, join } = await workerOptions(agentFlags(flags), process.env, liveRecord);
      return { manager, join };
    },
    purge: async (flags, home) => await purge(agentFlags(flags), home),
  });
}

type WorkerFlags = WorkerOptions & { token?: string; update?: boolean; logFile?: string };

/** Flags that the agent's options do not have. */
const NO_OPTIONS = new Set(["update", "logFile", "system", "user", "purge"]);

/** The flags without those. */
function agentFlags(flags: WorkerFlags): WorkerOptions & { token?: string } {
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !NO_OPTIONS.has(name)));
}

/** Remove the identity and the cache of this worker; answers with the paths. No agent may run. */
async function purge(flags: WorkerOptions & { token?: string }, home: string): Promise<string[]> {
  const { checkWorkerOptions } = await import("../../agent/options.ts");
  const { ownFolders } = await import("../../agent/own-folders.ts");
  const { lockName } = await import("../../agent/name-lock.ts");
  const { machineId } = await import("../../agent/machine.ts");
  const { token: _, ...options } = flags;
  const checked = checkWorkerOptions({ stateDir: path.join(home, ".tablao", "workers"), ...options });
  if (!checked.ok) throw new CliError(EXIT.usage, checked.error);
  const folders = ownFolders(checked.value, checked.value.unnamed ? await machineId() : undefined);
  const unlock = await lockName(folders.lock);
  try {
    const all = [folders.identity, folders.cache, folders.work].filter((file) => existsSync(file));
    for (const file of all) rmSync(file, { recursive: true, force: true });
    return all;
  } finally {
    unlock();
  }
}

/** The manager that `npm start` runs from this checkout. Throws `UnreadableFile`. */
function liveRecord(): ManagerRecord | undefined {
  const file = ownRecordFile();
  const record = file === undefined ? undefined : readRecord(file);
  return record && isLive(record) ? record : undefined;
}

/**
 * The agent's options. A worker in a checkout that has no address and no identity registers with
 * the manager that `npm start` runs there. Its record is read only where it is needed, and one that
 * cannot be used does not stop a worker that knows its manager.
 */
async function workerOptions(
  flags: WorkerFlags,
  env: NodeJS.ProcessEnv,
  findRunning: () => ManagerRecord | undefined,
): Promise<WorkerOptions> {
  const { token: _, ...options } = flags;
  const manager = options.manager ?? (env["TABLAO_URL"] || undefined);
  const where = options.join === undefined ? "TABLAO_JOIN" : "--join";
  const given = options.join === "-" ? tokenOfInput() : (options.join ?? (env["TABLAO_JOIN"] || undefined));
  const join = given === undefined ? undefined : usableToken(given, where);
  if (join !== undefined && manager !== undefined) return { ...options, manager, join };
  if (manager === undefined && (await isRegistered(options))) return { ...options, join };
  let running: ManagerRecord | undefined;
  try {
    running = findRunning();
  } catch (error) {
    if (manager === undefined) throw error;
  }
  if (running && join === undefined && (manager === undefined || manager === running.url))
    return { ...options, manager: running.url, join: keptJoinToken(running) };
  return { ...options, manager: manager ?? running?.url, join };
}

/** The first line of standard input. */
function tokenOfInput(): string {
  const [token = ""] = readFileSync(0, "utf8").split("\n", 1);
  if (token.trim() === "")
    throw new CliError(EXIT.usage, "--join - found no token: its first line of standard input is empty");
  return token.trim();
}

async function isRegistered(options: WorkerOptions): Promise<boolean> {
  const { checkWorkerOptions } = await import("../../agent/options.ts");
  const { ownFolders } = await import("../../agent/own-folders.ts");
  const { machineId } = await import("../../agent/machine.ts");
  const checked = checkWorkerOptions(options);
  if (!checked.ok) return false;
  const machine = checked.value.unnamed ? await machineId() : undefined;
  return readPrivateFile(ownFolders(checked.value, machine).identity) !== undefined;
}

function keptJoinToken(running: ManagerRecord): string | undefined {
  const file = path.join(running.state, "join-token");
  return readPrivateJson(file, z.object({ token: z.string() }), "it holds no join token")?.token;
}
