import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collectInputs, mustBeBlend } from "./inputs.ts";

let folder: string;

function put(name: string, text = name): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tablao-inputs-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const pathsOf = async (blend: string, ...includes: string[]): Promise<string[]> =>
  (await collectInputs(blend, includes)).map((input) => input.path);

test("included folders keep their paths relative to the .blend, which comes first and once", async () => {
  const blend = put("shot/scene.blend");
  put("shot/textures/wood/a.png");
  put("shot/textures/b.png");
  put("shot/other.txt");
  expect(await pathsOf(blend, path.join(folder, "shot/textures"))).toEqual([
    "scene.blend",
    "textures/b.png",
    "textures/wood/a.png",
  ]);
  expect(await pathsOf(blend, path.join(folder, "shot"), path.join(folder, "shot/textures"))).toEqual([
    "scene.blend",
    "other.txt",
    "textures/b.png",
    "textures/wood/a.png",
  ]);
});

test("a folder outside the .blend's is refused, also one whose name begins the same way", async () => {
  const blend = put("shot/scene.blend");
  put("shot-textures/a.png");
  await expect(collectInputs(blend, [path.join(folder, "shot-textures")])).rejects.toThrow(/lies outside/);
  await expect(collectInputs(blend, [folder])).rejects.toThrow(/lies outside/);
});

test("links inside are followed; a link that leaves the folder is refused", async () => {
  const blend = put("shot/scene.blend");
  put("shot/library/wood.png");
  mkdirSync(path.join(folder, "shot/textures"));
  symlinkSync("../library/wood.png", path.join(folder, "shot/textures/w.png"));
  symlinkSync("../library", path.join(folder, "shot/textures/lib"));
  const inputs = await collectInputs(blend, [path.join(folder, "shot/textures")]);
  expect(inputs.map((input) => input.path)).toEqual(["scene.blend", "textures/lib/wood.png", "textures/w.png"]);
  expect(inputs[2]!.file.endsWith("library/wood.png")).toBe(true);

  put("secret.txt");
  symlinkSync("../../secret.txt", path.join(folder, "shot/textures/s.txt"));
  await expect(collectInputs(blend, [path.join(folder, "shot/textures")])).rejects.toThrow(
    /s\.txt is a link to .*outside/,
  );
});

test("circular and dangling links end with a reason", async () => {
  const blend = put("shot/scene.blend");
  mkdirSync(path.join(folder, "shot/textures"));
  symlinkSync(".", path.join(folder, "shot/textures/again"));
  await expect(collectInputs(blend, [path.join(folder, "shot/textures")])).rejects.toThrow(/holds it/);
  rmSync(path.join(folder, "shot/textures/again"));
  symlinkSync("nowhere", path.join(folder, "shot/textures/gone"));
  await expect(collectInputs(blend, [path.join(folder, "shot/textures")])).rejects.toThrow(/there is no file .*gone/);
});

test("names that another system cannot store are refused here, not on a worker", async () => {
  const blend = put("shot/scene.blend");
  put("shot/textures/what?.png");
  await expect(collectInputs(blend, [path.join(folder, "shot/textures")])).rejects.toThrow(
    /what\?\.png cannot be sent/,
  );
});

test("a missing .blend, or a folder in its place, is a clear error", async () => {
  await expect(collectInputs(path.join(folder, "no.blend"), [])).rejects.toThrow(/there is no file .*no\.blend/);
  await expect(collectInputs(folder, [])).rejects.toThrow(/is not a file/);
});

test("a .blend is recognised by its first bytes, compressed or not", async () => {
  for (const start of [
    Buffer.from("BLENDER-v304"),
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0]),
    Buffer.from([0x1f, 0x8b]),
  ]) {
    writeFileSync(path.join(folder, "a.blend"), start);
    await mustBeBlend(path.join(folder, "a.blend"));
  }
  for (const text of ["# Tablao", "", "BLEND"])
    await expect(mustBeBlend(put("b.blend", text))).rejects.toThrow("b.blend is not a .blend");
});
