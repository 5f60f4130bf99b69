import { describe, expect, test } from "vitest";
import type { Platform } from "../protocol/plan.ts";
import { PROGRAMS } from "../protocol/programs.ts";
import { placesOf, type Ground } from "./program-places.ts";
import { onPath, whyNoProgram } from "./programs.ts";

/** A machine whose folders hold these names. */
function machine(platform: Platform, folders: Record<string, string[]>, change: Partial<Ground> = {}): Ground {
  const home = platform === "windows" ? "C:\\Users\\ann" : "/home/ann";
  return { platform, home, env: {}, list: async (folder) => folders[folder] ?? [], ...change };
}

const blender = PROGRAMS[0];

/** Every place where Blender may be on this machine. */
async function blenders(ground: Ground): Promise<string[]> {
  const found = await Promise.all((blender.places[ground.platform] ?? []).map((pattern) => placesOf(pattern, ground)));
  return found.flat();
}

describe("where Blender is looked for", () => {
  test("Windows: each folder of Blender Foundation, the newest first", async () => {
    const folder = String.raw`C:\Program Files\Blender Foundation`;
    const ground = machine("windows", { [folder]: ["Blender 3.6", "Blender 4.10", "blender 4.5", "Readme.txt"] });
    expect(await blenders(ground)).toEqual([
      String.raw`C:\Program Files\Blender Foundation\Blender 4.10\blender.exe`,
      String.raw`C:\Program Files\Blender Foundation\blender 4.5\blender.exe`,
      String.raw`C:\Program Files\Blender Foundation\Blender 3.6\blender.exe`,
      String.raw`C:\Program Files (x86)\Steam\steamapps\common\Blender\blender.exe`,
    ]);
  });

  test("Windows: by the variables of the machine, where its folders are on another drive", async () => {
    const env = {
      ProgramFiles: String.raw`D:\Programme`,
      "ProgramFiles(x86)": String.raw`D:\Programme (x86)`,
      LOCALAPPDATA: String.raw`D:\ann\Local`,
    };
    const folders = {
      [String.raw`D:\Programme\Blender Foundation`]: ["Blender 4.2"],
      [String.raw`D:\ann\Local\Programs\Blender Foundation`]: ["Blender 5.0"],
    };
    expect(await blenders(machine("windows", folders, { env }))).toEqual([
      String.raw`D:\Programme\Blender Foundation\Blender 4.2\blender.exe`,
      String.raw`D:\ann\Local\Programs\Blender Foundation\Blender 5.0\blender.exe`,
      String.raw`D:\Programme (x86)\Steam\steamapps\common\Blender\blender.exe`,
    ]);
  });

  test("macOS: every application whose name begins with Blender, also in a folder of its own", async () => {
    const folders = {
      "/Applications": ["Blender.app", "Blender 4.5.app", "Blender 3", "Safari.app"],
      "/Applications/Blender 3": ["Blender.app"],
      "/home/ann/Applications": ["blender-5.0.app"],
    };
    expect(await blenders(machine("darwin", folders))).toEqual([
      "/Applications/Blender.app/Contents/MacOS/Blender",
      "/Applications/Blender 4.5.app/Contents/MacOS/Blender",
      "/Applications/Blender 3/Blender.app/Contents/MacOS/Blender",
      "/home/ann/Applications/blender-5.0.app/Contents/MacOS/Blender",
    ]);
  });

  test("Linux: snap, /opt, /usr/local and the home folder, also with a folder for each version", async () => {
    const folders = {
      "/opt": ["blender-4.5.15-linux-x64", "blender", "other"],
      "/opt/blender": ["3.6", "4.2"],
      "/usr/local": ["blender-5.0.1", "bin"],
      "/home/ann": ["blender-4.2.0-linux-x64", "Documents"],
    };
    const found = await blenders(machine("linux", folders));
    for (const path of [
      "/snap/bin/blender",
      "/opt/blender-4.5.15-linux-x64/blender",
      "/opt/blender/4.2/blender",
      "/opt/blender/3.6/blender",
      "/usr/local/blender-5.0.1/blender",
      "/home/ann/blender-4.2.0-linux-x64/blender",
    ])
      expect(found).toContain(path);
    expect(found.some((path) => path.includes("other") || path.includes("Documents"))).toBe(false);
  });

  test("a dot of a pattern is a dot, and no name is longer than one folder", async () => {
    const ground = machine("linux", { "/opt": ["blenderXapp", "blender.app"] });
    expect(await placesOf("/opt/blender.*/x", ground)).toEqual(["/opt/blender.app/x"]);
  });

  test("a pattern whose variable is not set gives no place", async () => {
    expect(await placesOf("%LOCALAPPDATA%/Blender/blender.exe", machine("windows", {}))).toEqual([]);
  });
});

describe("the PATH", () => {
  test("of Windows has its own separator, quotes, and .exe; what is relative is left out", () => {
    const PATH = String.raw`C:\Windows;"D:\My Tools";;.;tools;\\server\share`;
    expect(onPath("blender", { platform: "windows", env: { PATH } })).toEqual([
      String.raw`C:\Windows\blender.exe`,
      String.raw`D:\My Tools\blender.exe`,
      String.raw`\\server\share\blender.exe`,
    ]);
  });

  test("of other systems has no quotes; what is relative is left out", () => {
    expect(onPath("blender", { platform: "linux", env: { PATH: "/usr/bin::.:bin:/opt/a b" } })).toEqual([
      "/usr/bin/blender",
      "/opt/a b/blender",
    ]);
  });
});

test("a script cannot be named on Windows: it would be run by a shell", () => {
  for (const file of ["C:\\farm\\blender.cmd", "blender.BAT", "x.cmd."])
    expect(whyNoProgram(file, "win32")).toBe("on Windows name the .exe, not a script");
  for (const file of ["C:\\farm\\blender.exe", "cmd", "x.cmd.exe"]) expect(whyNoProgram(file, "win32")).toBeUndefined();
  expect(whyNoProgram("/farm/blender.cmd", "linux")).toBeUndefined();
});
