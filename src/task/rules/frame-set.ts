/**
 * A set of frames as sorted, disjoint, non-adjacent intervals `[first, last]`. Plain arrays, so
 * that a ledger is JSON. Every operation returns a new set, and costs as much as there are
 * intervals, however many frames they hold. Pure.
 */
import { err, ok, type Result } from "../../lib/result.ts";
import { formatFrameList, listOfFrames, type FrameList } from "../../protocol/frame-list.ts";

export type Interval = readonly [number, number];
export type FrameSet = readonly Interval[];

export const EMPTY: FrameSet = [];

/**
 * A change that would make a set of more intervals is refused. They are about 300 kB of the
 * record's row, which is rewritten whole.
 */
export const MAX_INTERVALS = 20_000;

/** Build a set from frames in any order. */
export function setOf(frames: Iterable<number>): FrameSet {
  return listOfFrames(frames).map(({ start, end }) => [start, end] as const);
}

/**
 * Build a set from a frame list; refused when its steps would make more than MAX_INTERVALS
 * intervals.
 */
export function setOfList(list: FrameList): Result<FrameSet, string> {
  const out: Interval[] = [];
  for (const { start, end, step } of list) {
    if (step === 1) out.push([start, end]);
    else
      for (let frame = start; frame <= end; frame += step) {
        out.push([frame, frame]);
        if (out.length > MAX_INTERVALS)
          return err(`falls into more than ${MAX_INTERVALS} separate pieces: name fewer frames at a time`);
      }
  }
  return ok(union(EMPTY, out));
}

/** The set as a frame list. */
function toList(set: FrameSet): FrameList {
  return set.map(([start, end]) => ({ start, end, step: 1 }));
}

/** `1-3,7`; the empty text for the empty set. */
export function format(set: FrameSet): string {
  return formatFrameList(toList(set));
}

/**
 * The set that `format` or `formatFrameList` wrote, of any number of intervals; null is the empty set. A
 * list whose steps would make more than MAX_INTERVALS becomes the range from its first frame to its last.
 */
export function setOfText(text: string | null): FrameSet {
  if (!text) return EMPTY;
  const list = text.split(",").map((part) => {
    const [, first, last = first, step = "1"] = /^(-?\d+)(?:-(-?\d+)(?::(\d+))?)?$/.exec(part)!;
    return { start: Number(first), end: Number(last), step: Number(step) };
  });
  const set = setOfList(list);
  return set.ok ? set.value : [[list[0]!.start, list.at(-1)!.end]];
}

/** Number of frames. */
export function size(set: FrameSet): number {
  let sum = 0;
  for (const [first, last] of set) sum += last - first + 1;
  return sum;
}

/** Whether `frame` is in the set; O(log intervals). */
export function has(set: FrameSet, frame: number): boolean {
  let low = 0;
  let high = set.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = set[middle]!;
    if (frame < first) high = middle - 1;
    else if (frame > last) low = middle + 1;
    else return true;
  }
  return false;
}

/** Frames in a or b. */
export function union(a: FrameSet, b: FrameSet): FrameSet {
  if (b.length === 0) return a;
  const all = [...a, ...b].sort((x, y) => x[0] - y[0]);
  const out: [number, number][] = [];
  for (const [first, last] of all) {
    const end = out.at(-1);
    if (end && first <= end[1] + 1) end[1] = Math.max(end[1], last);
    else out.push([first, last]);
  }
  return out;
}

/** Frames in a and not in b. */
export function minus(a: FrameSet, b: FrameSet): FrameSet {
  if (a.length === 0 || b.length === 0) return a;
  const out: Interval[] = [];
  let j = 0;
  for (const [first, last] of a) {
    let from = first;
    while (j > 0 && b[j - 1]![1] >= from) j--;
    while (j < b.length && b[j]![1] < from) j++;
    while (j < b.length && b[j]![0] <= last) {
      if (b[j]![0] > from) out.push([from, b[j]![0] - 1]);
      from = b[j]![1] + 1;
      if (from > last) break;
      j++;
    }
    if (from <= last) out.push([from, last]);
  }
  return out;
}

/** Frames in both. */
export function intersect(a: FrameSet, b: FrameSet): FrameSet {
  const out: Interval[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const first = Math.max(a[i]![0], b[j]![0]);
    const last = Math.min(a[i]![1], b[j]![1]);
    if (first <= last) out.push([first, last]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return out;
}

/** The first `count` frames, ascending. */
export function take(set: FrameSet, count: number): number[] {
  const out: number[] = [];
  for (const frame of frames(set)) {
    if (out.length >= count) break;
    out.push(frame);
  }
  return out;
}

/** Walk the frames, ascending. */
export function* frames(set: FrameSet): Generator<number> {
  for (const [first, last] of set) for (let frame = first; frame <= last; frame++) yield frame;
}
