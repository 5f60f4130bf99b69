import { describe, expect, it } from "vitest";
import { memoryTree } from "../../test/support/memory-tree.ts";
import { layOut } from "./layout.ts";
import { traceBlend, type ReadBlend, type Trace } from "./trace.ts";
import { BlendError, type BlendSummary, type ExternalFile } from "./types.ts";

const SUMMARY: BlendSummary = {
  version: { major: 4, minor: 5 },
  versionText: "4.5",
  scenes: [],
  textBlocks: [],
  drivers: [],
  simulations: [],
  addonNodes: [],
};

let fields = 0;
function names(kind: ExternalFile["kind"], path: string, more: Partial<ExternalFile> = {}): ExternalFile {
  const owner = path.replaceAll("\\", "/").split("/").at(-1)!;
  fields += 2_000;
  return {
    kind,
    owner,
    ownerCode: "IM",
    path,
    used: true,
    fields: [{ offset: fields, capacity: 1_024 }],
    layout: "path",
    ...more,
  };
}

/** A .blend of a memory tree is the name of what it holds. */
function readerOf(blends: Record<string, ExternalFile[]>, gone: readonly string[] = []): ReadBlend {
  return async (source, roots) => {
    const text = new TextDecoder().decode(await source.read(0, source.size));
    const externals = blends[text];
    if (!externals) throw new BlendError("is no .blend");
    const missingData = "linked" in roots ? [...roots.linked].filter((name) => gone.includes(name)) : [];
    return { summary: SUMMARY, externals, missingData };
  };
}

async function trace(
  files: Record<string, string>,
  blends: Record<string, ExternalFile[]>,
  main = "/p/shots/s.blend",
): Promise<Trace> {
  return await traceBlend(main, memoryTree(files), readerOf(blends));
}

const placed = (found: Trace): string[] => layOut(found).files.map(({ path }) => path);
const whys = (found: Trace): string[] => found.missing.map(({ path, why }) => `${path} ${why}`);

