import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  countFrames,
  formatFrameList,
  frameAt,
  framesOf,
  indexOfFrame,
  listOfFrames,
  MAX_FRAMES,
  MAX_FRAME_NUMBER,
  MAX_RANGES,
  parseFrameList,
  type FrameList,
} from "./frame-list.ts";

function parsed(text: string): FrameList {
  const result = parseFrameList(text);
  if (!result.ok) throw new Error(`${text} ${result.error}`);
  return result.value;
}

function refused(text: string): string {
  const result = parseFrameList(text);
  return result.ok ? `accepted as ${formatFrameList(result.value)}` : result.error;
}

/** Disjoint ranges in any order, written with either sign of step, and their frames. */
const lists = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 1, max: 9 }),
      span: fc.integer({ min: 0, max: 30 }),
      step: fc.integer({ min: 1, max: 12 }),
      down: fc.boolean(),
      sign: fc.constantFrom(":", "x", " : "),
      place: fc.nat(),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .chain((parts) => fc.integer({ min: -60, max: 60 }).map((from) => ({ parts, from })))
  .map(({ parts, from }) => {
    let at = from;
    const frames: number[] = [];
    const items = parts.map(({ gap, span, step, down, sign, place }) => {
      const low = at + gap;
      const high = low + span;
      at = high;
      if (down && span > 0) for (let f = high; f >= low; f -= step) frames.push(f);
      else for (let f = low; f <= high; f += step) frames.push(f);
      const text = span === 0 ? `${low}` : down ? `${high}-${low}${sign}-${step}` : `${low} - ${high}${sign}${step}`;
      return { text, place };
    });
    items.sort((a, b) => a.place - b.place);
    return { text: items.map((item) => item.text).join(","), frames: frames.toSorted((a, b) => a - b) };
  });

describe("OpenJD's results", () => {
  it.each([
    ["1-10:4", [1, 5, 9]],
    ["10-1:-3", [1, 4, 7, 10]],
    ["10-15:2,1-5", [1, 2, 3, 4, 5, 10, 12, 14]],
    ["-5--1", [-5, -4, -3, -2, -1]],
    ["01-05", [1, 2, 3, 4, 5]],
    ["1-10:20", [1]],
    [" 1 -\t3 , 7 ", [1, 2, 3, 7]],
  ])("%s means %j", (text, frames) => {
    expect([...framesOf(parsed(text))]).toEqual(frames);
  });

  it.each([
    ["1-3,4-7", "1-7"],
    ["01-05", "1-5"],
    ["10-15:2,1-5", "1-5,10-14:2"],
  ])("%s prints back as %s", (text, printed) => {
    expect(formatFrameList(parsed(text))).toBe(printed);
  });

  it.each([
    ["10-1", /needs a negative step/],
    ["1 - -1", /needs a negative step/],
    ["1-5:-1", /negative step/],
    ["1-5:0", /step of 0/],
    ["1,1", /overlap at 1/],
    ["1-10:4,10-15", /overlap at 10/],
    ["+3", /cannot be read at '\+3'/],
    ["1-3,", /empty item/],
    ["", /is empty/],
  ])("%s is an error", (text, why) => {
    expect(refused(text)).toMatch(why);
  });
});

describe("frame lists", () => {
  it("take x for the step, which is our extension", () => {
    expect(formatFrameList(parsed("1-10x2,15"))).toBe("1-9:2,15");
  });

  it("have bounds on numbers, frames and ranges, and name the bound that was exceeded", () => {
    expect(refused(`${MAX_FRAME_NUMBER + 1}`)).toMatch(/beyond ±1000000000/);
    expect(refused(`1-${MAX_FRAMES + 1}`)).toMatch(/10000001 frames/);
    const ranges = (n: number) => Array.from({ length: n }, (_, i) => i * 2).join(",");
    expect(countFrames(parsed(ranges(MAX_RANGES)))).toBe(MAX_RANGES);
    expect(refused(ranges(MAX_RANGES + 1))).toMatch(/at most 1024/);
  });

  it("stay symbolic: ten million frames cost one range", () => {
    const list = parsed("1-10000000");
    expect(list).toEqual([{ start: 1, end: 10_000_000, step: 1 }]);
    const start = performance.now();
    for (let i = 0; i < 1_000; i++) {
      const again = parsed("1-10000000");
      expect(frameAt(again, countFrames(again) - 1 - i)).toBe(10_000_000 - i);
      expect(indexOfFrame(again, 9_999_999)).toBe(9_999_998);
    }
    // Ten million steps a thousand times would take minutes.
    expect(performance.now() - start).toBeLessThan(120_000);
  });

  it("agree with a naive expansion: frames, count, index and position", () => {
    fc.assert(
      fc.property(lists, ({ text, frames }) => {
        const list = parsed(text);
        expect([...framesOf(list)]).toEqual(frames);
        expect(countFrames(list)).toBe(frames.length);
        for (const [index, frame] of frames.entries()) {
          expect(frameAt(list, index)).toBe(frame);
          expect(indexOfFrame(list, frame)).toBe(index);
        }
        expect(frameAt(list, -1)).toBeUndefined();
        expect(frameAt(list, frames.length)).toBeUndefined();
        const inside = new Set(frames);
        for (let frame = frames[0]! - 3; frame <= frames.at(-1)! + 3; frame++) {
          if (!inside.has(frame)) expect(indexOfFrame(list, frame)).toBe(-1);
        }
      }),
    );
  });

  it("print and parse back to themselves", () => {
    fc.assert(
      fc.property(lists, ({ text }) => {
        const list = parsed(text);
        expect(parsed(formatFrameList(list))).toEqual(list);
      }),
    );
  });

  it("are made of single frames in any order, without duplicates", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -40, max: 40 })), (frames) => {
        const list = listOfFrames(frames);
        expect([...framesOf(list)]).toEqual([...new Set(frames)].toSorted((a, b) => a - b));
        for (const [i, range] of list.entries()) if (i > 0) expect(range.start).toBeGreaterThan(list[i - 1]!.end + 1);
      }),
    );
  });

  it("have one zero, however it is written", () => {
    for (const text of ["-0", "0--0", "-0-0", "-0-2"]) expect(Object.is(parsed(text)[0]!.start, 0), text).toBe(true);
    expect(parsed("-0")).toEqual(parsed("0"));
    expect(parsed("-0-2")).toEqual(parsed("0-2"));
  });

  it("never throw, for any text", () => {
    const soup = fc.string({
      unit: fc.constantFrom("1", "9", "0", "-", ",", ":", "x", " ", "\t", "+", "e", "."),
      maxLength: 60,
    });
    fc.assert(
      fc.property(fc.oneof(soup, fc.string({ unit: "binary" })), (text) => {
        const result = parseFrameList(text);
        if (result.ok) expect(parsed(formatFrameList(result.value))).toEqual(result.value);
        else expect(result.error).not.toBe("");
      }),
    );
  });
});
