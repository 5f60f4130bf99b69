import { describe, expect, test } from "vitest";
import {
  BLENDER_NEED,
  blenderFor,
  blendersHeader,
  blendersIn,
  compareVersions,
  isNewerMinor,
  meetsNeed,
  minorOf,
} from "./blender-version.ts";

describe("versions of Blender", () => {
  test("a version belongs to a minor version", () => {
    expect(["4.5.15", "5.0.0", "2.79", "4.2.0-alpha", "Blender 4.5", "", "4"].map(minorOf)).toEqual([
      "4.5",
      "5.0",
      "2.79",
      "4.2",
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("versions are sorted by number, not by letter, and what is none comes first", () => {
    expect(["4.10.0", "4.5.15", "unknown", "4.5.3", "5.0.1", "3.4.1"].toSorted(compareVersions)).toEqual([
      "unknown",
      "3.4.1",
      "4.5.3",
      "4.5.15",
      "4.10.0",
      "5.0.1",
    ]);
  });

  test("a newer patch is no newer minor version", () => {
    expect(isNewerMinor("4.5.9", "4.5.1")).toBe(false);
    expect(isNewerMinor("5.0", "4.5.15")).toBe(true);
    expect(isNewerMinor("5.0", "unknown")).toBe(false);
  });
});

describe("what a task needs of Blender", () => {
  test("4.5 is that minor version in any patch, 4.5+ also a newer one", () => {
    const versions = ["3.4.1", "4.2.23", "4.5.0", "4.5.15", "4.10.0", "5.0.1", "unknown", ""];
    expect(versions.filter((version) => meetsNeed("4.5", version))).toEqual(["4.5.0", "4.5.15"]);
    expect(versions.filter((version) => meetsNeed("4.5+", version))).toEqual(["4.5.0", "4.5.15", "4.10.0", "5.0.1"]);
  });

  test("of several, the minor version nearest to the need is used, in its newest patch", () => {
    expect(blenderFor("4.2+", ["5.0.1", "4.5.3", "4.5.15", "3.4.1"])).toBe("4.5.15");
    expect(blenderFor("4.5", ["5.0.1", "4.5.3", "4.5.15"])).toBe("4.5.15");
    expect(blenderFor("4.5", ["5.0.1"])).toBeUndefined();
  });

  test.each(["4.5.3", "4", "v4.5", "4.05", "04.5", "4.5++", "4.5 +", "0.5", ""])("%j is no need", (text) => {
    expect(BLENDER_NEED.test(text)).toBe(false);
  });
});

describe("the header in which a worker names its Blenders", () => {
  test("is read as it was written, in its order", () => {
    expect(blendersIn(blendersHeader(["4.5.15", "3.4.1"])!)).toEqual(["4.5.15", "3.4.1"]);
    expect(blendersHeader([])).toBeUndefined();
    expect(blendersIn(null)).toEqual([]);
  });

  test("P10: of a hostile one, nothing is kept that is no version, and no more than a worker can have", () => {
    expect(blendersIn(`4.5.15, <b>4.2</b>, 5.0.0\u0000, ${"4.2.0".padEnd(100, "x")}, drop, 3.4.1`)).toEqual([
      "4.5.15",
      "3.4.1",
    ]);
    expect(blendersIn(Array.from({ length: 10_000 }, () => "4.5.1").join()).length).toBe(16);
  });
});
