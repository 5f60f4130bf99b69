import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { standInBlender } from "../../test/support/fake-blender.ts";
import { findPrograms, programsText, versionsOf, type Programs } from "./programs.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "tablao-programs-"));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

/** What a Linux machine finds whose home folder is `home`, and whose other folders hold no Blender. */
async function found(paths: { blender?: string[] } = {}, folders: Record<string, string[]> = {}): Promise<Programs> {
  return await findPrograms(paths, "0.2.0", {
    platform: "linux",
    home,
    env: { PATH: path.join(home, "bin") },
    list: async (folder) => folders[folder] ?? [],
  });
}

function blender(name: string, version: string): string {
  return standInBlender(path.join(home, name), version);
}

describe("several Blenders on one machine", () => {
  test("all that are found are offered, one of each minor version, and the newest is used by default", async () => {
    const names = ["blender-4.5.3", "blender-4.5.15", "blender-5.0.1", "blender-broken"];
    blender("blender-4.5.3", "4.5.3");
    const newest45 = blender("blender-4.5.15", "4.5.15");
    const newest = blender("blender-5.0.1", "5.0.1");
    const old = blender("bin", "3.4.1");
    mkdirSync(path.join(home, "blender-broken"));
    writeFileSync(path.join(home, "blender-broken", "blender"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const { blender: program, ...others } = await found({}, { [home]: names });
    expect(program).toEqual({
      command: [newest],
      version: "5.0.1",
      others: [
        { command: [newest45], version: "4.5.15" },
        { command: [old], version: "3.4.1" },
      ],
    });
    expect(versionsOf(program)).toEqual(["5.0.1", "4.5.15", "3.4.1"]);
    expect(programsText({ blender: program!, ...others })).toContain("blender 5.0.1 and 4.5.15 and 3.4.1");
  });

  test("with --blender only the programs that it names are used", async () => {
    const named = [blender("a", "4.2.0"), blender("b", "4.5.1")];
    blender("blender-5.0.1", "5.0.1");
    const { blender: program } = await found({ blender: named }, { [home]: ["blender-5.0.1"] });
    expect(versionsOf(program)).toEqual(["4.5.1", "4.2.0"]);
  });

  test("a program that --blender names and that does not run is an error that names it", async () => {
    const broken = path.join(home, "broken");
    writeFileSync(broken, "#!/bin/sh\necho 'Inkscape 1.2'\n");
    chmodSync(broken, 0o755);
    await expect(found({ blender: [blender("a", "4.2.0"), broken] })).rejects.toThrow(
      `${broken} does not run as blender: 'blender --version' must print its version`,
    );
  });

  test("a program under two names is asked for its version once", async () => {
    const file = blender("blender-4.5.1", "4.5.1");
    const runs = path.join(home, "runs");
    writeFileSync(file, `#!/bin/sh\necho run >> '${runs}'\necho 'Blender 4.5.1'\n`);
    mkdirSync(path.join(home, "bin"));
    symlinkSync(file, path.join(home, "bin", "blender"));
    const { blender: program } = await found({}, { [home]: ["blender-4.5.1"] });
    expect(program).toEqual({ command: [path.join(home, "bin", "blender")], version: "4.5.1" });
    expect(readFileSync(runs, "utf8")).toBe("run\n");
  });

  test("without any, there is none, and the line says so", async () => {
    const programs = await found();
    expect(programs.blender).toBeUndefined();
    expect(programsText(programs)).toContain("no Blender");
  });
});
