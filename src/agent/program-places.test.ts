import { describe, expect, test } from "vitest";
import type { Platform } from "../protocol/plan.ts";
import { PROGRAMS } from "../protocol/programs.ts";
import { placesOf, type Ground } from "./program-places.ts";

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
    ]);
  });

  test("Windows: by the variables of the machine, where its folders are on another drive", async () => {
    const env = { ProgramFiles: String.raw`D:\Programme`, LOCALAPPDATA: String.raw`D:\ann\Local` };
    const folders = {
      [String.raw`D:\Programme\Blender Foundation`]: ["Blender 4.2"],
      [String.raw`D:\ann\Local\Programs\Blender Foundation`]: ["Blender 5.0"],
    };
    expect(await blenders(machine("windows", folders, { env }))).toEqual([
      String.raw`D:\Programme\Blender Foundation\Blender 4.2\blender.exe`,
      String.raw`D:\ann\Local\Programs\Blender Foundation\Blender 5.0\blender.exe`,
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
