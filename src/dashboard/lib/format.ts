/** Numbers and instants as text for people. Pure: `nowMs` is an argument. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** `12,345`. */
export function count(value: number): string {
  return whole.format(value);
}

/** `1 frame`, `12 frames`. */
export function counted(value: number, word: string): string {
  return `${whole.format(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** `42 %`. 100 % means all and 0 % means nothing: values near them are not rounded to them. */
export function percent(part: number, total: number): string {
  if (total <= 0 || part <= 0) return "0 %";
  if (part >= total) return "100 %";
  return `${Math.min(99, Math.max(1, Math.round((100 * part) / total)))} %`;
}

/** `0.42 s`, `8.1 s`, `3 m 05 s`, `2 h 14 m`, `3 d 4 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${tenth.format(seconds)} s`;
  const all = Math.round(seconds);
  if (all < 3_600) return `${Math.floor(all / 60)} m ${pad(all % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
  const hours = Math.round(seconds / 3_600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A duration in one unit, for an estimate: `40 s`, `12 min`, `3.0 h`, `5.0 d`. */
export function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3_600) return `${tenth.format(seconds / 3_600)} h`;
  return `${tenth.format(seconds / 86_400)} d`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** `12.3 MB`; 1 MB is 1,000,000 bytes. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1_000;
    unit++;
  }
  return `${unit === 0 ? size : size.toPrecision(3)} ${UNITS[unit]}`;
}

/** How long ago an instant is: `now`, `40 s ago`, `5 min ago`, `3 h ago`; after a day, the date. */
export function ago(atMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1_000));
  if (seconds < 5) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return day(atMs);
}

const DAY = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function day(atMs: number): string {
  return DAY.format(atMs);
}

/** `14:03:59`, local time. */
export function clock(atMs: number): string {
  return CLOCK.format(atMs);
}

/** `Nov 3, 2026, 14:03:59`, local time. */
export function instant(atMs: number): string {
  return `${day(atMs)}, ${clock(atMs)}`;
}
