/**
 * The reader of .blend files beside real Blender: for each scene, the list of files equals
 * `bpy.utils.blend_paths` plus what that is known to leave out.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OWN_NAME } from "../../src/blend/collect-simulations.ts";
import { readContents } from "../../src/blend/read-contents.ts";
import type { BlendSummary, ExternalFile } from "../../src/blend/types.ts";
import { sourceOf } from "../support/blend-files.ts";
import { temporaryFolder } from "../support/folders.ts";
import { describeWith } from "../support/programs.ts";

const temporary = temporaryFolder("blend-paths");
const folder = temporary.path;
afterAll(() => temporary.remove());

/** Makes all scenes in one run of Blender, opens each again, and writes what `blend_paths` says of it. */
const MAKER = path.resolve(import.meta.dirname, "fixtures/blend-paths.py");

interface Answer {
  files: ExternalFile[];
  summary: BlendSummary;
  paths: string[];
}
const answers = new Map<string, Answer>();

async function makeScenes(): Promise<void> {
  writeFileSync(path.join(folder, "t.txt"), "notes");
  writeFileSync(path.join(folder, "beep.wav"), silence());
  const args = ["-b", "--factory-startup", "--python-exit-code", "1", "--python", MAKER, "--", folder];
  execFileSync("blender", args, { stdio: "pipe" });
  const told = JSON.parse(readFileSync(path.join(folder, "answers.json"), "utf8")) as Record<string, string[]>;
  for (const [name, paths] of Object.entries(told)) {
    const { externals, summary } = await readContents(sourceOf(new Uint8Array(readFileSync(path.join(folder, name)))));
    answers.set(name.replace(/\.blend$/, ""), { files: externals, summary, paths });
  }
}

/** A wave file of no length. */
function silence(): Uint8Array {
  const view = new DataView(new ArrayBuffer(44 + 2));
  for (const [at, text] of [
    [0, "RIFF"],
    [8, "WAVEfmt "],
    [36, "data"],
  ] as const) {
    for (let index = 0; index < text.length; index++) view.setUint8(at + index, text.charCodeAt(index));
  }
  view.setUint32(4, 38, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, 8000, true);
  view.setUint32(28, 16_000, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, 2, true);
  return new Uint8Array(view.buffer);
}

/** `blend_paths` does not know folders of point caches on disk. */
const LEFT_OUT = (file: ExternalFile): boolean => file.path.startsWith(`//blendcache_${OWN_NAME}`);

describeWith("blender")("P12: the files that a scene needs", () => {
  beforeAll(makeScenes);

  test("are those that Blender names, and the folders of its disk caches", () => {
    expect(answers.size).toBeGreaterThan(30);
    for (const [name, { files, paths }] of answers) {
      // Blender names each file of a strip; the reader names the strip's folder and its files.
      const ours = files
        .filter((file) => !LEFT_OUT(file))
        .flatMap((file) =>
          (file.names ?? [""]).map((each) => (each ? file.path.replace(/[^/\\]*$/, each) : file.path)),
        );
      // Blender changes backslashes when it opens the file on another system; the brushes are its own.
      const theirs = paths.filter((each) => !each.includes("/datafiles/assets/"));
      const slashed = ours.map((each) => each.replaceAll("\\", "/"));
      expect({ name, paths: [...new Set(slashed)].toSorted() }).toEqual({
        name,
        paths: [...new Set(theirs)].toSorted(),
      });
    }
  });

  test.each([
    ["references", []],
    ["fake user", []],
    ["hidden", []],
    ["hidden by animation", ["//shown.png"]],
    ["instanced collection", ["//inst.png"]],
    ["two scenes", []],
    ["scene strip", ["//other.png"]],
    ["strip muted", []],
    ["strips not rendered", []],
    ["strip images", ["//strip/i_1.png"]],
    ["clip of the scene", []],
    ["clip of the scene, followed", ["//plates/clip.png"]],
    ["clip of a constraint", ["//plates/clip.png"]],
    ["world", ["//w.exr"]],
    ["compositor", ["//comp.png"]],
    ["texture", ["//t.png"]],
    ["text", []],
    ["packed", []],
    ["shot/shot", ["//../lib/deep.blend"]],
    ["nodes", ["//n.osl", "//spot.ies"]],
  ] as [string, string[]][])("of %s that are used: %j", (name, used) => {
    const files = answers.get(name)?.files ?? [];
    expect(
      files
        .filter((file) => file.used)
        .map((file) => file.path)
        .toSorted(),
    ).toEqual(used);
  });

  test.each([
    ["nothing", []],
    ["hair", []],
    ["hair that moves", ["hair"]],
    ["particles", ["particles"]],
    ["particles that are not rendered", []],
    ["rigid bodies", ["rigid body"]],
    ["rigid bodies off", []],
    ["soft body", ["soft body"]],
    ["soft body off", []],
    ["dynamic paint", ["dynamic paint"]],
    ["dynamic paint off", []],
    ["cloth on disk", ["cloth"]],
    ["fluid", ["fluid"]],
  ] as [string, string[]][])("of %s: simulations that are not stored: %j", (name, kinds) => {
    const found = answers.get(name)?.summary.simulations.filter(({ baked }) => !baked);
    expect(found?.map(({ kind }) => kind)).toEqual(kinds);
  });
});
