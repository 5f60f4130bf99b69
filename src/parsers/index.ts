/** The parsers by their names. */
import type { Fault, ParserName } from "../protocol/constants.ts";
import { blenderParser } from "./blender-render.ts";
import { ffmpeg } from "./ffmpeg.ts";
import type { ParserEvent, ParserFactory } from "./parser.ts";
import { plain } from "./plain.ts";

const BY_NAME: Readonly<Record<ParserName, ParserFactory>> = { blender_render: blenderParser, ffmpeg, plain };

/** All parsers. An agent releases the leases of a parser that is missing here. */
export const PARSERS: readonly ParserFactory[] = Object.values(BY_NAME);

/** The parser with this name; undefined when there is none. */
export function findParser(name: string): ParserFactory | undefined {
  return PARSERS.find((parser) => parser.name === name);
}

/**
 * The reason to show when a process has failed: the first fatal error, because later errors follow
 * from it; else the last error, because it is nearest to the end. Null when the program gave no
 * reason.
 */
export function reasonOf(events: Iterable<ParserEvent>): string | null {
  let last: string | null = null;
  for (const event of events) {
    if (event.kind !== "error") continue;
    if (event.fatal) return event.text;
    last = event.text;
  }
  return last;
}

/** Whose fault the error is that `reasonOf` gives; undefined when that is not known. */
export function faultOf(events: Iterable<ParserEvent>): Fault | undefined {
  for (const event of events) if (event.kind === "error" && event.fatal) return event.fault;
  return undefined;
}
