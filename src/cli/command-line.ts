/** What all commands share: global options, output, and reading of arguments. */
import { InvalidArgumentError, type Command } from "commander";
import type { ManagerClient } from "../client/manager-client.ts";
import { parseFrameList } from "../protocol/frame-list.ts";
import { daysOfText, RETENTION_RULE, type RetentionDays } from "../protocol/retention.ts";
import { connect, type AddressFlags } from "./connection.ts";
import { harmless, safeJson, secondsOf } from "./text.ts";

export interface GlobalFlags extends AddressFlags {
  json?: boolean;
}

/**
 * Where a command writes: results to stdout, progress and notes to stderr, so that a pipe gets
 * results only. Text is made harmless here, whoever wrote it: no command needs to think of it.
 */
export interface Output {
  /** Whether the result is one JSON value instead of text. */
  json: boolean;
  /** Width of the terminal, or undefined when stdout is none. */
  width: number | undefined;
  /** Write a line of the result. */
  line(text: string): void;
  /** Write a JSON value, indented on a terminal, on one line in a pipe. */
  value(value: unknown): void;
  /** Write a remark for people; nothing with `--json`. */
  note(text: string): void;
}

export interface CommandContext {
  client: ManagerClient;
  out: Output;
}

/** Output of a command with these flags. */
export function outputFor(flags: GlobalFlags): Output {
  const json = flags.json === true;
  const tty = process.stdout.isTTY;
  return {
    json,
    width: tty ? process.stdout.columns : undefined,
    line: (text) => void process.stdout.write(`${harmless(text)}\n`),
    value: (value) => void process.stdout.write(`${safeJson(value, tty ? 2 : undefined)}\n`),
    note: (text) => void (json || process.stderr.write(`${harmless(text)}\n`)),
  };
}

/**
 * Flags of the command and of the program, on whichever side of the command's name they were given.
 * `T` names the options that the caller declared, as with commander itself.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function flagsOf<T>(command: Command): T & GlobalFlags {
  return command.optsWithGlobals();
}

/** Connect to the manager that the flags and the environment name. */
export function contextOf(command: Command): CommandContext {
  const flags = flagsOf<object>(command);
  return { client: connect(flags, process.env), out: outputFor(flags) };
}

/** A reader of whole numbers within limits. Like all readers here it throws commander's error. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(
        `It must be a whole number ${max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`}.`,
      );
    }
    return value;
  };
}

export const idArgument = whole(1);

/** A reader of numbers within limits. */
export function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
    return value;
  };
}

/** Read a frame list; answers with its text, checked. */
export function frameList(text: string): string {
  const parsed = parseFrameList(text);
  if (!parsed.ok) throw new InvalidArgumentError(`The list ${parsed.error}. It looks like 1-250, 1-10:2 or 1,5,9-12.`);
  return text;
}

/** Read a number of days, or `forever`. */
export function retentionDays(text: string): RetentionDays {
  const days = daysOfText(text);
  if (days == null) throw new InvalidArgumentError(`It ${RETENTION_RULE}.`);
  return days;
}

/** Read a span of time; answers with seconds. */
export function span(text: string): number {
  const seconds = secondsOf(text);
  if (seconds === undefined || seconds < 1) throw new InvalidArgumentError("It looks like 90s, 15m, 12h, 30d or 2w.");
  return seconds;
}

/** A reader that collects the values of a repeatable option, each with comma-separated values. */
export function collect<T>(read: (text: string) => T, split = true): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), ...(split ? text.split(",") : [text]).map((item) => read(item.trim()))];
}

/** The query string of the values that are set, with `?`; empty when none is. */
export function queryString(values: Record<string, string | number | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== undefined);
  return set.length === 0
    ? ""
    : `?${new URLSearchParams(set.map(([name, value]): [string, string] => [name, String(value)]))}`;
}
