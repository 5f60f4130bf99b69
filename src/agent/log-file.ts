/**
 * The agent's own log, for service managers that keep none: launchd and Task Scheduler. A file is bounded, and the
 * ones before it are kept as `.1`, `.2` and `.3`.
 */
import { appendFileSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";

/** How large the file may become. An agent writes some 200 bytes for a lease. */
const MAX_BYTES = 5_000_000;
const KEPT = 3;

/**
 * Writes lines to this file, each with the date in front (lines of JSON have it inside). The file is opened for
 * each line: on Windows an open file cannot be renamed, and the keeper writes to it, too. Throws the system's error
 * when the file cannot be written at the start; later, a line that cannot be written is lost, since a full disk
 * must not end the agent.
 */
export function logFileWriter(
  file: string,
  { maxBytes = MAX_BYTES, now = () => new Date() }: { maxBytes?: number; now?: () => Date } = {},
): (line: string) => void {
  mkdirSync(path.dirname(file), { recursive: true });
  appendFileSync(file, "", { mode: 0o600 });
  return (line) => {
    try {
      const text = `${line.startsWith("{") ? line : `${dateOf(now())} ${line}`}\n`;
      if (statSync(file, { throwIfNoEntry: false })?.size ?? 0) rotate(file, maxBytes - Buffer.byteLength(text));
      appendFileSync(file, text, { mode: 0o600 });
    } catch {
      // See above.
    }
  };
}

/** Begin a new file when this one has more than `bytes`. */
function rotate(file: string, bytes: number): void {
  if (statSync(file).size <= bytes) return;
  try {
    rmSync(`${file}.${KEPT}`, { force: true });
    for (let number = KEPT - 1; number >= 1; number--) moveIfThere(`${file}.${number}`, `${file}.${number + 1}`);
    renameSync(file, `${file}.1`);
  } catch {
    // Somebody reads it (Windows): it grows until they have ended.
  }
}

function moveIfThere(from: string, to: string): void {
  if (statSync(from, { throwIfNoEntry: false })) renameSync(from, to);
}

/** The local date: `2026-11-28`. */
function dateOf(at: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
