/**
 * The page's files for a manager that runs from a checkout: built when they are missing or older
 * than their sources.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { isPageBuilt } from "./build-page.ts";
import { messageOf } from "../lib/errors.ts";

/** A build takes two seconds; a build that hangs must not keep the manager from starting. */
const BUILD_MS = 60_000;
const BUILD = path.join(import.meta.dirname, "build-page.ts");

const run = promisify(execFile);

/**
 * Build the page where needed, in a process of its own, whose memory ends with it. Answers with the
 * reason when there is no page afterwards, else undefined: a manager without its page still serves
 * its API.
 */
export async function buildPageIfNeeded(signal: AbortSignal): Promise<string | undefined> {
  try {
    if (isPageBuilt()) return undefined;
    await run(process.execPath, [BUILD], { signal, timeout: BUILD_MS });
    return undefined;
  } catch (thrown) {
    if (signal.aborted) return "stopped";
    const printed = thrown instanceof Error && "stderr" in thrown ? String(thrown.stderr).trim() : "";
    return (printed || messageOf(thrown)).split("\n", 1)[0]!;
  }
}
