/**
 * A parser turns the output of a process into events. It is pure and runs in the agent, one
 * instance for each process.
 */
import type { Fault, ParserName } from "../protocol/constants.ts";

/** What a line of output says about the lease. */
export type ParserEvent =
  /** Work on this frame has begun. */
  | { kind: "frame"; frame: number }
  /**
   * The file of this frame is complete. `path` is as the program printed it; an empty path means
   * that the frame is done and has no file. `frame` is null when the path names no frame of the
   * lease.
   */
  | { kind: "saved"; frame: number | null; path: string }
  /** Progress within the lease's current frame, 0 to 1. */
  | { kind: "progress"; fraction: number }
  /** Seconds left for this frame, by the program's own estimate. */
  | { kind: "remaining"; seconds: number }
  /** A short text about what the program is doing. */
  | { kind: "activity"; text: string }
  /** Memory in MiB, by the program's own count. */
  | { kind: "memory"; mib: number }
  /** The file was saved by a newer version of the program, `4.5`; null when it does not say by which. */
  | { kind: "newer_file"; version: string | null }
  /**
   * The program's own words for an error. Fatal: it cannot go on, or the result would be wrong. `fault`: whose fault
   * it is; absent: not known.
   */
  | { kind: "error"; text: string; fatal: boolean; fault?: Fault }
  /** The pictures of the lease have this size in pixels. */
  | { kind: "size"; width: number; height: number }
  /**
   * Something that people should know of the frame in progress, or of all frames when none has begun. The frame
   * is rendered all the same. `picture`: the picture itself may be wrong.
   */
  | { kind: "warning"; text: string; picture: boolean };

/** Reads the output of one process; it keeps state from line to line. */
export interface Parser {
  /** Feed one line without its line end. Returns its events, in order. */
  line(text: string): ParserEvent[];
}

/** Makes the parsers of one name. */
export interface ParserFactory {
  name: ParserName;
  /** One sentence for people. */
  summary: string;
  /** A parser for one process; `frames` are those of the lease, ascending. */
  create(frames: readonly number[]): Parser;
}

/** An error event with the trimmed text; undefined when that is empty. */
export function errorOf(text: string, fatal: boolean, fault?: Fault): ParserEvent | undefined {
  const said = text.trim();
  return said === "" ? undefined : { kind: "error", text: said, fatal, ...(fault && { fault }) };
}

/** A warning event with the trimmed text; undefined when that is empty. */
export function warningOf(text: string, picture: boolean): ParserEvent | undefined {
  const said = text.trim();
  return said === "" ? undefined : { kind: "warning", text: said, picture };
}
