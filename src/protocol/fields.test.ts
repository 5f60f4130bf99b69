import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  fileNameSchema,
  framesSchema,
  lineSchema,
  machineTextSchema,
  relativePathSchema,
  sha256Schema,
  tagSchema,
  whyUnsafePath,
} from "./fields.ts";

describe("relative paths", () => {
  it.each(["a.blend", "textures/wood.png", "é/日本.png", "a b/c-d_e.v001.exr", "console/x", ".hidden"])(
    "%s is valid",
    (text) => {
      expect(whyUnsafePath(text)).toBeUndefined();
    },
  );

  it.each([
    ["/etc/passwd", /relative/],
    ["a//b", /relative/],
    ["a/", /relative/],
    ["../x", /'\.' or '\.\.'/],
    ["a/../../x", /'\.' or '\.\.'/],
    ["./a", /'\.' or '\.\.'/],
    ["C:\\x", /must not contain/],
    ["c:/x", /must not contain/],
    ["a\\..\\b", /must not contain/],
    ["a\nb", /control/],
    ["a\0b", /control/],
    ["NUL", /reserved/],
    ["dir/com1.txt", /reserved/],
    ["a./b", /dot or blank/],
    ["a ", /dot or blank/],
    ["é".repeat(128), /255 bytes/],
  ])("%j is refused", (text, why) => {
    expect(whyUnsafePath(text)).toMatch(why);
    expect(relativePathSchema.safeParse(text).success).toBe(false);
  });

  it("P9: stay in their folder on posix and on Windows, whatever the text", () => {
    const piece = fc.oneof(
      fc.constantFrom("..", ".", "/", "\\", "C:", "a", "~", "%2e"),
      fc.string({ unit: "binary", maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("");
        if (text === "" || whyUnsafePath(text) !== undefined) return;
        expect(path.posix.resolve("/lease/in", text).startsWith("/lease/in/")).toBe(true);
        expect(path.win32.resolve("C:\\lease\\in", text).startsWith("C:\\lease\\in\\")).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("are file names only without a slash", () => {
    expect(fileNameSchema.safeParse("a/b.png").success).toBe(false);
    expect(fileNameSchema.safeParse("b.png").success).toBe(true);
  });
});

describe("small fields", () => {
  it("frames are refused with the grammar's own message", () => {
    const result = framesSchema.safeParse("1-5:0");
    expect(result.error?.issues[0]?.message).toBe("has a step of 0 in '1-5:0'");
  });

  it("lines have no control characters and a length", () => {
    expect(lineSchema(5).safeParse("añb c").success).toBe(true);
    for (const bad of ["a\r\nb", "\u001b[2J", "a\u007f", "\u009bJ", "\u202ea", "\u2066a", "123456"])
      expect(lineSchema(5).safeParse(bad).success).toBe(false);
  });

  it("P9: a machine's text keeps its lines and tabs, and nothing that controls a terminal", () => {
    expect(machineTextSchema(40).parse("a\tb\r\nc\rd\u001b[2J\u009b1m\u0008\u202ee\u2069 ñ💃")).toBe(
      "a\tb\nc\nd[2J1me ñ💃",
    );
    expect(machineTextSchema(3).safeParse("1234").success).toBe(false);
  });

  it("hashes are lower-case, tags are plain words", () => {
    expect(sha256Schema.safeParse("a".repeat(64)).success).toBe(true);
    for (const bad of ["A".repeat(64), "a".repeat(63), `${"a".repeat(64)}\n`])
      expect(sha256Schema.safeParse(bad).success).toBe(false);
    expect(tagSchema.safeParse("gpu.rtx-4090_a").success).toBe(true);
    for (const bad of ["", "-a", "GPU", "a b", "a".repeat(64)]) expect(tagSchema.safeParse(bad).success).toBe(false);
  });
});