describe("P12: everything that a scene needs is found, or named", () => {
  it("a library beside the folder of the scene, and what the library needs from its own place", async () => {
    const found = await trace(
      { "/p/shots/s.blend": "S", "/p/lib/char.blend": "L", "/p/textures/skin.png": "x", "/p/other.blend": "O" },
      {
        S: [names("library", "//../lib/char.blend", { linked: ["GRChar"] })],
        L: [names("image", "//..\\textures\\skin.png")],
      },
    );
    expect(found.missing).toEqual([]);
    expect(placed(found)).toEqual(["shots/s.blend", "lib/char.blend", "textures/skin.png"]);
    expect(layOut(found).files.flatMap(({ patches }) => patches)).toEqual([]);
  });

  it("two libraries that link from each other are read once each, and again when more is linked", async () => {
    const found = await trace(
      { "/p/shots/s.blend": "S", "/p/shots/a.blend": "A", "/p/shots/b.blend": "B" },
      {
        S: [names("library", "//a.blend", { linked: ["OBx"] })],
        A: [names("library", "//b.blend", { linked: ["OBy"] })],
        B: [names("library", "//a.blend", { linked: ["OBz"] })],
      },
    );
    expect(found.missing).toEqual([]);
    expect([...found.libraries.keys()].toSorted()).toEqual(["/p/shots/a.blend", "/p/shots/b.blend"]);
  });

  it("all that is missing at once, of libraries, too", async () => {
    const found = await trace(
      { "/p/shots/s.blend": "S", "/p/shots/l.blend": "L", "/p/shots/bad.blend": "?", "/p/shots/Tex.PNG": "x" },
      {
        S: [
          names("library", "//l.blend"),
          names("library", "//bad.blend"),
          names("library", "//gone.blend"),
          names("image", "//tex.png"),
          names("image", "C:\\Users\\ann\\a.png"),
        ],
        L: [names("font", "//f.ttf")],
      },
    );
    expect(whys(found).toSorted()).toEqual([
      "//bad.blend cannot be read: is no .blend",
      "//f.ttf is not there",
      "//gone.blend is not there",
      "//tex.png is not there; 'Tex.PNG' is, and differs in upper and lower case",
      "C:\\Users\\ann\\a.png is not there",
    ]);
    expect(found.missing.find(({ kind }) => kind === "font")?.blend).toBe("l.blend");
  });

  it("data that a library no longer has", async () => {
    const read = readerOf({ S: [names("library", "//l.blend", { linked: ["OBHero", "OBHat"] })], L: [] }, ["OBHat"]);
    const tree = memoryTree({ "/p/s.blend": "S", "/p/l.blend": "L" });
    expect(whys(await traceBlend("/p/s.blend", tree, read))).toEqual(['//l.blend no longer has "Hat"']);
  });

  it("sequences whole; a hole within the frames is named", async () => {
    const files = Object.fromEntries([1, 2, 4, 9].map((n) => [`/p/shots/seq/i_000${n}.png`, "x"]));
    const found = await trace(
      { "/p/shots/s.blend": "S", ...files },
      { S: [names("sequence", "//seq/i_0001.png", { frames: { first: 1, last: 6 } })] },
    );
    expect(found.files).toHaveLength(5);
    expect(whys(found)).toEqual(["//seq/i_0001.png 3 files are not there (3, 5-6)"]);
  });

  it("tiles of a texture; one that is not there is named", async () => {
    const found = await trace(
      { "/p/shots/s.blend": "S", "/p/shots/t.1001.png": "x", "/p/shots/t.1003.png": "x" },
      { S: [names("udim", "//t.<UDIM>.png", { tiles: [1001, 1002, 1003] })] },
    );
    expect(found.files.map(({ path }) => path)).toEqual([
      "/p/shots/s.blend",
      "/p/shots/t.1001.png",
      "/p/shots/t.1003.png",
    ]);
    expect(whys(found)).toEqual(["//t.<UDIM>.png tile 1002 not there"]);
  });

  it("all pictures of a strip, and the folder of a cache", async () => {
    const found = await trace(
      {
        "/p/shots/s.blend": "S",
        "/p/shots/seq/a.png": "x",
        "/p/shots/seq/c.png": "x",
        "/p/shots/blendcache_s/436C_0001.bphys": "x",
        "/p/shots/blendcache_s/9999_0001.bphys": "x",
      },
      {
        S: [
          names("strip images", "//seq/a.png", { names: ["a.png", "b.png", "c.png"], layout: "folder and name" }),
          names("cache folder", "//blendcache_s", { prefixes: ["436C_"] }),
          names("cache folder", "//blendcache_<BLEND>", { prefixes: ["9999_"] }),
          names("cache folder", "//fluid", {}),
          names("cache folder", "//own", { optional: true }),
        ],
      },
    );
    expect(found.files.map(({ path }) => path).slice(1)).toEqual([
      "/p/shots/seq/a.png",
      "/p/shots/seq/c.png",
      "/p/shots/blendcache_s/436C_0001.bphys",
      "/p/shots/blendcache_s/9999_0001.bphys",
    ]);
    expect(layOut(found).files.flatMap(({ patches }) => patches)).toEqual([]);
    expect(whys(found)).toEqual(["//seq/a.png 'b.png' is not there", "//fluid is an empty folder, or not there"]);
  });

  it("a pointer of Git LFS, an empty file and a folder are not the file", async () => {
    const found = await trace(
      {
        "/p/shots/s.blend": "S",
        "/p/shots/lfs.png": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "/p/shots/empty.png": "",
        "/p/shots/folder.png/x": "x",
      },
      { S: [names("image", "//lfs.png"), names("image", "//empty.png"), names("image", "//folder.png")] },
    );
    expect(whys(found)).toEqual([
      "//lfs.png is a pointer of Git LFS, not the file itself: 'git lfs pull' fetches it",
      "//empty.png is empty",
      "//folder.png is a folder, not a file",
    ]);
    expect(found.files).toHaveLength(1);
  });

  it("what no picture depends on is not sent, and is no fault; with scripts it may be needed", async () => {
    const files = { "/p/s.blend": "S", "/p/ref.jpg": "xx" };
    const read = readerOf({
      S: [names("image", "//ref.jpg", { used: false }), names("image", "//gone.jpg", { used: false })],
    });
    const found = await traceBlend("/p/s.blend", memoryTree(files), read);
    expect([found.files.length, found.missing, found.unused.map(({ bytes }) => bytes)]).toEqual([1, [], [2]]);
    const all = await traceBlend("/p/s.blend", memoryTree(files), read, { takesAll: true });
    expect([all.files.length, whys(all), all.unused]).toEqual([2, ["//gone.jpg is not there"], []]);
  });

  it("P9: a scene cannot send a file of a hidden folder, not through a link either", async () => {
    const files = {
      "/home/ann/.work/s.blend": "S",
      "/home/ann/.ssh/id": "k",
      "/home/ann/.work/a": "x",
      "/home/ann/.work/b": "x",
    };
    const links = { "/home/ann/.work/a": "/home/ann/.aws/credentials" };
    const read = readerOf({ S: [names("image", "//../.ssh/id"), names("image", "//a"), names("image", "//b")] });
    const found = await traceBlend("/home/ann/.work/s.blend", memoryTree(files, { links }), read);
    expect(whys(found)).toEqual([
      "//../.ssh/id lies in a hidden folder: only --include sends it",
      "//a lies in a hidden folder: only --include sends it",
    ]);
    expect(found.files.map(({ path }) => path)).toEqual(["/home/ann/.work/s.blend", "/home/ann/.work/b"]);
    const allowed = new Set(["/home/ann/.ssh/id"]);
    const named = await traceBlend("/home/ann/.work/s.blend", memoryTree(files, { links }), read, { allowed });
    expect(named.missing.map(({ path }) => path)).toEqual(["//a"]);
  });

  it("a missing sound is no fault of a frame, nor is an OSL script where scripts are off", async () => {
    const read = readerOf({ S: [names("sound", "//a.wav", { silent: true }), names("osl", "//paint.osl")] });
    const tree = memoryTree({ "/p/s.blend": "S" });
    expect(whys(await traceBlend("/p/s.blend", tree, read))).toEqual([]);
    expect(whys(await traceBlend("/p/s.blend", tree, read, { takesAll: true }))).toEqual(["//paint.osl is not there"]);
  });

  it("a scene that is none, or not there, says so", async () => {
    await expect(trace({ "/p/shots/s.blend": "?" }, {})).rejects.toThrow("is no .blend");
    await expect(trace({}, {})).rejects.toThrow("there is no file /p/shots/s.blend");
  });
});

