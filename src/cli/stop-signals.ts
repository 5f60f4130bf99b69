/**
 * How a person stops the commands and the launcher, and how they report an error. The agent has
 * signals of its own.
 */
import { CliError, EXIT } from "./failure.ts";
import { messageOf } from "../lib/errors.ts";
import { harmless } from "./text.ts";

/**
 * How often to look whether npm is gone: npm cannot pass on a SIGKILL, and `npx` passes SIGTERM to
 * its shell only.
 */
const ORPHAN_CHECK_MS = 300;

/** Call `act` once when the npm or npx that started this process is gone. */
export function whenNpmIsGone(act: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    act();
  }, ORPHAN_CHECK_MS).unref();
}

/**
 * Fires at SIGINT, SIGTERM or SIGHUP, or when the npm that started this process is gone; its reason
 * says which. Repeated signals change nothing: npm and the terminal may both send the same Ctrl-C.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: string): void => controller.abort(reason);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  whenNpmIsGone(() => stop("npm is gone"));
  return controller.signal;
}

/** Resolves when the signal fires. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/**
 * Print one line on stderr, with advice where there is some, and exit. `TABLAO_DEBUG=1` adds the
 * stack.
 */
export function reportAndExit(program: string, thrown: unknown): never {
  const hint = thrown instanceof CliError && thrown.hint !== undefined ? `. ${thrown.hint}` : "";
  const message = messageOf(thrown)
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .replace(/\.$/, "");
  // The message may quote what a manager, or whatever answered in its place, has said.
  process.stderr.write(`${harmless(`${program}: ${message}${hint}`)}\n`);
  if (process.env["TABLAO_DEBUG"] && thrown instanceof Error) process.stderr.write(`${harmless(thrown.stack ?? "")}\n`);
  process.exit(thrown instanceof CliError ? thrown.exitCode : EXIT.failed);
}
