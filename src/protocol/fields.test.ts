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
} from "./fields.ts";
import { isPlainPath, whyUnsafePath } from "./path-rules.ts";
import { inputSchema, plainInput } from "./plan.ts";

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

describe("P10: the fast reading of a path and of an input", () => {
  const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;
  /** The rules one by one, as they are documented. */
  const keepsRules = (path: string): boolean =>
    path.length <= 512 &&
    // eslint-disable-next-line no-control-regex
    !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(path) &&
    !/[\\:*?"<>|]/.test(path) &&
    path
      .split("/")
      .every(
        (name) =>
          name !== "" && !RESERVED.test(name) && !/[. ]$/.test(name) && new TextEncoder().encode(name).length <= 255,
      );
  const piece = fc.constantFrom(
    ..."a . / // : \\ * con CON con.x conx com1 lpt9.a comx aux nul prn .. \u0000 \u0080 \u202e \u2066 ä 😀 x".split(
      " ",
    ),
    " ",
    "a".repeat(85),
    "a".repeat(86),
    "画".repeat(85),
    "画".repeat(86),
  );
  const anyPath = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));

  it("takes exactly the paths that the rules take", () => {
    const seen = [0, 0];
    fc.assert(
      fc.property(anyPath, (text) => {
        const takes = relativePathSchema.safeParse(text).success;
        expect(takes).toBe(keepsRules(text));
        if (isPlainPath(text)) expect(takes).toBe(true);
        seen[Number(takes)]!++;
      }),
      { numRuns: 5_000 },
    );
    expect(Math.min(...seen)).toBeGreaterThan(200);
  });

  it("reads an input as its schema does, or leaves it to the schema", () => {
    const field = fc.constantFrom<unknown>("a".repeat(64), "A".repeat(64), "a", 1, 0, -1, 1.5, null, undefined, true);
    const input = fc.record(
      { path: fc.oneof(anyPath, field), sha256: field, size: field, pieces: field, other: field },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(input, (item) => {
        const plain = plainInput(item);
        if (plain !== undefined) expect(inputSchema.safeParse(item)).toEqual({ success: true, data: plain });
      }),
      { numRuns: 5_000 },
    );
  });
});
