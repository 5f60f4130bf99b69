/** Figures from the rounds, and their notation. Pure. */

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between the two nearest values. Throws for no values, which have no quantile. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new Error("no values");
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)]!;
  const high = sorted[Math.ceil(at)]!;
  return low + (high - low) * (at - Math.floor(at));
}

/** Three significant digits, and a comma between thousands: 0.0123, 4.57, 12,300. */
export function short(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return Math.abs(rounded) >= 1_000 ? rounded.toLocaleString("en-US") : String(rounded);
}

export function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

/** Milliseconds in the most readable unit. */
export function duration(ms: number): string {
  if (ms < 0.1) return `${short(ms * 1_000)} µs`;
  return ms < 1_000 ? `${short(ms)} ms` : `${short(ms / 1_000)} s`;
}
