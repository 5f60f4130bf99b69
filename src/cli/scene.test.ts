import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { testScene } from "../../test/support/test-scene.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { addSubmit } from "./commands/submit.ts";
import { withScene, type SceneFlags, type SceneToSend } from "./scene.ts";
import { allowedLines, dryRunLines, dryRunValue, missingError, sceneLines } from "./scene-text.ts";

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder("scene");
});
afterEach(() => folder.remove());

function put(name: string, content: string | Buffer = name): string {
  const file = path.join(folder.path, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

const FLAGS: SceneFlags = { include: [], exclude: [], autoexec: false };

/** The scene, and the content of what would be sent, by the path on the worker. */
async function found(
  blend: string,
  flags: Partial<SceneFlags> = {},
): Promise<SceneToSend & { sent: Map<string, Buffer> }> {
  return await withScene(blend, { ...FLAGS, ...flags }, async (scene) => {
    const sent = new Map(scene.files.map((file) => [file.path, readFileSync(file.file)]));
    for (const { path: place, size } of scene.files) expect(sent.get(place)).toHaveLength(size);
    return { ...scene, sent };
  });
}

const copies = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("scene-copies-"));

describe("P12: a scene of any layout is sent with all that it needs", () => {
  test("files beside and above it, as they are", async () => {
    const blend = put("shots/s.blend", testScene({ images: ["//a.png", "//../tex/b.png", "//..\\tex\\c.png"] }));
    for (const name of ["shots/a.png", "tex/b.png", "tex/c.png", "shots/other.blend", "shots/s.blend1"]) put(name);
    const { sent, missing } = await found(blend);
    expect(missing).toEqual([]);
    expect([...sent.keys()]).toEqual(["shots/s.blend", "shots/a.png", "tex/b.png", "tex/c.png"]);
    expect(sent.get("shots/s.blend")!.equals(readFileSync(blend))).toBe(true);
    expect(sent.get("tex/b.png")!.toString()).toBe("tex/b.png");
  });

  test("absolute paths: a copy with relative ones, which is gone afterwards; the file stays as it is", async () => {
    const texture = put("share/tex/a.png");
    const blend = put("work/s.blend", testScene({ images: [texture] }));
    const before = readFileSync(blend);
    const { sent, files } = await found(blend);
    expect([...sent.keys()]).toEqual(["work/s.blend", "share/tex/a.png"]);
    expect(readFileSync(blend).equals(before)).toBe(true);
    const copy = sent.get("work/s.blend")!;
    expect(copy).toHaveLength(before.length);
    expect(copy.includes("//../share/tex/a.png\0")).toBe(true);
    expect(copy.includes(texture)).toBe(false);
    expect(existsSync(files[0]!.file)).toBe(false);
  });

  test("through a link to a share, also one that leads to the scene itself", async () => {
    put("share/a.png");
    const blend = put("work/s.blend", testScene({ images: ["//tex/a.png"] }));
    symlinkSync("../share", path.join(folder.path, "work/tex"));
    expect([...(await found(blend)).sent.keys()]).toEqual(["s.blend", "tex/a.png"]);
    // The neighbours of a link count, not those of its target.
    put("other/tex/a.png", "other");
    symlinkSync("../work/s.blend", path.join(folder.path, "other/s.blend"));
    const linked = await found(path.join(folder.path, "other/s.blend"));
    expect(linked.sent.get("tex/a.png")!.toString()).toBe("other");
  });

  test("what is included goes along, what is excluded does not", async () => {
    const blend = put("s.blend", testScene({ images: ["//tex/a.png", "//tex/b.psd"] }));
    for (const name of ["tex/a.png", "tex/b.psd", "cache/x.vdb", "cache/notes.txt"]) put(name);
    const include = [path.join(folder.path, "cache")];
    const scene = await found(blend, { include, exclude: ["*.psd", "cache/notes*"] });
    expect([...scene.sent.keys()]).toEqual(["s.blend", "tex/a.png", "cache/x.vdb"]);
    expect(scene.excluded).toEqual(["tex/b.psd", "cache/notes.txt"]);
    // The scene itself cannot be left out.
    expect([...(await found(blend, { exclude: ["*"] })).sent.keys()]).toEqual(["s.blend"]);
  });

  test("P9: a file of a hidden folder is sent only when a person names it", async () => {
    const blend = put("s.blend", testScene({ images: ["//.secret/key"] }));
    const key = put(".secret/key");
    const scene = await found(blend);
    expect([...scene.sent.keys()]).toEqual(["s.blend"]);
    expect(missingError(scene, [])?.message).toContain("lies in a hidden folder");
    const named = await found(blend, { include: [key] });
    expect([[...named.sent.keys()], named.missing]).toEqual([["s.blend", ".secret/key"], []]);
  });

  test("what is no scene, and what cannot be placed, is one clear error, and no copy stays", async () => {
    const before = copies();
    await expect(found(path.join(folder.path, "no.blend"))).rejects.toThrow("there is no file");
    await expect(found(put("text.blend", "hello"))).rejects.toThrow("not a .blend file");
    const absolute = put("tex/a.png");
    const blend = put("s.blend", testScene({ images: [absolute, "//tex/A.png"] }));
    put("tex/A.png");
    await expect(found(blend)).rejects.toThrow("are one file on Windows and macOS");
    expect(copies()).toEqual(before);
  });
});

test("P12: the scene that the settings as JSON name is looked for in the file, too", async () => {
  const blend = put("s.blend", testScene());
  const submit = async (settings: object): Promise<unknown> => {
    const program = new Command("tablao").option("--manager <url>").option("--token <token>").option("--json");
    addSubmit(program);
    const args = ["submit", blend, "--settings", JSON.stringify(settings)];
    return await program.parseAsync(["--manager", "http://127.0.0.1:9", "--token", "t", ...args], { from: "user" });
  };
  await expect(submit({ scene: "Other" })).rejects.toThrow('has no scene "Other"');
});

describe("what a person is told", () => {
  test("the scene, its files, and all that is missing, as text and as JSON", async () => {
    const blend = put("s.blend", testScene({ start: 3, end: 9, images: ["//a.png", "//no.png", "//none.png"] }));
    put("a.png");
    const scene = await found(blend);
    expect(sceneLines(blend, scene)).toEqual([
      's.blend: Blender 4.5, scene "Scene", frames 3-9, 64×36, CYCLES, PNG',
      expect.stringMatching(/^2 files, \d\.\d kB:$/),
      expect.stringMatching(/^ +\d\.\d kB {2}s\.blend \(scene\)$/),
      "       5 B  a.png (image)",
    ]);
    expect(dryRunLines(blend, scene).slice(-3)).toEqual([
      'problem: image "no.png" of s.blend: //no.png is not there',
      'problem: image "none.png" of s.blend: //none.png is not there',
      "nothing was sent, and submit would refuse it",
    ]);
    expect(dryRunValue(scene)).toMatchObject({
      blender: "4.5",
      frames: "3-9",
      fps: 24,
      files: [
        { path: "s.blend", kind: "scene" },
        { path: "a.png", bytes: 5, kind: "image" },
      ],
      missing: [{ owner: "no.png" }, { owner: "none.png", why: "is not there" }],
      problems: [],
    });
    const error = missingError(scene, [])!;
    expect(error.message.split("\n")).toHaveLength(3);
    expect(missingError(scene, true)).toBeUndefined();
    expect(missingError(scene, ["no.*", "x/none.png"])?.message).toBe(
      'the scene needs 1 file that cannot be sent:\n  image "none.png" of s.blend: //none.png is not there',
    );
    expect(missingError(scene, ["no*"])).toBeUndefined();
    expect(allowedLines(scene)).toHaveLength(2);
  });

  test("of many files, the largest", async () => {
    const blend = put("s.blend", testScene());
    for (let i = 0; i < 20; i++) put(`cache/${String(i).padStart(2, "0")}.bin`, "x".repeat(10_000 + i));
    const lines = sceneLines(blend, await found(blend, { include: [path.join(folder.path, "cache")] }));
    expect(lines).toHaveLength(2 + 8 + 1);
    expect(lines[2]).toContain("cache/19.bin");
    expect(lines.at(-1)).toMatch(/13 other files \(--dry-run lists all\)$/);
  });
});
