import path from "node:path";
import { describe, expect, test } from "vitest";
import { isInside } from "../client/paths.ts";
import { resolveArguments } from "./lease-folder.ts";
import { outputName } from "./outputs.ts";
import { privacyProblem, tooLongForBlender } from "./windows-paths.ts";

const ROOT = String.raw`C:\Users\Ann Lee\.tablao\workers\ann\leases\7-3`;
const folder = { in: `${ROOT}\\in`, out: `${ROOT}\\out` };

describe("P9: paths of a plan on Windows", () => {
  const resolve = (...args: Parameters<typeof resolveArguments>[0]) => resolveArguments(args, folder, path.win32);

  test("become those of the machine", () => {
    expect(resolve("-b", { in: "shot/a b.blend" }, { out: "f_####" }, { out: "cache/" })).toEqual({
      ok: true,
      value: ["-b", `${ROOT}\\in\\shot\\a b.blend`, `${ROOT}\\out\\f_####`, `${ROOT}\\out\\cache\\`],
    });
  });

  test.each([
    "../out/x",
    "..\\x",
    "a\\..\\..\\x",
    "C:\\Windows\\x",
    "c:x",
    "D:/x",
    "\\x",
    "\\\\server\\share\\x",
    "//server/share/x",
    "/x",
    "\\\\?\\C:\\x",
    "\\\\.\\PhysicalDrive0",
    "a.png:stream",
    "con",
    "sub/NUL",
    "aux.txt",
    "COM1.png",
    "a./b",
    "name.",
    "name ",
    "a?b",
    "a\0b",
  ])("that lead out of the folder, or to something that is no file, are refused: %j", (name) => {
    expect(resolve({ in: name }).ok).toBe(false);
    expect(resolve({ out: name }).ok).toBe(false);
  });
});

test("an output is known by the path that Blender prints on Windows, whatever its slashes and its drive letter", () => {
  for (const printed of [
    `${folder.out}\\f_0001.png`,
    `${folder.out.replaceAll("\\", "/")}/f_0001.png`,
    `c${folder.out.slice(1)}\\f_0001.png`,
    "f_0001.png",
    ".\\f_0001.png",
  ])
    expect(outputName(folder.out, printed, path.win32), printed).toBe("f_0001.png");
  expect(outputName(folder.out, `${folder.out}\\left\\f_0001.png`, path.win32)).toBe("left/f_0001.png");
  expect(outputName(folder.out, "D:\\f_0001.png", path.win32)).toBe("D:/f_0001.png");
});

test("a folder on Windows holds what is below it, in any case; no other drive, no brother", () => {
  for (const inside of [ROOT, `${ROOT}\\out\\f.png`, `${ROOT.toUpperCase()}\\OUT`])
    expect(isInside(ROOT, inside, path.win32), inside).toBe(true);
  for (const outside of [`${ROOT}0`, `${ROOT}\\..\\7-30`, "D:\\x", "\\\\server\\share\\7-3", path.win32.dirname(ROOT)])
    expect(isInside(ROOT, outside, path.win32), outside).toBe(false);
});

describe("P6: a path that Blender on Windows cannot open", () => {
  const name = `${"n".repeat(220)}.png`;
  test("is told before it renders, with what to do", () => {
    expect(tooLongForBlender(folder.out, ["a.png", name], "win32")).toBe(
      `the path of ${name} has ${folder.out.length + 1 + name.length} characters on this worker, and Blender on Windows ` +
        "opens 259: start it with a short --work-dir, such as C:\\t",
    );
    expect(tooLongForBlender("C:\\t\\7-3\\out", [name], "win32")).toBeUndefined();
    expect(tooLongForBlender(folder.out, [name], "linux")).toBeUndefined();
  });

  test("has 260 characters", () => {
    const of = (length: number) => tooLongForBlender("C:\\t", ["x".repeat(length - "C:\\t\\".length)], "win32");
    expect(of(259)).toBeUndefined();
    expect(of(260)).toContain("has 260 characters");
  });
});

test("P9: a folder for secrets outside of the user's profile is told on Windows, which has no modes", () => {
  const home = String.raw`C:\Users\Ann`;
  expect(privacyProblem(String.raw`c:\users\ann\.tablao\workers`, home, "win32")).toBeUndefined();
  for (const open of ["D:\\farm", "C:\\farm", String.raw`C:\Users\Annabel`, "\\\\server\\farm"])
    expect(privacyProblem(open, home, "win32"), open).toContain(`${open} is outside of ${home}`);
  expect(privacyProblem("/srv/farm", "/home/ann", "linux")).toBeUndefined();
});
