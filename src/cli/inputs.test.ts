import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collectInputs, mustBeBlend, skippedText } from "./inputs.ts";

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
  (await collectInputs(blend, includes)).inputs.map((input) => input.path);
const skippedOf = async (blend: string, ...includes: string[]): Promise<string[]> =>
  (await collectInputs(blend, includes)).skipped;

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

test("links inside are followed; what a link outside leads to is left out and told", async () => {
  const blend = put("shot/scene.blend");
  put("shot/library/wood.png");
  mkdirSync(path.join(folder, "shot/textures"));
  symlinkSync("../library/wood.png", path.join(folder, "shot/textures/w.png"));
  symlinkSync("../library", path.join(folder, "shot/textures/lib"));
  const { inputs, skipped } = await collectInputs(blend, [path.join(folder, "shot/textures")]);
  expect(skipped).toEqual([]);
  expect(inputs.map((input) => input.path)).toEqual(["scene.blend", "textures/lib/wood.png", "textures/w.png"]);
  expect(inputs[2]!.file.endsWith("library/wood.png")).toBe(true);

  put("secret.txt");
  symlinkSync("../../secret.txt", path.join(folder, "shot/textures/s.txt"));
  expect(await pathsOf(blend, path.join(folder, "shot/textures"))).toHaveLength(3);
  expect(await skippedOf(blend, path.join(folder, "shot/textures"))).toEqual([
    expect.stringMatching(/s\.txt is a link to .*outside/),
  ]);
});

test.runIf(process.platform !== "win32")("one odd file of a folder does not stop the other ones", async () => {
  const blend = put("shot/scene.blend");
  const textures = path.join(folder, "shot/textures");
  for (const name of ["a.png", "deep/b.png", "z.png", "what?.png", "Icon\r", "con.png"]) put(`shot/textures/${name}`);
  symlinkSync(".", path.join(textures, "again"));
  symlinkSync("nowhere", path.join(textures, "gone"));
  execFileSync("mkfifo", [path.join(textures, "pipe")]);
  const server = createServer().listen(path.join(textures, "socket"));
  await once(server, "listening");
  writeFileSync(Buffer.concat([Buffer.from(`${textures}/latin-`), Buffer.from([0xe9]), Buffer.from(".png")]), "x");
  const long = Array.from({ length: 12 }, () => "d".repeat(50)).join("/");
  put(`shot/textures/${long}/f.png`);
  const { inputs, skipped } = await collectInputs(blend, [textures]);
  server.close();
  expect(inputs.map((input) => input.path)).toEqual([
    "scene.blend",
    "textures/a.png",
    "textures/deep/b.png",
    "textures/z.png",
  ]);
  expect(skipped.toSorted()).toEqual(
    [
      /Icon\s.*must not contain control characters/,
      /again is a link to a folder that holds it/,
      /con\.png cannot be sent: its path must not use the reserved name/,
      /d\/f\.png cannot be sent: its path must not be longer than 512 characters/,
      /there is no file .*gone/,
      /there is no file .*latin-/,
      /pipe is neither a file nor a folder/,
      /socket is neither a file nor a folder/,
      /what\?\.png cannot be sent/,
    ]
      .map((why) => skipped.find((line) => why.test(line)) ?? String(why))
      .toSorted(),
  );
});

test.runIf(process.platform !== "win32")("files that nobody can read are left out, too", async () => {
  const blend = put("shot/scene.blend");
  put("shot/textures/a.png");
  chmodSync(put("shot/textures/secret.png"), 0);
  mkdirSync(path.join(folder, "shot/textures/closed"), { mode: 0 });
  // Root reads everything: as another account, it cannot.
  const isRoot = process.getuid?.() === 0;
  chmodSync(folder, 0o755);
  if (isRoot) process.seteuid!(65_534);
  const collected = collectInputs(blend, [path.join(folder, "shot/textures")]);
  const { inputs, skipped } = await collected.finally(() => isRoot && process.seteuid!(0));
  expect(inputs).toHaveLength(2);
  expect(skipped.toSorted()).toEqual([
    expect.stringMatching(/closed cannot be read/),
    expect.stringMatching(/secret\.png cannot be read/),
  ]);
});

test("what is named itself is an error: a link that leads nowhere or outside, a pipe, a bad name", async () => {
  const blend = put("shot/scene.blend");
  put("secret.txt");
  const named: [string, RegExp][] = [
    ["gone", /there is no file .*gone/],
    ["out", /out is a link to .*outside/],
    ["what?.png", /what\?\.png cannot be sent/],
  ];
  symlinkSync("nowhere", path.join(folder, "shot/gone"));
  symlinkSync("../secret.txt", path.join(folder, "shot/out"));
  put("shot/what?.png");
  for (const [name, why] of named)
    await expect(collectInputs(blend, [path.join(folder, "shot", name)])).rejects.toThrow(why);
});

test("of many that are left out, ten are named, and all are counted", () => {
  expect(skippedText([])).toEqual([]);
  expect(skippedText(["x is a pipe"])).toEqual([
    "left out: x is a pipe",
    "1 file of the included folders is not sent; a scene that needs it fails, and says so",
  ]);
  const lines = skippedText(Array.from({ length: 3_000 }, (_, n) => `f${n} is a pipe`));
  expect(lines).toHaveLength(12);
  expect(lines.slice(-2)).toEqual([
    "left out: and 2990 more",
    "3000 files of the included folders are not sent; a scene that needs them fails, and says so",
  ]);
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
