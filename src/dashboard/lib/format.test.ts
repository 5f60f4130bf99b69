import { describe, expect, it } from "vitest";
import { ago, bytes, counted, duration, percent, roughly } from "./format.ts";

describe("numbers for people", () => {
  it("a percentage is 100 only when everything is done, and 0 only when nothing is", () => {
    expect([percent(0, 0), percent(0, 9), percent(1, 100_000), percent(99_999, 100_000), percent(9, 9)]).toEqual([
      "0 %",
      "0 %",
      "1 %",
      "99 %",
      "100 %",
    ]);
  });

  it("durations carry into the next unit instead of showing 60", () => {
    expect([0, 0.424, 8.06, 59.96, 185, 3_599.6, 8_040, 273_600].map(duration)).toEqual([
      "0 s",
      "0.42 s",
      "8.1 s",
      "1 m 00 s",
      "3 m 05 s",
      "1 h 00 m",
      "2 h 14 m",
      "3 d 4 h",
    ]);
  });

  it("estimates have one unit", () => {
    expect([0.2, 89, 720, 10_800, 432_000].map(roughly)).toEqual(["1 s", "89 s", "12 min", "3.0 h", "5.0 d"]);
  });

  it("bytes keep three digits", () => {
    expect([0, 999, 999_600, 12_345_678].map(bytes)).toEqual(["0 B", "999 B", "1.00 MB", "12.3 MB"]);
  });

  it("one is singular, and a time ahead of this clock is now", () => {
    expect([counted(1, "frame"), counted(1_000, "frame")]).toEqual(["1 frame", "1,000 frames"]);
    expect([ago(2_000, 1_000), ago(0, 61_000), ago(0, 7_200_000)]).toEqual(["now", "1 min ago", "2 h ago"]);
  });
});
