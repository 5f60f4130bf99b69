import { describe, expect, test } from "vitest";
import { contentHeaders, disposition, hasMatch, parseRange } from "./content.ts";

describe("parseRange", () => {
  test.each([
    ["bytes=0-0", { offset: 0, length: 1 }],
    ["bytes=2-5", { offset: 2, length: 4 }],
    ["bytes=2-", { offset: 2, length: 8 }],
    ["bytes=2-99", { offset: 2, length: 8 }],
    ["bytes=-3", { offset: 7, length: 3 }],
    ["bytes=-99", { offset: 0, length: 10 }],
    ["bytes=9-", { offset: 9, length: 1 }],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=10-12", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
  ])("%s of ten bytes", (header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected);
  });

  test("ranges that a server may ignore get the whole file", () => {
    for (const header of [null, "", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b"])
      expect(parseRange(header, 10)).toBeNull();
  });

  test("no range of an empty file can be satisfied", () => {
    expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
    expect(parseRange("bytes=-1", 0)).toBe("unsatisfiable");
  });
});

describe("contentHeaders", () => {
  test("images and videos are shown under their type", () => {
    expect(contentHeaders("f_0001.PNG")).toEqual({
      "Content-Type": "image/png",
      "Content-Disposition": 'inline; filename="f_0001.PNG"',
      "X-Content-Type-Options": "nosniff",
    });
  });

  test("P9: files that a browser could run are not served under their own type", () => {
    for (const name of ["x.html", "x.svg", "x.xml", "x.js", "x.pdf", "x", "png", "x.constructor"]) {
      expect(contentHeaders(name), name).toMatchObject({
        "Content-Type": "application/octet-stream",
        "Content-Disposition": expect.stringMatching(/^attachment;/),
        "Content-Security-Policy": "default-src 'none'; sandbox",
      });
    }
    expect(contentHeaders("x.exr")).toMatchObject({
      "Content-Type": "image/x-exr",
      "Content-Security-Policy": "default-src 'none'; sandbox",
    });
  });

  test("names with quotes, blanks and letters of any script cannot break the header", () => {
    expect(disposition("attachment", 'a"b;\\é 絵.png')).toBe(
      `attachment; filename="a_b;__ _.png"; filename*=UTF-8''a%22b%3B%5C%C3%A9%20%E7%B5%B5.png`,
    );
    expect(disposition("inline", "it's (1)*.png")).toBe(`inline; filename="it's (1)*.png"`);
    expect(disposition("inline", "100%'.png")).toBe(`inline; filename="100_'.png"; filename*=UTF-8''100%25%27.png`);
    expect(disposition("inline", "\ud800.png")).toContain("filename*=UTF-8''%EF%BF%BD.png");
  });
});

test("If-None-Match matches the tag itself, weakly, in a list, and a star", () => {
  for (const header of ['"a"', 'W/"a"', '"b", "a"', "*"]) expect(hasMatch(header, '"a"')).toBe(true);
  for (const header of [null, "", '"b"', "a", '"aa"']) expect(hasMatch(header, '"a"')).toBe(false);
});
