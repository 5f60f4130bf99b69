/** The page's files, for a manager started from a checkout: built once, when they are not there. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { messageOf } from "./failure.ts";
import { CHECKOUT } from "./manager-record.ts";

const PAGE = path.join(CHECKOUT, "public", "index.html");
const LOCK = path.join(CHECKOUT, ".tablao", "building-page");
/** A build takes two seconds; a lock this old was left by a build that was killed. */
const BUILD_MS = 60_000;
const LOOK_MS = 100;

const run = promisify(execFile);

/**
 * Build the page unless it is there. Answers why it is not there afterwards, or undefined: a manager without its page is still a
 * manager. Several starts at once build it once.
 */
export async function buildPageIfMissing(signal: AbortSignal): Promise<string | undefined> {
  const untilMs = Date.now() + BUILD_MS;
  while (!existsSync(PAGE)) {
    if (takeLock()) {
      try {
        return await build(signal);
      } finally {
        rmSync(LOCK, { force: true });
      }
    }
    if (signal.aborted || Date.now() > untilMs) return "another start is still building it";
    await sleep(LOOK_MS);
  }
  return undefined;
}

async function build(signal: AbortSignal): Promise<string | undefined> {
  try {
    const vite = path.join(path.dirname(createRequire(import.meta.url).resolve("vite/package.json")), "bin", "vite.js");
    await run(process.execPath, [vite, "build"], { cwd: CHECKOUT, signal, timeout: BUILD_MS });
    return existsSync(PAGE) ? undefined : "the build made no index.html";
  } catch (thrown) {
    if (signal.aborted) return "stopped";
    const printed = thrown instanceof Error && "stderr" in thrown ? String(thrown.stderr).trim() : "";
    return (printed || messageOf(thrown)).split("\n", 1)[0]!;
  }
}

function takeLock(): boolean {
  mkdirSync(path.dirname(LOCK), { recursive: true });
  try {
    if (Date.now() - statSync(LOCK).mtimeMs > BUILD_MS) rmSync(LOCK, { force: true });
  } catch {
    // There is none.
  }
  try {
    writeFileSync(LOCK, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch {
    return false;
  }
}
