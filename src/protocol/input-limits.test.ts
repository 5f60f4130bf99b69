import { expect, test } from "vitest";
import { MAX_BODY_BYTES, MAX_INPUTS } from "./constants.ts";
import { MAX_FILE_BYTES } from "./file.ts";
import { whyTooManyInputs } from "./input-limits.ts";

const paths = (count: number, name = "t"): string[] => Array.from({ length: count }, (_, i) => `${name}/${i}.png`);

test("P10: as many files as a task takes are fine; one more is named with both numbers, and what to do", () => {
  expect(whyTooManyInputs(paths(MAX_INPUTS))).toBeNull();
  const tooMany = whyTooManyInputs(paths(MAX_INPUTS + 1));
  expect(tooMany?.what).toBe("a task takes at most 10000 files, and these are 10001");
  expect(tooMany?.advice).toContain("Pack Resources");
});

test("P10: files whose names are too long for one submission are told before they are sent", () => {
  const long = paths(9_000, "é".repeat(100));
  const tooMany = whyTooManyInputs(long);
  expect(tooMany?.what).toMatch(/^the list of these 9000 files has \d+ bytes, and a submission takes 2097152$/);
  expect(tooMany?.advice).toContain("Shorten the names");
  const told = Number(/has (\d+) bytes/.exec(tooMany!.what)![1]);
  const assets = long.map((path) => ({ path, sha256: "a".repeat(64), size: MAX_FILE_BYTES }));
  const sent = new TextEncoder().encode(JSON.stringify(assets)).length;
  // The list has brackets, and one comma less than entries.
  expect(told).toBe(sent - 1);
  expect(sent).toBeGreaterThan(MAX_BODY_BYTES);
});
