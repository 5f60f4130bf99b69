import { describe, expect, test } from "vitest";
import { kindOfExpression } from "./expressions.ts";

describe("P12: a driver's expression", () => {
  test.each([
    ["", []],
    ["frame", []],
    ["frame/5 if frame > 1 else 0", []],
    ["sin(frame / 3) * 2.5e-1", []],
    ["-var ** 2", ["var"]],
    ["a < b < 3 and not c", ["a", "b", "c"]],
    ["min(a, 1, 2) + max(a)", ["a"]],
    ["abs(a)", ["a"]],
    ["log(a, 2) + log(a)", ["a"]],
    ["[0,1,2][int(frame)%3]", []],
    ["var if var else 'x'", ["var"]],
    ["len([1, 2][0:1])", []],
    ["round(frame, ndigits=2)", []],
    ["pow(2, 3) // 2", []],
    ["hypot(a, b)", ["a", "b"]],
    [".5 * 010.0", []],
  ])("%s is evaluated without scripts", (expression, variables) => {
    expect(kindOfExpression(expression, variables)).toBe("simple");
  });

  test.each([
    "bpy.context.scene.frame_current/5",
    "self.location.x + 1",
    "noise.random()",
    "wobble(frame)",
    "__import__('math').sin(frame/3)*2",
    "(lambda: 1)()",
    "[x for x in (1, 2)][0]",
    "f'{frame}'",
    "abs(frame) % 2",
    "var + 1",
    "frame.real",
    "eval('1')",
    '"\\n".count("a")',
  ])("%s needs scripts", (expression) => {
    expect(kindOfExpression(expression, [])).toBe("script");
  });

  test.each(["self", "{1: 2}[1]", "max(*[1, 2])", "1 < frame < 3 % 2", "sin(frame", "frame ; 1", "'\\x41'"])(
    "%s is not decided here",
    (expression) => {
      expect(kindOfExpression(expression, [])).toBe("unsure");
    },
  );
});
