import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTiled, nameOfNumber, numberedName, rangesText, sequenceIn, tilePath, tilesIn } from "./file-set.ts";

describe("numbered files", () => {
  it.each([
    ["img_0001.png", { before: "img_", digits: 4, number: 1, after: ".png" }],
    ["shot2_v10.0042.exr", { before: "shot2_v10.", digits: 4, number: 42, after: ".exr" }],
    ["7", { before: "", digits: 1, number: 7, after: "" }],
    ["a.mp4", { before: "a.mp", digits: 1, number: 4, after: "" }],
    ["plain.png", undefined],
  ])("%s", (name, parts) => {
    expect(numberedName(name)).toEqual(parts);
  });

  it("of a folder, those of the sequence count, with as many digits as Blender asks for", () => {
    const names = ["img_0001.png", "img_0003.png", "img_12345.png", "img_2.png", "img_00004.png", "img_0005.jpg", "x"];
    expect([...sequenceIn(names, numberedName("img_0001.png")!)]).toEqual([
      [1, "img_0001.png"],
      [3, "img_0003.png"],
      [12345, "img_12345.png"],
    ]);
  });

  it("each name that is made belongs to its sequence", () => {
    const parts = { before: "a_", digits: 3, number: 0, after: ".exr" };
    fc.assert(
      fc.property(fc.nat(2_000_000), (number) => {
        const name = nameOfNumber(parts, number);
        expect(numberedName(name)?.number).toBe(number);
        expect([...sequenceIn([name], parts).keys()]).toEqual([number]);
      }),
    );
  });
});

describe("tiles of UDIM textures", () => {
  it("of both kinds", () => {
    expect(tilePath("//t.<UDIM>.png", 1012)).toBe("//t.1012.png");
    expect(tilePath("//t_<UVTILE>.png", 1012)).toBe("//t_u2_v2.png");
    expect(isTiled("t.<UDIM>.png")).toBe(true);
    expect(isTiled("t.1001.png")).toBe(false);
  });

  it("of a folder", () => {
    const names = ["t.1001.png", "t.1002.png", "t.2001.png", "t.1001.jpg", "t.100.png", "t_u1_v1.png", "t..png"];
    expect(tilesIn(names, "t.<UDIM>.png")).toEqual(["t.1001.png", "t.1002.png"]);
    expect(tilesIn(names, "t_<UVTILE>.png")).toEqual(["t_u1_v1.png"]);
  });
});

it("numbers are shown as ranges", () => {
  expect(rangesText([1, 2, 3, 7, 9, 10])).toBe("1-3, 7, 9-10");
  expect(rangesText([1, 3, 5, 7, 9, 11, 12], 3)).toBe("1, 3, 5 and 4 more");
  expect(rangesText([])).toBe("");
});
