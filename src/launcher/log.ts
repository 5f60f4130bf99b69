/** The manager's log, and what it says of a failure. */
import { readFileSync, statSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

/** Bytes of a file; 0 when it is not there. */
export function logSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * The line after the log's first `from` bytes that explains a failure best, to be added to a
 * message: an error, else the last line.
 */
export function lastWords(file: string, from: number): string {
  const lines = stripVTControlCharacters(readFileSync(file).subarray(from).toString("utf8"))
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const best = lines.find((line) => /error:/i.test(line)) ?? lines.at(-1);
  return best === undefined ? "" : `: ${best.slice(0, 300)}`;
}
