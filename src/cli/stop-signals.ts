/** How our long-running programs are asked to stop, and how they say why they failed. */
import { CliError, EXIT, messageOf } from "./failure.ts";

/** npm does not pass SIGKILL on, so its end is noticed by looking. */
const ORPHAN_CHECK_MS = 300;

/**
 * Aborts at SIGINT, SIGTERM or SIGHUP, or when the npm that started us is gone; its reason says which. Repeated signals
 * change nothing: npm and the terminal may both send the same Ctrl-C.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: string): void => controller.abort(reason);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  if (process.env["npm_lifecycle_event"] !== undefined) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) stop("npm is gone");
    }, ORPHAN_CHECK_MS).unref();
  }
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