describe("P12: any layout arrives so that the scene finds it", () => {
  it("absolute paths become relative ones in a copy, for each file of the set", async () => {
    const found = await trace(
      { "/home/ann/s.blend": "S", "/mnt/nas/tex/t.1001.png": "x", "/mnt/nas/lib.blend": "L", "/mnt/nas/l.png": "x" },
      {
        S: [
          names("udim", "/mnt/nas/tex/t.<UDIM>.png"),
          names("library", "/mnt/nas/lib.blend", { fields: [{ offset: 7, capacity: 1_024 }] }),
        ],
        L: [names("image", "/mnt/nas/l.png")],
      },
      "/home/ann/s.blend",
    );
    const { files, wrong } = layOut(found);
    expect(wrong).toEqual([]);
    expect(files.map(({ path }) => path)).toEqual([
      "home/ann/s.blend",
      "mnt/nas/tex/t.1001.png",
      "mnt/nas/lib.blend",
      "mnt/nas/l.png",
    ]);
    expect(files.map(({ patches }) => patches.map(({ text }) => text))).toEqual([
      ["//../../mnt/nas/lib.blend", "//../../mnt/nas/tex/t.<UDIM>.png"],
      [],
      ["//l.png"],
      [],
    ]);
  });

  it("several drives and shares lie beside each other", async () => {
    const read = readerOf({ S: [names("image", "D:\\tex\\a.png"), names("image", "\\\\nas\\art\\b.png")] });
    const tree = memoryTree({ "C:/p/s.blend": "S", "D:/tex/a.png": "x", "//nas/art/b.png": "x" });
    const { files, wrong } = layOut(await traceBlend("C:/p/s.blend", tree, read));
    expect(wrong).toEqual([]);
    expect(files.map(({ path }) => path)).toEqual(["C/p/s.blend", "D/tex/a.png", "nas/art/b.png"]);
    expect(files[0]!.patches.map(({ text }) => text)).toEqual(["//../../D/tex/a.png", "//../../nas/art/b.png"]);
  });

  it("a path in another case than the disk's is rewritten", async () => {
    const read = readerOf({ S: [names("image", "//TEX\\A.png"), names("image", "//Tex\\a.PNG")] });
    const tree = memoryTree({ "C:/p/s.blend": "S", "C:/p/tex/a.png": "x" }, { ignoresCase: true });
    const { files, wrong } = layOut(await traceBlend("C:/p/s.blend", tree, read));
    expect(wrong).toEqual([]);
    expect(files.map(({ path }) => path)).toEqual(["s.blend", "tex/a.png"]);
    expect(files[0]!.patches.map(({ text }) => text)).toEqual(["//tex/a.png", "//tex/a.png"]);
  });

  it("the folder of a strip is rewritten, its names stay", async () => {
    const strip = names("strip images", "/mnt/seq/a.png", { layout: "folder and name", names: ["a.png", "b.png"] });
    const found = await trace(
      { "/p/shots/s.blend": "S", "/mnt/seq/a.png": "x", "/mnt/seq/b.png": "x" },
      { S: [strip] },
    );
    expect(layOut(found).files[0]!.patches.map(({ text }) => text)).toEqual(["//../../mnt/seq/"]);
  });

  it("files that go along keep their places, too", async () => {
    const found = await trace({ "/p/shots/s.blend": "S" }, { S: [] });
    expect(layOut(found, ["/p/cache/x.vdb", "/p/shots/s.blend"]).files.map(({ path }) => path)).toEqual([
      "shots/s.blend",
      "cache/x.vdb",
    ]);
  });

  it("what no path can do is named with the cure", async () => {
    const long = `/mnt/${"d".repeat(60)}/a.png`;
    const found = await trace(
      { "/p/s.blend": "S", [long]: "x", "/p/con.png": "x", "/p/A.png": "x", "/p/a.png": "x", "/p/n.png": "x" },
      {
        S: [
          names("image", long, { fields: [{ offset: 5, capacity: 64 }] }),
          names("image", "//con.png"),
          names("image", "//A.png"),
          names("image", "//a.png"),
          names("import", "/p/n.png", { fields: [] }),
        ],
      },
      "/p/s.blend",
    );
    expect(layOut(found).wrong).toEqual([
      expect.stringContaining("has 75 bytes, and Blender keeps 63. Move the file nearer to the scene."),
      expect.stringContaining("import \"n.png\" is stored as '/p/n.png', which no worker can find. In Blender, File"),
      expect.stringContaining("must not use the reserved name 'con.png'. Rename it, here and in the scene."),
      expect.stringContaining("are one file on Windows and macOS. Rename one of them"),
    ]);
  });
});
