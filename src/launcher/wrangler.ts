/**
 * Wrangler as a child process: how it is started, its environment, its log, and the migrations of
 * local D1.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { CliError, EXIT } from "../cli/failure.ts";
import { CHECKOUT } from "../cli/manager-record.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";
import { signalGroup } from "../client/process-group.ts";
import type { StateFolder } from "./state-folder.ts";

const DATABASE = "tablao-history";

/**
 * Bring D1's tables up to date. Skipped when these migrations are applied already, because wrangler
 * takes two seconds to find that out. Throws `CliError`.
 */
export async function applyMigrations(state: StateFolder, logFile: string): Promise<void> {
  const folder = path.join(CHECKOUT, "schema");
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).toSorted())
    hash.update(`${name}\0${readFileSync(path.join(folder, name), "utf8")}\0`);
  const wanted = hash.digest("hex");
  if (readPrivateFile(state.file("schema.sha256"))?.trim() === wanted) return;
  const from = logSize(logFile);
  const child = startWrangler(
    state,
    logFile,
    [],
    ["d1", "migrations", "apply", DATABASE, "--local", "--persist-to", state.path],
  );
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  signalGroup(child.pid!, "SIGKILL");
  if (code !== 0)
    throw new CliError(
      EXIT.failed,
      `the history's tables could not be made${lastWords(logFile, from)}`,
      `The whole log: ${logFile}`,
    );
  writePrivateFile(state.file("schema.sha256"), `${wanted}\n`);
}

/**
 * Start `wrangler dev`, printing to the log. It leads a process group that ends with this process.
 */
export function startDev(state: StateFolder, logFile: string, args: string[]): ChildProcess {
  const guard = path.join(import.meta.dirname, "die-with-launcher.js");
  return startWrangler(state, logFile, ["--import", guard], ["dev", ...args]);
}

function startWrangler(state: StateFolder, logFile: string, nodeArgs: string[], args: string[]): ChildProcess {
  const entry = path.join(
    path.dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
    "wrangler-dist/cli.js",
  );
  const log = openSync(logFile, "a", 0o600);
  try {
    const child = spawn(process.execPath, ["--no-warnings", ...nodeArgs, entry, ...args], {
      cwd: CHECKOUT,
      detached: true,
      stdio: ["ignore", log, log, "ipc"],
      env: wranglerEnvironment(state),
    });
    // The next launcher ends this group if this launcher is killed.
    writePrivateFile(state.file("group.json"), `${child.pid}\n`);
    return child;
  } finally {
    closeSync(log);
  }
}

/**
 * The environment of wrangler: without telemetry and network, apart from every other `wrangler dev`
 * on this machine.
 */
function wranglerEnvironment(state: StateFolder): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    CI: "1",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_WRITE_LOGS: "false",
    // Two managers of the same name would find each other in a shared folder.
    WRANGLER_REGISTRY_PATH: state.file("registry"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_OBSERVABILITY: "false",
    X_LOCAL_EXPLORER: "false",
  };
  for (const name of Object.keys(environment)) {
    if (name.startsWith("TABLAO_") || name.startsWith("npm_") || name === "NODE_OPTIONS" || name === "FORCE_COLOR")
      delete environment[name];
  }
  return environment;
}

/** Bytes of a file; 0 when it is not there. */
export function logSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** What was written to the log after its first `from` bytes. */
export function logSince(file: string, from: number): string {
  return readFileSync(file).subarray(from).toString("utf8");
}

/**
 * The line of the log that explains a failure best, to be added to a message: an error, else the
 * last line.
 */
export function lastWords(file: string, from: number): string {
  const lines = stripVTControlCharacters(logSince(file, from))
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const best = lines.find((line) => /\[ERROR\]|error:/i.test(line)) ?? lines.at(-1);
  return best === undefined ? "" : `: ${best.slice(0, 300)}`;
}
