/** How our long-running programs are asked to stop, and how they say why they failed. */
import { CliError, EXIT } from "./failure.ts";
import { messageOf } from "../lib/errors.ts";

/** npm cannot pass SIGKILL on, and `npx` passes SIGTERM to its shell only: so its end is noticed by looking. */
const ORPHAN_CHECK_MS = 300;

/** Act once when the npm or npx that started this process, if one did, is gone. */
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
 * Aborts at SIGINT, SIGTERM or SIGHUP, or when the npm that started us is gone; its reason says which. Repeated signals
 * change nothing: npm and the terminal may both send the same Ctrl-C.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: string): void => controller.abort(reason);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  whenNpmIsGone(() => stop("npm is gone"));
  return controller.signal;
}

/** Resolves when the signal is aborted. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Print one line, with what to do next, on stderr, and exit. `TABLAO_DEBUG=1` shows the stack of a bug. */
export function reportAndExit(program: string, thrown: unknown): never {
  const hint = thrown instanceof CliError && thrown.hint !== undefined ? `. ${thrown.hint}` : "";
  const message = messageOf(thrown)
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .replace(/\.$/, "");
  process.stderr.write(`${program}: ${message}${hint}\n`);
  if (process.env["TABLAO_DEBUG"] && thrown instanceof Error) process.stderr.write(`${thrown.stack ?? ""}\n`);
  process.exit(thrown instanceof CliError ? thrown.exitCode : EXIT.failed);
}
