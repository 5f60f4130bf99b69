import { expect, it } from "vitest";
import { chosen, dropped, pathsEndingIn, together, type Chosen } from "./files.ts";

function file(path: string, content = ""): Chosen {
  return { path, file: new File([content], path.split("/").at(-1)!) };
}

it("a repeated path replaces the earlier file; backups and system files are left out", async () => {
  const first = together(
    [],
    [file("shot.blend", "old"), file("shot.blend1"), file("tex/.DS_Store"), file("tex/._a.png"), file("tex/a.png")],
  );
  const again = together(first, [file("shot.blend", "new")]);
  expect(again.map((one) => one.path)).toEqual(["shot.blend", "tex/a.png"]);
  expect(await again[0]!.file.text()).toBe("new");
});

it("the scene nearest to the top folder comes first", () => {
  expect(
    pathsEndingIn(".blend", [file("lib/chair.blend"), file("shot.BLEND"), file("a.png"), file("lib/old/x.blend")]),
  ).toEqual(["shot.BLEND", "lib/chair.blend", "lib/old/x.blend"]);
});

it("what cannot be read or sent of a dropped folder is left out and told; the rest is taken", async () => {
  const good = (name: string) => ({
    name,
    isFile: true,
    file: (taken: (file: File) => void) => taken(new File([], name)),
  });
  const broken = (name: string) => ({
    name,
    isFile: true,
    file: (_: unknown, refuse: (error: Error) => void) => refuse(new Error("it could not be found")),
  });
  const folder = (name: string, children: object[], error?: Error) => ({
    name,
    isFile: false,
    createReader: () => ({
      readEntries: (taken: (entries: object[]) => void, refuse: (error: Error) => void) =>
        error ? refuse(error) : taken(children.splice(0)),
    }),
  });
  const shut = folder("shut", [], new Error("not allowed"));
  const top = folder("shot", [good("a.blend"), broken("link"), good("what?.png"), shut, good("z.png")]);
  const transfer = { items: [{ webkitGetAsEntry: () => top }], files: [] } as unknown as DataTransfer;
  const { files, leftOut } = await dropped(transfer);
  expect(files.map(({ path }) => path)).toEqual(["shot/a.blend", "shot/z.png"]);
  expect(leftOut).toEqual([
    "shot/link: it could not be found",
    'shot/what?.png: the path must not contain \\ : * ? " < > |',
    "shot/shut: not allowed",
  ]);
});

it("a chosen file whose name cannot be stored is left out, too", () => {
  const { files, leftOut } = chosen([new File([], "con.png"), new File([], "a.png")]);
  expect(files.map(({ path }) => path)).toEqual(["a.png"]);
  expect(leftOut).toEqual(["con.png: the path must not use the reserved name 'con.png'"]);
});
