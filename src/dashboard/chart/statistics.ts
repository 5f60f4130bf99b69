/** Seconds per frame by worker: medians and outliers. Pure. */

export interface WorkerTimes {
  worker: number;
  /** Indexes of its frames, ascending. */
  indexes: number[];
  median: number;
  slowest: number;
}

interface Outlier {
  index: number;
  worker: number;
  seconds: number;
}

/** A worker with fewer frames has no outliers: quartiles of a few frames say little. */
const ENOUGH = 8;

function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

/**
 * Workers with their frames, those with the most first. `worker` is 0 where a frame is not done.
 */
export function timesByWorker(worker: Int32Array, seconds: Float32Array): WorkerTimes[] {
  const groups = new Map<number, number[]>();
  for (const [index, id] of worker.entries()) {
    if (id === 0) continue;
    const known = groups.get(id);
    if (known) known.push(index);
    else groups.set(id, [index]);
  }
  return [...groups]
    .map(([id, indexes]) => {
      const sorted = indexes.map((index) => seconds[index]!).sort((a, b) => a - b);
      return { worker: id, indexes, median: quantile(sorted, 0.5), slowest: sorted.at(-1)! };
    })
    .sort((a, b) => b.indexes.length - a.indexes.length || a.worker - b.worker);
}

/**
 * Outliers, the slowest first, at most `most`. An outlier is above the upper quartile of its worker
 * by more than three times the distance of the quartiles, and above 1.5 times the median: else a
 * worker whose frames all take the same time would have outliers by a few milliseconds.
 */
export function outliersOf(times: readonly WorkerTimes[], seconds: Float32Array, most: number): Outlier[] {
  const found: Outlier[] = [];
  for (const { worker, indexes, median } of times) {
    if (indexes.length < ENOUGH) continue;
    const sorted = indexes.map((index) => seconds[index]!).sort((a, b) => a - b);
    const [lower, upper] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
    const limit = Math.max(upper + 3 * (upper - lower), median * 1.5);
    for (const index of indexes) if (seconds[index]! > limit) found.push({ index, worker, seconds: seconds[index]! });
  }
  return found.sort((a, b) => b.seconds - a.seconds).slice(0, most);
}

/**
 * The instant at which each frame was rendered, by its index. The frames of one lease may be
 * committed together, long after the first of them was rendered. They were rendered one after the
 * other, so each ends no later than the next one begins. Frames with the same `attempt` belong to
 * one lease.
 */
export function renderedUntilMs(
  times: readonly WorkerTimes[],
  attempt: Int32Array,
  seconds: Float32Array,
  committedMs: Float64Array,
): Float64Array {
  const ends = new Float64Array(committedMs.length);
  for (const { indexes } of times) {
    const nextBegins = new Map<number, number>();
    for (const index of indexes.toReversed()) {
      const end = Math.min(committedMs[index]!, nextBegins.get(attempt[index]!) ?? Infinity);
      ends[index] = end;
      nextBegins.set(attempt[index]!, end - seconds[index]! * 1_000);
    }
  }
  return ends;
}

/** Round numbers for an axis from 0: about `count` of them, the last at or beyond `max`. */
export function ticksTo(max: number, count: number): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power;
  const ticks: number[] = [];
  for (let i = 0; (i - 1) * step < max; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}
