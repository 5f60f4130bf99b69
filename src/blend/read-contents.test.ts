/** Files of real Blender: what is read of them. */
import { describe, expect, test } from "vitest";
import { FIXTURE_VERSIONS, fixture, sourceOf } from "../../test/support/blend-files.ts";
import { externalFiles } from "./external.ts";
import { openBlend } from "./open.ts";
import { readContents } from "./read-contents.ts";
import { textOf } from "./struct-view.ts";
import { BlendError, type ExternalFile } from "./types.ts";

/** `used` or not, kind, owner, path. */
const line = ({ used, kind, ownerCode, owner, path }: ExternalFile): string =>
  `${used ? "used" : "not"} ${kind}: ${ownerCode} ${owner} ${path}`;

const FILES = [
  "not image: IM front /home/ann/front.jpg",
  "not image: IM old C:\\pictures\\old.png",
  "not image: IM plate //plates/plate.jpg",
  "used ies: MA Paint //lights/spot.ies",
  "used image: IM skin //../textures/skin.png",
  "used mesh cache: OB Screen //mdd/screen.pc2",
  "used osl: MA Paint //osl/noise.osl",
  "used sequence: IM smoke //seq/smoke_0001.png",
  "used strip images: SC Scene //plates/a_01.png",
  "used udim: IM tiles //tex/tile.<UDIM>.png",
  "used volume sequence: VO fog //vdb/fog_0010.vdb",
];

describe.each(FIXTURE_VERSIONS)("P12: a file of Blender %s", (version) => {
  const isModern = version !== "3.4";

  test("names every file that it needs, and which of them the render uses", async () => {
    const { externals, missingData } = await readContents(sourceOf(fixture(version)));
    const imports = isModern ? ["used import: NT Props //props/rock.obj"] : [];
    expect(externals.map(line).toSorted()).toEqual([...FILES, ...imports].toSorted());
    expect(missingData).toEqual([]);
  });

  test("says which files of sequences, tiles and strips are meant", async () => {
    const { externals } = await readContents(sourceOf(fixture(version)));
    const of = (kind: string): ExternalFile | undefined => externals.find((file) => file.kind === kind);
    expect(of("sequence")?.frames).toEqual({ first: 5, last: 28 });
    expect(of("volume sequence")?.frames).toEqual({ first: 10, last: 21 });
    expect(of("udim")?.tiles).toEqual([1001, 1002, 1011]);
    expect(of("strip images")?.names).toEqual(["a_01.png", "a_02.png"]);
  });

  test("tells where each path is stored", async () => {
    const file = await openBlend(sourceOf(fixture(version)));
    for (const { path, fields, layout } of await externalFiles(file)) {
      const texts = [];
      for (const { offset, capacity } of fields) texts.push(textOf(await file.read(offset, capacity)));
      expect(layout === "path" ? texts.join("") : texts.slice(0, 2).join("")).toBe(path);
    }
  });

  test("says what it renders", async () => {
    const { summary } = await readContents(sourceOf(fixture(version)));
    expect(summary).toEqual({
      version: { major: Number(version[0]), minor: Number(version[2]) },
      versionText: version,
      activeScene: "Scene",
      scenes: [
        {
          name: "Scene",
          start: 3,
          end: 9,
          step: 2,
          fps: expect.closeTo(29.97, 2),
          engine: "CYCLES",
          width: 640,
          height: 360,
          percentage: 50,
          outputPath: "//renders/shot_",
          format: "OPEN_EXR_MULTILAYER",
          mediaType: "MULTI_LAYER_IMAGE",
          viewLayers: [{ name: expect.any(String), render: true }],
          cameras: ["Cam"],
          activeCamera: "Cam",
          cameraMarkers: [{ frame: 5, camera: "Cam" }],
          fileOutputNodes: [{ name: "File Output", path: "//passes/z" }],
          hasSequencer: true,
          usesCompositor: true,
          multiview: false,
        },
      ],
      textBlocks: [
        { name: "notes", register: false },
        { name: "rig.py", register: true },
      ],
      drivers: [
        { owner: "Screen", property: "location", expression: "sin(frame/3)", kind: "simple", used: true },
        {
          owner: "Screen",
          property: "location",
          expression: "bpy.context.scene.frame_current",
          kind: "script",
          used: true,
        },
      ],
      simulations: [{ owner: "Screen", kind: "cloth", baked: false, start: 1, end: 40, used: true }],
      addonNodes: [],
    });
  });

  test("as a library uses what can be reached from what is linked of it", async () => {
    const linked = new Set(["MAOld", "OBGone"]);
    const { externals, missingData } = await readContents(sourceOf(fixture(version)), { linked });
    expect(externals.filter(({ used }) => used).map(({ path }) => path)).toEqual(["C:\\pictures\\old.png"]);
    expect(missingData).toEqual(["OBGone"]);
  });

  test("has no scene of another name", async () => {
    const reading = readContents(sourceOf(fixture(version)), { scene: "Night" });
    await expect(reading).rejects.toThrow(new BlendError('The file has no scene "Night".'));
  });
});
