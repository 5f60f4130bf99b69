import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collectIncluded, skippedText } from "./inputs.ts";

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

const within = (file: string): string => path.relative(folder, file).split(path.sep).join("/");
const filesOf = async (blend: string, ...includes: string[]): Promise<string[]> =>
  (await collectIncluded(blend, includes)).files.map(within);
const skippedOf = async (blend: string, ...includes: string[]): Promise<string[]> =>
  (await collectIncluded(blend, includes)).skipped;

test("files and folders, wherever they lie, each file once", async () => {
  const blend = put("shot/scene.blend");
  put("shot/textures/wood/a.png");
  put("shot/textures/b.png");
  put("caches/c.vdb");
  const [textures, cache] = [path.join(folder, "shot/textures"), path.join(folder, "caches/c.vdb")];
  expect(await filesOf(blend, textures, cache, textures)).toEqual([
    "shot/textures/b.png",
    "shot/textures/wood/a.png",
    "caches/c.vdb",
  ]);
});

test("what systems and Blender's backups leave in folders stays here", async () => {
  const blend = put("shot/scene.blend");
  for (const name of ["a.png", ".DS_Store", "Thumbs.db", "old.blend1", ".git/HEAD"]) put(`shot/textures/${name}`);
  expect(await filesOf(blend, path.join(folder, "shot/textures"))).toEqual(["shot/textures/a.png"]);
});

test("links inside are followed, as is one that was named; what another link outside leads to is told", async () => {
  const blend = put("shot/scene.blend");
  put("shot/library/wood.png");
  put("share/oak.png");
  mkdirSync(path.join(folder, "shot/textures"));
  symlinkSync("../library/wood.png", path.join(folder, "shot/textures/w.png"));
  symlinkSync("../library", path.join(folder, "shot/textures/lib"));
  symlinkSync("../share", path.join(folder, "shot/share"));
  const textures = path.join(folder, "shot/textures");
  expect(await skippedOf(blend, textures)).toEqual([]);
  expect(await filesOf(blend, textures)).toEqual(["shot/textures/lib/wood.png", "shot/textures/w.png"]);
  expect(await filesOf(blend, path.join(folder, "shot/share"))).toEqual(["shot/share/oak.png"]);

  put("secret.txt");
  symlinkSync("../../secret.txt", path.join(folder, "shot/textures/s.txt"));
  expect(await filesOf(blend, textures)).toHaveLength(2);
  expect(await skippedOf(blend, textures)).toEqual([expect.stringMatching(/s\.txt is a link to .*outside/)]);
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
  const { files, skipped } = await collectIncluded(blend, [textures]);
  server.close();
  expect(files.map(within)).toEqual(["shot/textures/a.png", "shot/textures/deep/b.png", "shot/textures/z.png"]);
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
  const collected = collectIncluded(blend, [path.join(folder, "shot/textures")]);
  const { files, skipped } = await collected.finally(() => isRoot && process.seteuid!(0));
  expect(files).toHaveLength(1);
  expect(skipped.toSorted()).toEqual([
    expect.stringMatching(/closed cannot be read/),
    expect.stringMatching(/secret\.png cannot be read/),
  ]);
});

test("what is named itself is an error: a link that leads nowhere, a pipe, a bad name", async () => {
  const blend = put("shot/scene.blend");
  const named: [string, RegExp][] = [
    ["gone", /there is no file .*gone/],
    ["pipe", /pipe is neither a file nor a folder/],
    ["what?.png", /what\?\.png cannot be sent/],
  ];
  symlinkSync("nowhere", path.join(folder, "shot/gone"));
  execFileSync("mkfifo", [path.join(folder, "shot/pipe")]);
  put("shot/what?.png");
  for (const [name, why] of named)
    await expect(collectIncluded(blend, [path.join(folder, "shot", name)])).rejects.toThrow(why);
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
