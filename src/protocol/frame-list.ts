/**
 * Frame lists: OpenJD's integer range expression (`1-10:2,15`), plus `x` as an alias of the step
 * sign (`1-10x2`). A list stays symbolic: its cost is the number of ranges, never the number of
 * frames.
 *
 * Rules, from the OpenJD template schema (IntRangeExpr) and the results of its reference
 * implementation:
 * - Ranges may not overlap. The whole span `start-end` counts, even values that a step leaves out.
 * - A descending range needs a negative step, and a step is never 0.
 * - Numbers carry no plus sign. Blanks are allowed round numbers.
 * - The result is ascending.
 */
import { err, ok, type Result } from "../lib/result.ts";

/** One range. `start <= end`, `step >= 1`, and `end` is a member of the range. */
export interface FrameRange {
  start: number;
  end: number;
  step: number;
}

/** Ascending, disjoint ranges; never empty. */
export type FrameList = readonly FrameRange[];

/**
 * The most ranges of a list: OpenJD allows 1,024 items. With another value, lists that are valid in
 * OpenJD would be refused, or the reverse.
 */
export const MAX_RANGES = 1024;
/**
 * The most frames of a task. The limit is our own. A range costs nothing, but a person who asks for
 * more frames has most likely mistyped.
 */
export const MAX_FRAMES = 10_000_000;
/**
 * The limit of a frame number, positive or negative. It is our own: far above that of any renderer
 * (Blender stops at 1,048,574), and low enough that all our sums stay exact.
 */
export const MAX_FRAME_NUMBER = 1_000_000_000;

const RANGE = /^[ \t]*(-?\d{1,12})[ \t]*(?:-[ \t]*(-?\d{1,12})[ \t]*(?:[:x][ \t]*(-?\d{1,12})[ \t]*)?)?$/;

function parseRange(text: string): Result<{ range: FrameRange; low: number; high: number }, string> {
  const shown = text.trim().slice(0, 40);
  if (shown === "") return err("has an empty item between commas");
  const match = RANGE.exec(text);
  if (!match) return err(`cannot be read at '${shown}': expected a frame, 'first-last' or 'first-last:step'`);
  // `-0` is frame 0: a negative zero would print as another list than it is.
  const first = Number(match[1]) + 0;
  const last = match[2] === undefined ? first : Number(match[2]) + 0;
  const step = match[3] === undefined ? 1 : Number(match[3]);
  for (const value of [first, last, step]) {
    if (Math.abs(value) > MAX_FRAME_NUMBER) return err(`has a number beyond ±${MAX_FRAME_NUMBER} in '${shown}'`);
  }
  if (step === 0) return err(`has a step of 0 in '${shown}'`);
  if (first > last && step > 0) return err(`runs backwards in '${shown}': a descending range needs a negative step`);
  if (first < last && step < 0) return err(`has a negative step in '${shown}', which runs upwards`);
  const size = Math.abs(step);
  const steps = Math.floor(Math.abs(last - first) / size);
  const reached = first + Math.sign(last - first) * steps * size;
  const range = first <= last ? { start: first, end: reached, step: size } : { start: reached, end: first, step: size };
  return ok({
    range: steps === 0 ? { start: first, end: first, step: 1 } : range,
    low: Math.min(first, last),
    high: Math.max(first, last),
  });
}

/**
 * Read a frame list. The error is a phrase that follows the field's name ("frames has a step of 0
 * in '1-5:0'").
 */
export function parseFrameList(text: string): Result<FrameList, string> {
  if (text.trim() === "") return err("is empty");
  if (text.length > MAX_RANGES * 40) return err(`is longer than ${MAX_RANGES} ranges can be`);
  const items = text.split(",");
  if (items.length > MAX_RANGES) return err(`has ${items.length} ranges; at most ${MAX_RANGES} are allowed`);
  const parsed = [];
  for (const item of items) {
    const range = parseRange(item);
    if (!range.ok) return range;
    parsed.push(range.value);
  }
  parsed.sort((a, b) => a.low - b.low);
  for (let i = 1; i < parsed.length; i++) {
    const before = parsed[i - 1]!;
    const after = parsed[i]!;
    if (after.low <= before.high) return err(`has ranges that overlap at ${after.low}`);
  }
  const ranges = parsed.map((p) => p.range);
  const count = countFrames(ranges);
  if (count > MAX_FRAMES) return err(`has ${count} frames; at most ${MAX_FRAMES} are allowed`);
  return ok(joined(ranges));
}

/** Join neighbours with step 1 (`1-3,4-7` prints as `1-7`, as the OpenJD reference does). */
function joined(ranges: FrameRange[]): FrameRange[] {
  const out: FrameRange[] = [];
  for (const range of ranges) {
    const last = out.at(-1);
    if (last && last.step === 1 && range.step === 1 && last.end + 1 === range.start) last.end = range.end;
    else out.push({ ...range });
  }
  return out;
}

/** The canonical text of a list; parsing it gives the same list. */
export function formatFrameList(list: FrameList): string {
  return list
    .map(({ start, end, step }) =>
      start === end ? `${start}` : step === 1 ? `${start}-${end}` : `${start}-${end}:${step}`,
    )
    .join(",");
}

/**
 * Any number of ranges as texts, each of at most MAX_RANGES ranges, so that `parseFrameList` takes
 * each.
 */
export function formatFrameLists(ranges: FrameList): string[] {
  const texts: string[] = [];
  for (let at = 0; at < ranges.length; at += MAX_RANGES) texts.push(formatFrameList(ranges.slice(at, at + MAX_RANGES)));
  return texts;
}

function sizeOf(range: FrameRange): number {
  return (range.end - range.start) / range.step + 1;
}

/** The number of frames in the list. */
export function countFrames(list: FrameList): number {
  return list.reduce((sum, range) => sum + sizeOf(range), 0);
}

/** The frame at `index` (from 0, ascending); undefined outside the list. */
export function frameAt(list: FrameList, index: number): number | undefined {
  let left = index;
  if (left < 0) return undefined;
  for (const range of list) {
    const size = sizeOf(range);
    if (left < size) return range.start + left * range.step;
    left -= size;
  }
  return undefined;
}

/** The index of `frame` in the list (from 0, ascending); -1 when it is not in the list. */
export function indexOfFrame(list: FrameList, frame: number): number {
  let before = 0;
  for (const range of list) {
    if (frame < range.start) return -1;
    if (frame <= range.end)
      return (frame - range.start) % range.step === 0 ? before + (frame - range.start) / range.step : -1;
    before += sizeOf(range);
  }
  return -1;
}

/** The frames in ascending order, one by one, without an array of all. */
export function* framesOf(list: FrameList): Generator<number> {
  for (const { start, end, step } of list) for (let frame = start; frame <= end; frame += step) yield frame;
}

/**
 * The list of a few concrete frames, in ranges with step 1. The frames may come in any order and
 * more than once. Used for leases and messages.
 */
export function listOfFrames(frames: Iterable<number>): FrameList {
  const given = [...frames];
  const ranges: FrameRange[] = [];
  let last: FrameRange | undefined;
  for (const frame of given) {
    // Frames are nearly always in order, so only others are sorted.
    if (last && frame <= last.end) return listOfFrames([...new Set(given)].sort((a, b) => a - b));
    if (last?.end === frame - 1) last.end = frame;
    else ranges.push((last = { start: frame, end: frame, step: 1 }));
  }
  return ranges;
}
