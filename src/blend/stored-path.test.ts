import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { folderOf, fullPathOf, isRelativeStored, normalStored, splitFull, storedFrom } from "./stored-path.ts";

describe("paths in .blend files", () => {
  it.each([
    ["//tex/a.png", "/home/ann/shots", "/home/ann/shots/tex/a.png"],
    ["//../tex/a.png", "/home/ann/shots", "/home/ann/tex/a.png"],
    ["//..\\tex\\a.png", "/home/ann/shots", "/home/ann/tex/a.png"],
    ["//tex\\./x/../a.png", "C:/proj", "C:/proj/tex/a.png"],
    ["/mnt/share/a.png", "/home/ann", "/mnt/share/a.png"],
    ["C:\\proj\\a.png", "/home/ann", "C:/proj/a.png"],
    ["D:/lib/a.png", "C:/proj", "D:/lib/a.png"],
    ["\\\\nas\\art\\a.png", "C:/proj", "//nas/art/a.png"],
    ["\\tex\\a.png", "C:/proj", "C:/tex/a.png"],
    ["tex/a.png", "/home/ann", "/home/ann/tex/a.png"],
    ["//../../../../a.png", "/home/ann", "/a.png"],
    ["//a.png", "/", "/a.png"],
  ])("'%s' in a file of %s stands for %s", (stored, folder, full) => {
    expect(fullPathOf(stored, folder)).toBe(full);
  });

  it("tells relative paths from shares", () => {
    expect(["//a.png", "//../a", "\\\\nas\\art\\a", "/a", "C:\\a", "a"].map(isRelativeStored)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it("the folder of a file at the top is the root", () => {
    expect(["/a.png", "C:/a.png", "//nas/art/a.png", "/b/a.png"].map(folderOf)).toEqual([
      "/",
      "C:/",
      "//nas/art/",
      "/b",
    ]);
  });

  it("two spellings of one path are equal", () => {
    expect(normalStored("//tex\\a.png")).toBe(normalStored("//tex//./a.png"));
    expect(normalStored("//x/../a.png")).toBe("//a.png");
    expect(normalStored("//../../a.png")).toBe("//../../a.png");
    expect(normalStored("/home//a.png")).toBe("/home//a.png");
  });

  it("P12: the way that is written leads to the file, from any folder to any other", () => {
    const name = fc.constantFrom("a", "b", "tex", "lib");
    const folder = fc.array(name, { maxLength: 5 });
    fc.assert(
      fc.property(folder, folder, name, (from, to, file) => {
        const stored = storedFrom(from, [...to, file]);
        expect(isRelativeStored(stored)).toBe(true);
        expect(normalStored(stored)).toBe(stored);
        expect(fullPathOf(stored, `/root/${from.join("/")}`)).toBe(`/${["root", ...to, file].join("/")}`);
      }),
    );
  });

  it("a path is split and joined without loss", () => {
    const path = fc.tuple(
      fc.constantFrom("/", "C:/", "//nas/art/"),
      fc.array(fc.string({ minLength: 1, maxLength: 5 }).filter((s) => !/^\.{1,2}$|[/\\]/.test(s))),
    );
    fc.assert(
      fc.property(path, ([root, names]) => {
        expect(splitFull(root + names.join("/"))).toEqual({ root, names });
      }),
    );
  });

  it("a path that is not absolute has no root", () => {
    expect(() => splitFull("a/b")).toThrow("no absolute path");
  });
});
