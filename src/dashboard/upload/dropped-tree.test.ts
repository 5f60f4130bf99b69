import { expect, it } from "vitest";
import { DroppedTree } from "./dropped-tree.ts";

const tree = (...paths: string[]): DroppedTree =>
  new DroppedTree(paths.map((path) => ({ path, file: new File([path], path.split("/").at(-1)!) })));
const found = async (one: DroppedTree, path: string): Promise<string | undefined> => (await one.entry(path))?.path;

it("files and folders of a dropped folder, with their bytes", async () => {
  const one = tree("proj/shots/s.blend", "proj/tex/a.png", "proj/tex/b.png");
  expect(await one.entry("/proj/tex/a.png")).toEqual({
    path: "/proj/tex/a.png",
    target: "/proj/tex/a.png",
    isFolder: false,
    size: 14,
  });
  expect(await one.entry("/proj/tex")).toMatchObject({ isFolder: true });
  expect(await one.names("/proj/tex")).toEqual(["a.png", "b.png"]);
  expect(await one.names("/proj")).toEqual(["shots", "tex"]);
  expect(await one.names("/nowhere")).toEqual([]);
  const bytes = await one.withFile("/proj/tex/a.png", async (source) => await source.read(5, 3));
  expect(new TextDecoder().decode(bytes)).toBe("tex");
});

it("P12: an absolute path is found by its end, when only one file ends so", async () => {
  const one = tree("proj/s.blend", "proj/tex/a.png", "proj/old/a.png", "proj/old/b.png", "proj/x/tex/c.png");
  expect(await found(one, "/home/ann/proj/tex/a.png")).toBe("/proj/tex/a.png");
  expect(await found(one, "C:/work/tex/a.png")).toBe("/proj/tex/a.png");
  expect(await found(one, "C:/work/x/tex")).toBe("/proj/x/tex");
  // Two folders end so.
  expect(await found(one, "C:/work/z/tex")).toBeUndefined();
  // Another folder's file of this name may be another picture.
  expect(await found(one, "C:/work/b.png")).toBeUndefined();
  expect(await found(one, "/textures/b.png")).toBeUndefined();
});

it("below a dropped folder nothing is looked for elsewhere", async () => {
  const one = tree("proj/s.blend", "proj/deep/tex/a.png");
  expect(await found(one, "/proj/tex/a.png")).toBeUndefined();
});

it("a file that was dropped by itself is found by its name", async () => {
  const one = tree("s.blend", "a.png", "tex/b.png");
  expect(await found(one, "C:/anywhere/a.png")).toBe("/a.png");
  expect(await found(one, "C:/anywhere/b.png")).toBeUndefined();
});
