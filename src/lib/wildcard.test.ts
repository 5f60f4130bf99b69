import fc from "fast-check";
import { expect, it } from "vitest";
import { fitsPattern, fitsText } from "./wildcard.ts";

it.each([
  ["*.psd", "tex/a.PSD", true],
  ["*.psd", "tex/a.psd.png", false],
  ["a?.png", "tex/ab.png", true],
  ["a?.png", "tex/a.png", false],
  ["tex/*", "tex/deep/a.png", true],
  ["tex/*", "other/tex/a.png", false],
  ["*/tex/*", "other/tex/a.png", true],
  ["tex\\a.png", "tex/a.png", true],
  ["a.png", "tex/a.png", true],
  ["a*b*c", "a_b_c", true],
  ["a*b*c", "acb", false],
  ["ab*b", "ab", false],
  ["*", "", true],
  ["", "a", false],
])("'%s' and '%s': %s", (pattern, path, result) => {
  expect(fitsPattern(pattern, path)).toBe(result);
});

// The results are those of Python's fnmatch.fnmatchcase.
it.each([
  ["*.PSD", "a.psd", false],
  ["tex/[ab]?.png", "tex/b1.png", true],
  ["[!ab].png", "c.png", true],
  ["[!ab].png", "a.png", false],
  ["[a-c]x", "bx", true],
  ["[a-c]x", "-x", false],
  ["[a-]", "-", true],
  ["[]]", "]", true],
  ["[!]]", "]", false],
  ["[ab", "[ab", true],
  ["a[", "a[", true],
  ["**a**", "bab", true],
  ["?", "日", true],
])("as in Blender, '%s' and '%s': %s", (pattern, text, result) => {
  expect(fitsText(pattern, text)).toBe(result);
});

it("P10: many stars and a long text take no time", () => {
  expect(fitsText("*a".repeat(200), "a".repeat(199))).toBe(false);
});

it("agrees with a regular expression of the same meaning", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 6 });
  fc.assert(
    fc.property(pattern, text, (pattern, text) => {
      const source = Array.from(pattern, (one) => (one === "*" ? ".*" : one === "?" ? "." : one)).join("");
      expect(fitsPattern(pattern, text)).toBe(new RegExp(`^${source}$`).test(text));
    }),
    { numRuns: 500 },
  );
});
