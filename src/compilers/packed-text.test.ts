import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SEED } from "../../test/support/seed.ts";
import { testWith } from "../../test/support/programs.ts";
import { packed, unpackingPython } from "./packed-text.ts";

/** Texts with many repetitions. */
const repetitive = fc
  .array(fc.constantFrom("for ", "thing in used:\n", '"quoted"', "\\n", "x", "é", " ".repeat(300), "abcd".repeat(60)), {
    maxLength: 60,
  })
  .map((parts) => parts.join(""));

test("a text that repeats itself becomes much shorter, and stays printable where it was", () => {
  const text = "for thing in used:\n  yield thing\n".repeat(1_000);
  expect(packed(text).length).toBeLessThan(text.length / 15);
  expect(packed(text)).toMatch(/^[\n -~]*$/);
  expect(() => packed("a`b")).toThrow("must not have `");
});

testWith("python3")("Python reads every packed text as it was", () => {
  const texts = fc.sample(repetitive, { numRuns: 300, seed: SEED });
  const program = texts.map((text) => {
    const own = unpackingPython(JSON.stringify(packed(text)))
      .split("\n")
      .slice(0, -1)
      .join("\n");
    return `${own}\nprint(json.dumps(text))`;
  });
  const { stdout, stderr } = spawnSync("python3", ["-"], {
    input: `import json\n${program.join("\n")}`,
    encoding: "utf8",
    env: { ...process.env, PYTHONIOENCODING: "utf-8", PYTHONUTF8: "1" },
  });
  expect(stderr).toBe("");
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as string),
  ).toEqual(texts);
});
