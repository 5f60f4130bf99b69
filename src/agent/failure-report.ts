/** A process that failed: which frames fail with it, and with what text. Pure. */
import { reasonOf } from "../parsers/index.ts";
import type { ParserEvent } from "../parsers/parser.ts";
import type { Exit } from "./process.ts";

export interface ProcessFailure {
  /** Unfinished frames of the lease, ascending; never empty. */
  unfinished: readonly number[];
  /** The frame the process was at when it ended; undefined when none had begun. */
  current: number | undefined;
  /** The process claims to have done all frames: it exited 0 and was not killed by the agent. */
  saidDone: boolean;
}

/**
 * The frames to report as failed (P6):
 * - all unfinished ones, when none had begun: loading failed, and it would fail for each of them;
 * - all unfinished ones, when the process claims to have done all;
 * - otherwise the frame in progress, or the next unfinished one when the process ended between two
 *   frames.
 */
export function framesToFail({ unfinished, current, saidDone }: ProcessFailure): number[] {
  if (saidDone || current === undefined) return [...unfinished];
  if (unfinished.includes(current)) return [current];
  return [unfinished.find((frame) => frame > current) ?? unfinished[0]!];
}

export interface Evidence {
  program: string;
  exit: Exit;
  /** Why the agent killed it; undefined when it did not, or did because of a fatal error. */
  killed: string | undefined;
  /** Errors that the parser found in its output, in order. */
  errors: readonly ParserEvent[];
  /** P11: what is wrong with which file, after exit 0. */
  missing: readonly string[];
  /** The last lines it printed. */
  lastLines: readonly string[];
}

/**
 * A reason is read in a list: more lines or files would hide the next one, and the task's log has
 * them all.
 */
const LINES_SHOWN = 5;
const FILES_SHOWN = 5;

/**
 * The reason that people read: the program's own error first, then how it ended; without an error,
 * its last lines.
 */
export function failureText({ program, exit, killed, errors, missing, lastLines }: Evidence): string {
  const own = reasonOf(errors);
  const shown =
    missing.length > FILES_SHOWN
      ? [...missing.slice(0, FILES_SHOWN), `and ${missing.length - FILES_SHOWN} more`]
      : missing;
  const ending =
    killed ?? (shown.length > 0 ? `${program} exited 0, but ${shown.join("; ")}` : endingOf(program, exit));
  if (own !== null) return killed === undefined ? own : `${own}\n${ending}`;
  return [ending, ...lastLines.filter((line) => line.trim() !== "").slice(-LINES_SHOWN)].join("\n");
}

function endingOf(program: string, exit: Exit): string {
  if (exit.kind === "not_started") return `${program} could not be started: ${exit.reason}`;
  if (exit.signal === "SIGKILL")
    return `${program} was killed from outside (SIGKILL); the machine may have run out of memory`;
  if (exit.signal) return `${program} was ended by signal ${exit.signal}`;
  if (exit.code === 0) return `${program} reported an error and exited 0`;
  return `${program} exited with code ${codeText(exit.code)}`;
}

/** Ends of Windows, which are no codes of the program (NTSTATUS, ntstatus.h). */
const WINDOWS_ENDS: Readonly<Record<number, string>> = {
  0xc0000005: "access violation",
  0xc0000017: "no memory left",
  0xc000001d: "illegal instruction: the processor may be too old for it",
  0xc0000094: "division by zero",
  0xc00000fd: "stack overflow",
  0xc000012d: "no memory left: the page file is too small",
  0xc0000135: "a DLL is missing",
  0xc000013a: "Ctrl-C, or its window was closed",
  0xc0000142: "a DLL could not be started",
  0xc0000374: "heap corruption",
  0xc0000409: "stack overrun",
};

/** An exit code; those of Windows' own in the form in which they are looked up. */
function codeText(code: number | null): string {
  if (code === null || code < 0x80000000) return String(code);
  const meaning = WINDOWS_ENDS[code];
  return `0x${code.toString(16).toUpperCase()}${meaning === undefined ? "" : ` (${meaning})`}`;
}
