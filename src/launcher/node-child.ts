/** Programs in Node that the launcher starts, and their environment. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { CHECKOUT } from "../cli/manager-record.ts";

/**
 * Variables that a child must not have: our own, which hold secrets, npm's, and those by which
 * Miniflare, wrangler or Node take other programs, other folders or a debugger.
 */
const DROPPED =
  /^(TABLAO_|npm_|MINIFLARE_|WRANGLER_|CLOUDFLARE_)|^(NODE_OPTIONS|VSCODE_INSPECTOR_OPTIONS|FORCE_COLOR)$/;

/** This process's environment without what would change how a child works. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !DROPPED.test(name));
  return { ...Object.fromEntries(kept), CI: "1", NO_COLOR: "1" };
}

/**
 * Start a script of this folder, printing to the log, with a channel for messages. It leads a
 * process group that ends with this process.
 */
export function startGroup(script: string, logFile: string): ChildProcess {
  const guard = path.join(import.meta.dirname, "die-with-launcher.js");
  const log = openSync(logFile, "a", 0o600);
  try {
    return spawn(process.execPath, ["--no-warnings", "--import", guard, path.join(import.meta.dirname, script)], {
      cwd: CHECKOUT,
      detached: true,
      stdio: ["ignore", log, log, "ipc"],
      env: {
        ...childEnvironment(),
        // Miniflare is 6 MB of code: without this, to compile it takes a third of a start.
        NODE_COMPILE_CACHE: path.join(CHECKOUT, ".tablao", "compile-cache"),
      },
    });
  } finally {
    closeSync(log);
  }
}
