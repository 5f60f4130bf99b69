/**
 * What the agent tells the person at the machine: one line for each thing that happens, never a
 * secret.
 */
import { plainText } from "../protocol/fields.ts";

/** Writes one line; `details` appear as fields of their own where lines are JSON. */
export interface Logger {
  (text: string, details?: Record<string, unknown>): void;
}

/**
 * Secrets of ours, wherever one might have slipped into a text (P9). The shape is that of
 * `newSecret`.
 */
const SECRET = /tablao_[a-z]+_[A-Za-z0-9_-]{8,}/g;
/** A renderer's error can be pages long; the task's log has all of it. */
const MAX_CHARS = 600;

/** The text on one line, without control characters and without a secret. */
export function oneLine(text: string): string {
  const line = plainText(text)
    .replace(/[\t\n]+/g, " ")
    .replace(SECRET, "tablao_…")
    .trim();
  return line.length > MAX_CHARS ? `${line.slice(0, MAX_CHARS)}…` : line;
}

/**
 * A logger of text lines that begin with the local time, or of JSON lines (one object each) for log
 * collectors.
 */
export function createLogger(
  format: "text" | "json",
  write: (line: string) => void,
  now: () => Date = () => new Date(),
): Logger {
  return (text, details = {}) => {
    const at = now();
    if (format === "json") write(JSON.stringify({ at: at.toISOString(), text: oneLine(text), ...details }));
    else write(`${at.toTimeString().slice(0, 8)} ${oneLine(text)}`);
  };
}

/** `1.5 GB`, `300 MB`, `12 kB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
