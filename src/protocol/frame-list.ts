/**
 * Frame lists: OpenJD's integer range expression (`1-10:2,15`), plus `x` as an alias of the step sign (`1-10x2`).
 * A list stays symbolic: its cost is the number of ranges, never the number of frames.
 *
 * Rules, from the OpenJD template schema (IntRangeExpr) and the results of its reference implementation:
 * ranges may not overlap (the whole span `start-end` counts, even values a step leaves out), a descending range needs a
 * negative step, a step is never 0, numbers carry no plus sign, blanks are allowed round numbers, the result is ascending.
 */
import { err, ok, type Result } from "../lib/result.ts";

/** `start <= end`, `step >= 1`, and `end` is a member of the range. */
export interface FrameRange {
  start: number;
  end: number;
  step: number;
}

/** Ascending, disjoint ranges; never empty. */
export type FrameList = readonly FrameRange[];

/** OpenJD allows at most 1,024 items in a list. */
export const MAX_RANGES = 1024;
/** Ours: what one task may hold. A range costs nothing, but a person who asks for more has most likely mistyped. */
export const MAX_FRAMES = 10_000_000;
/** Ours: far above any renderer (Blender stops at 1,048,574), and safe for every sum we make. */
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
 * Read a frame list. The error is a phrase that follows the field's name ("frames has a step of 0 in '1-5:0'").
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

/** Join neighbours with step 1 (`1-3,4-7` prints back as `1-7`, as the OpenJD reference does). */
function joined(ranges: FrameRange[]): FrameRange[] {
  const out: FrameRange[] = [];
  for (const range of ranges) {
    const last = out.at(-1);
    if (last && last.step === 1 && range.step === 1 && last.end + 1 === range.start) last.end = range.end;
    else out.push({ ...range });
  }
  return out;
}

/** Print a list in canonical form; parsing it gives the same list. */
export function formatFrameList(list: FrameList): string {
  return list
    .map(({ start, end, step }) =>
      start === end ? `${start}` : step === 1 ? `${start}-${end}` : `${start}-${end}:${step}`,
    )
    .join(",");
}

/** Ranges as texts, each of as many as a list may have. */
export function formatFrameLists(ranges: FrameList): string[] {
  const texts: string[] = [];
  for (let at = 0; at < ranges.length; at += MAX_RANGES) texts.push(formatFrameList(ranges.slice(at, at + MAX_RANGES)));
  return texts;
}

function sizeOf(range: FrameRange): number {
  return (range.end - range.start) / range.step + 1;
}

/** Number of frames in the list. */
export function countFrames(list: FrameList): number {
  return list.reduce((sum, range) => sum + sizeOf(range), 0);
}

/** The frame at `index` (0-based, ascending); undefined outside the list. */
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

/** The ascending index of `frame` in the list, or -1. */
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

/** Walk the frames in ascending order without building an array. */
export function* framesOf(list: FrameList): Generator<number> {
  for (const { start, end, step } of list) for (let frame = start; frame <= end; frame += step) yield frame;
}

/** Build the shortest list for a few concrete frames (any order, duplicates dropped). Used for leases and messages. */
export function listOfFrames(frames: Iterable<number>): FrameList {
  const given = [...frames];
  const ranges: FrameRange[] = [];
  let last: FrameRange | undefined;
  for (const frame of given) {
    // Nearly always they are in order.
    if (last && frame <= last.end) return listOfFrames([...new Set(given)].sort((a, b) => a - b));
    if (last?.end === frame - 1) last.end = frame;
    else ranges.push((last = { start: frame, end: frame, step: 1 }));
  }
  return ranges;
}
