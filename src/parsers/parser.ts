/**
 * A parser turns a process's output into progress events. Pure; it runs in the agent, one instance per process.
 */
import type { ParserName } from "../protocol/constants.ts";

export type ParserEvent =
  /** Work on this frame has begun. */
  | { kind: "frame"; frame: number }
  /** This file was written for this frame (path as the program printed it; empty: the frame is done and has no file). */
  | { kind: "saved"; frame: number | null; path: string }
  /** Progress within the lease's current frame, 0 to 1. */
  | { kind: "progress"; fraction: number }
  /** Seconds left for this frame, by the program's own word. */
  | { kind: "remaining"; seconds: number }
  /** A short text of what it does now. */
  | { kind: "activity"; text: string }
  /** Memory in MiB, by the program's own word. */
  | { kind: "memory"; mib: number }
  /** The program's own reason why it cannot go on, or why the result would be wrong. */
  | { kind: "error"; text: string; fatal: boolean };

export interface Parser {
  /** Feed one line without its line end. */
  line(text: string): ParserEvent[];
}

export interface ParserFactory {
  name: ParserName;
  summary: string;
  /** `frames`: those of the lease, ascending. */
  create(frames: readonly number[]): Parser;
}

/** An error event, unless the program gave no word. */
export function errorOf(text: string, fatal: boolean): ParserEvent | undefined {
  const said = text.trim();
  return said === "" ? undefined : { kind: "error", text: said, fatal };
}
