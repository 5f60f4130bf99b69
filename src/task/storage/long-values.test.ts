import { expect, test } from "vitest";
import { inRows, MAX_ROW_CHARS, splitText } from "./long-values.ts";

test("a text is cut into pieces that fit and give it again, and never inside a surrogate pair", () => {
  expect(splitText("")).toEqual([]);
  expect(splitText("short")).toEqual(["short"]);
  const exact = "x".repeat(MAX_ROW_CHARS);
  expect(splitText(exact)).toEqual([exact]);
  for (const before of [0, 1]) {
    const text = "a".repeat(before) + "😀".repeat(MAX_ROW_CHARS) + "end";
    const pieces = splitText(text);
    expect(pieces.join("")).toBe(text);
    expect(pieces.every((piece) => piece.length <= MAX_ROW_CHARS && piece.isWellFormed())).toBe(true);
    expect(pieces.length).toBe(3);
  }
});

test("items are kept in order, as lists that fit", () => {
  const items = Array.from({ length: 5 }, (_, i) => String(i).repeat(200_000));
  const rows = inRows(items);
  expect(rows.flatMap((row) => row.items)).toEqual(items);
  expect(rows.flatMap(({ json }) => JSON.parse(json) as string[])).toEqual(items);
  expect(rows.map((row) => row.items.length)).toEqual([2, 2, 1]);
});
