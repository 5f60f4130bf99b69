import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildFolder, packed, saysVersion } from "../../test/support/blender-archive.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { checkTree, decompressed, findExecutable, unpack, unpackSteps, UNPACK_LIMITS } from "./unpack.ts";

let folder: ReturnType<typeof temporaryFolder>;
const signal = new AbortController().signal;
const at = (...names: string[]): string => path.join(folder.path, ...names);
beforeEach(() => {
  folder = temporaryFolder("unpack");
});
afterEach(() => folder.remove());

const into = async (archive: string, ending: ".tar.xz" | ".tar.gz" | ".tar.zst", limits = UNPACK_LIMITS) =>
  await unpack(archive, ending, at("out"), { platform: "linux", signal, limits });

describe("unpacking", () => {
  test.each([".tar.xz", ".tar.gz", ".tar.zst"] as const)(
    "%s comes out as it went in, and Blender is found",
    async (ending) => {
      const build = buildFolder(at("blender-4.5.3-linux-x64"), saysVersion("4.5.3"), { "4.5/scripts/a.py": "pass\n" });
      symlinkSync("libA.so.1", path.join(build, "libA.so"));
      writeFileSync(path.join(build, "libA.so.1"), "library");
      const { file } = packed(build, at("archives"), `build${ending}`);
      const { files, bytes } = await into(file, ending);
      expect(files).toBe(8);
      expect(bytes).toBeGreaterThan(20);
      const executable = await findExecutable(at("out"), "linux");
      expect(executable).toBe(path.join("blender-4.5.3-linux-x64", "blender"));
      expect(statSync(at("out", executable)).mode & 0o111).not.toBe(0);
      expect(readFileSync(at("out", "blender-4.5.3-linux-x64", "libA.so"), "utf8")).toBe("library");
    },
  );

  test("a machine without the program xz decompresses the same bytes", async () => {
    const noise = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i * 7) % 251));
    const { file } = packed(buildFolder(at("build"), saysVersion("4.5.3"), { noise }), at("archives"), "build.tar.xz");
    const [bySystem, own] = await Promise.all(
      (["system", "own"] as const).map(async (xz) => await buffer(await decompressed(file, ".tar.xz", signal, xz))),
    );
    expect(own!.length).toBeGreaterThan(noise.length);
    expect(own!.equals(bySystem!)).toBe(true);
  });

  test.each([".tar.xz", ".tar.gz", ".tar.zst"] as const)("a %s that broke off is refused", async (ending) => {
    const noise = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i * i) % 241));
    const { file, bytes } = packed(buildFolder(at("build"), saysVersion("1")), at("archives"), `build${ending}`);
    writeFileSync(file, Buffer.concat([bytes.subarray(0, Math.floor(bytes.length / 2))]));
    await expect(into(file, ending)).rejects.toThrow(/decompressed|ended with|xz|zstd/);
    rmSync(at("out"), { recursive: true });
    writeFileSync(file, noise);
    await expect(into(file, ending)).rejects.toThrow(/decompressed|ended with/);
  });

  test("P10: one that unpacks to more than the bound is cut off while it comes", async () => {
    const zeros = new Uint8Array(30_000_000);
    const { file, bytes } = packed(
      buildFolder(at("build"), saysVersion("1"), { zeros }),
      at("archives"),
      "build.tar.gz",
    );
    expect(bytes.length).toBeLessThan(100_000);
    await expect(into(file, ".tar.gz", { files: 100, bytes: 5_000_000 })).rejects.toThrow("unpacks to more than");
    expect(execFileSync("du", ["-sk", at("out")]).toString()).toMatch(/^\d{1,4}\t/);
    rmSync(at("out"), { recursive: true });
    await expect(into(file, ".tar.gz", { files: 2, bytes: 50_000_000 })).rejects.toThrow("more than 2 files");
  });

  test("P10: names that lead out of the folder write nothing outside", async () => {
    // Made by hand: tar itself would not pack such names.
    const entry = (name: string, type = "0", link = ""): Buffer => {
      const head = Buffer.alloc(512);
      const body = Buffer.alloc(512);
      head.write(name, 0);
      const size = type === "0" ? "00000000004" : "00000000000";
      head.write(["0000644", "0000000", "0000000", size, "00000000000", ""].join("\0"), 100);
      head.write("        ", 148);
      head.write(type, 156);
      head.write(link, 157);
      head.write(["ustar", "00"].join("\0"), 257);
      const sum = head.reduce((all, byte) => all + byte, 0);
      head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
      body.write("evil");
      return type === "0" ? Buffer.concat([head, body]) : head;
    };
    const outside = at("outside");
    mkdirSync(outside);
    for (const entries of [
      [entry("../escaped")],
      [entry("a/../../escaped")],
      [entry("link", "2", outside), entry("link/escaped")],
      [entry("link", "2", "../outside"), entry("link/escaped")],
      [entry("hard", "1", "../secret")],
    ]) {
      writeFileSync(at("secret"), "secret");
      const tar = Buffer.concat([...entries, Buffer.alloc(1_024)]);
      writeFileSync(at("evil.tar"), tar);
      execFileSync("gzip", ["-kf", at("evil.tar")]);
      rmSync(at("out"), { recursive: true, force: true });
      await expect(into(at("evil.tar.gz"), ".tar.gz")).rejects.toThrow();
      expect([existsSync(at("escaped")), existsSync(path.join(outside, "escaped"))]).toEqual([false, false]);
    }
    // An absolute name stays in the folder.
    writeFileSync(at("evil.tar"), Buffer.concat([entry(at("absolute")), Buffer.alloc(1_024)]));
    execFileSync("gzip", ["-kf", at("evil.tar")]);
    rmSync(at("out"), { recursive: true, force: true });
    await into(at("evil.tar.gz"), ".tar.gz").catch(() => undefined);
    expect(existsSync(at("absolute"))).toBe(false);
  });
});

