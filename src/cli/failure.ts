/**
 * Expected failures of the command line: one line on stderr, advice, and an exit code that scripts
 * can use.
 */

/** Documented in docs/user-guide.md; scripts rely on these numbers. */
export const EXIT = {
  ok: 0,
  /** The task, or the operation, failed. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  notFound: 3,
  /** No token, a bad one, or one that may not do this. */
  auth: 4,
  /** The manager does not answer. */
  unreachable: 5,
  /** The manager refused the values (4xx other than the above). */
  refused: 6,
  /** Stopped by Ctrl-C, as shells count it. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * Thrown by commands, caught once in `main.ts`: printed as `tablao: message` and, where there is
 * one, `hint`.
 */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
    this.hint = hint;
  }
}
