import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { framesOf, listOfFrames } from "../../protocol/frame-list.ts";
import { framesPage } from "./task.ts";
import { at, newTask, terms } from "../../../test/support/rules-farm.ts";

const pageOf = (list: string, wanted: readonly number[] | null, limit: number, after: number | null = null) =>
  framesPage(at(newTask(terms(list)), 0), wanted && listOfFrames(wanted), { limit }, after);

describe("pages of frames", () => {
  it("show the end of ten million frames in one call", () => {
    const { frames, cursor } = pageOf("1-10000000", [9_999_999, 10_000_000], 10);
    expect(frames.map((frame) => frame.frame)).toEqual([9_999_999, 10_000_000]);
    expect(cursor).toBeNull();
  });

  it("together hold exactly the requested frames, whatever the page's length", () => {
    const numbers = fc.uniqueArray(fc.integer({ min: -30, max: 60 }), { minLength: 1, maxLength: 40 });
    const list = fc.constantFrom("1-50", "-20-40:3", "1-9:2,20-30,45", "-5", "-30-60:7");
    fc.assert(
      fc.property(list, fc.option(numbers), fc.integer({ min: 1, max: 7 }), (text, wanted, limit) => {
        const seen: number[] = [];
        let cursor: string | null = null;
        do {
          const page = pageOf(text, wanted, limit, cursor === null ? null : Number(cursor));
          expect(page.frames.length).toBeLessThanOrEqual(limit);
          seen.push(...page.frames.map((frame) => frame.frame));
          cursor = page.cursor;
        } while (cursor !== null && seen.length < 100);
        const all = [...framesOf(terms(text).list)];
        expect(seen).toEqual(all.filter((frame) => wanted === null || wanted.includes(frame)));
      }),
    );
  });
});
