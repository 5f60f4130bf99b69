import { expect, it } from "vitest";
import { pathsEndingIn, together, type Chosen } from "./files.ts";

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