describe("P10: what an unpacked build must not hold", () => {
  const check = async (): Promise<unknown> => await checkTree(at("tree"), UNPACK_LIMITS);
  beforeEach(() => mkdirSync(at("tree", "deep", "er"), { recursive: true }));

  test.each([
    ["an absolute link", () => symlinkSync("/etc/passwd", at("tree", "l")), "which is not in it"],
    ["a link out of it", () => symlinkSync("../../..", at("tree", "deep", "l")), "which is not in it"],
    ["a link to nothing", () => symlinkSync("nothing", at("tree", "l")), "which is not there"],
    [
      "a link that other links take out of it",
      () => {
        symlinkSync("../..", at("tree", "deep", "er", "up"));
        symlinkSync("deep/er/up/../..", at("tree", "l"));
      },
      "which is not in it",
    ],
    ["a pipe", () => execFileSync("mkfifo", [at("tree", "p")]), "is a device, a pipe or a socket"],
    [
      "a file that runs as another user",
      () => {
        writeFileSync(at("tree", "s"), "");
        chmodSync(at("tree", "s"), 0o4755);
      },
      "setuid",
    ],
    [
      "another name of a file outside",
      () => {
        writeFileSync(at("mine"), "");
        linkSync(at("mine"), at("tree", "h"));
      },
      "another name of a file outside of it",
    ],
  ])("%s", async (_, make, why) => {
    await check();
    make();
    await expect(check()).rejects.toThrow(why);
  });

  test("links and second names inside are fine, and count once", async () => {
    writeFileSync(at("tree", "a"), "12345");
    linkSync(at("tree", "a"), at("tree", "deep", "b"));
    symlinkSync("../a", at("tree", "deep", "c"));
    expect(await check()).toEqual({ files: 5, bytes: 5 });
  });

  test("no Blender, or two, is none", async () => {
    await expect(findExecutable(at("tree"), "linux")).rejects.toThrow("there is no blender in it");
    for (const name of ["a", "b"]) buildFolder(at("tree", name), saysVersion("1"));
    await expect(findExecutable(at("tree"), "linux")).rejects.toThrow("there are 2 of blender in it");
    await expect(findExecutable(at("tree"), "windows")).rejects.toThrow("blender.exe");
  });
});

test("archives of other systems are unpacked by what those have (never run there)", () => {
  const env = { SystemRoot: "D:\\Win" };
  expect(unpackSteps("C:\\a b.zip", "C:\\out", ".zip", "windows", env)).toEqual({
    steps: [{ program: "D:\\Win\\System32\\tar.exe", args: ["-x", "-f", "C:\\a b.zip", "-C", "C:\\out"] }],
    finally: [],
  });
  expect(unpackSteps("/a.dmg", "/out", ".dmg", "darwin", {})).toEqual({
    steps: [
      {
        program: "hdiutil",
        args: ["attach", "-nobrowse", "-readonly", "-noautoopen", "-mountpoint", "/out.image", "/a.dmg"],
      },
      { program: "ditto", args: ["/out.image/Blender.app", "/out/Blender.app"] },
    ],
    finally: [{ program: "hdiutil", args: ["detach", "/out.image", "-force"] }],
  });
});
