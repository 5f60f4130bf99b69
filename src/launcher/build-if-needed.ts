/**
 * The builds of a manager that runs from a checkout, made when they are missing or older than their
 * sources: the page and the Worker.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { isPageBuilt } from "./build-page.ts";
import { messageOf } from "../lib/errors.ts";

/** A build takes two seconds; a build that hangs must not keep the manager from starting. */
const BUILD_MS = 60_000;

const run = promisify(execFile);

/**
 * Run the script of a build, unless `isBuilt`, in a process of its own, whose memory ends with it.
 * Answers with the reason when it failed, else undefined.
 */
export async function buildIfNeeded(
  isBuilt: () => boolean,
  script: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    if (isBuilt()) return undefined;
    await run(process.execPath, [path.join(import.meta.dirname, script)], { signal, timeout: BUILD_MS });
    return undefined;
  } catch (thrown) {
    if (signal.aborted) return "stopped";
    const printed = thrown instanceof Error && "stderr" in thrown ? String(thrown.stderr).trim() : "";
    return (printed || messageOf(thrown)).split("\n", 1)[0]!;
  }
}

/**
 * Build the page where needed. Answers with the reason when there is no page afterwards, else
 * undefined: a manager without its page still serves its API.
 */
export async function buildPageIfNeeded(signal: AbortSignal): Promise<string | undefined> {
  return await buildIfNeeded(isPageBuilt, "build-page.ts", signal);
}
