/** How values are written for people. Pure. */
import { stripVTControlCharacters } from "node:util";
import { plainText } from "../protocol/fields.ts";

/** `850 B`, `12.3 MB`: decimal units, as disks and networks are sold. */
export function bytes(count: number): string {
  if (count < 1_000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1_000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${value < 9.995 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `0.4 s`, `12 s`, `3:07`, `1:02:09`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return whole < 3_600
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/**
 * `10–20 s`, `50 s–2 min`, `3 h`: the time until a span of instants; null when the span is over.
 */
export function timeLeft(lowMs: number, highMs: number, nowMs: number): string | null {
  if (highMs <= nowMs) return null;
  const [low, high] = [ago(nowMs, Math.max(lowMs, nowMs)), ago(nowMs, highMs)];
  if (low === high) return high;
  const [, lowCount, lowUnit] = /^(\d+) (.+)$/.exec(low)!;
  return `${high.endsWith(` ${lowUnit}`) ? lowCount : low}–${high}`;
}

/** `0 s`, `40 s`, `3 min`, `5 h`, `12 d`: how long ago. */
export function ago(thenMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1_000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3_600) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `2026-11-24 03:41:09`, UTC. */
export function instant(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** `1 frame`, `2 frames`. */
export function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * A text from the network, made safe for a terminal. Escape sequences and other control characters
 * could move the cursor or rename the window, and marks of direction could reverse the text. Tabs
 * and line ends stay.
 */
export function harmless(text: string): string {
  return plainText(stripVTControlCharacters(text));
}

// JSON escapes the first block of control characters only.
// eslint-disable-next-line no-control-regex
const UNSAFE_IN_JSON = /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** A value as JSON in which every character that is unsafe on a terminal is escaped. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(
    UNSAFE_IN_JSON,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Cut to a width, with an ellipsis. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/**
 * A table of columns. The last one is cut to what `width` leaves, where a width is given. Cells are
 * one line each.
 */
export function table(head: string[], rows: string[][], width?: number): string {
  const all = [head, ...rows].map((row) => row.map((cell) => harmless(cell).replaceAll(/\s+/g, " ")));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const last = head.length - 1;
  const before = widths.slice(0, last).reduce((sum, cell) => sum + cell + 2, 0);
  const room = width === undefined ? Infinity : Math.max(width - before, head[last]!.length, 8);
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === last ? cut(cell, room) : cell.padEnd(widths[column]! + 2)))
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

const UNIT_S: Record<string, number> = { s: 1, m: 60, min: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Seconds in `90`, `90s`, `15m`, `12h`, `30d`, `2w`; undefined when it is none of these. */
export function secondsOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)?$/.exec(text.trim());
  return match ? Math.round(Number(match[1]) * UNIT_S[match[2] ?? "s"]!) : undefined;
}
