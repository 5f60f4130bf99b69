/** Which frames a failed process is to blame for, and in whose words. Pure. */
import { reasonOf } from "../parsers/index.ts";
import type { ParserEvent } from "../parsers/parser.ts";
import type { Exit } from "./process.ts";

export interface Failure {
  /** Unfinished frames of the lease, ascending; never empty. */
  unfinished: readonly number[];
  /** The frame the process was at when it ended; undefined when none had begun. */
  current: number | undefined;
  /** The process was asked to do all and said it did (exit 0, not killed by us). */
  saidDone: boolean;
}

/**
 * The frames to blame (P6). Nothing had begun: loading failed, and it would for each of them. The process said it did them
 * all: those that are missing. Otherwise the one in progress, or the next one when it ended between two.
 */
export function blamed({ unfinished, current, saidDone }: Failure): number[] {
  if (saidDone || current === undefined) return [...unfinished];
  if (unfinished.includes(current)) return [current];
  return [unfinished.find((frame) => frame > current) ?? unfinished[0]!];
}

export interface Evidence {
  program: string;
  exit: Exit;
  /** Why the agent killed it, if it did for another reason than a fatal error. */
  killed: string | undefined;
  /** The parser's errors, in order. */
  errors: readonly ParserEvent[];
  /** P11: what is wrong with which file, after exit 0. */
  missing: readonly string[];
  /** The last lines it printed. */
  lastLines: readonly string[];
}

const LINES_SHOWN = 5;
const FILES_SHOWN = 5;

/** The reason people read: the program's own words first. */
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
  return exit.code === 0 ? `${program} reported an error and exited 0` : `${program} exited with code ${exit.code}`;
}
