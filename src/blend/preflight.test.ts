import { describe, expect, it } from "vitest";
import { preflight, type PreflightOptions } from "./preflight.ts";
import type { BlendSummary, SceneSummary } from "./types.ts";

const SCENE: SceneSummary = {
  name: "Shot",
  start: 1,
  end: 250,
  step: 1,
  fps: 25,
  engine: "CYCLES",
  width: 1_920,
  height: 1_080,
  percentage: 100,
  outputPath: "//out/",
  format: "PNG",
  mediaType: "IMAGE",
  viewLayers: [],
  cameras: ["Camera"],
  activeCamera: "Camera",
  cameraMarkers: [],
  fileOutputNodes: [],
  hasSequencer: false,
  usesCompositor: false,
  multiview: false,
};
const SUMMARY: BlendSummary = {
  version: { major: 4, minor: 5 },
  versionText: "4.5",
  scenes: [SCENE],
  activeScene: "Shot",
  textBlocks: [],
  drivers: [],
  simulations: [],
  addonNodes: [],
};
const OPTIONS: PreflightOptions = { autoexec: false, formats: ["PNG", "JPEG", "OPEN_EXR"] };

const look = (
  scene: Partial<SceneSummary> = {},
  options: Partial<PreflightOptions> = {},
  summary: Partial<BlendSummary> = {},
): ReturnType<typeof preflight> =>
  preflight("s.blend", { ...SUMMARY, scenes: [{ ...SCENE, ...scene }], ...summary }, { ...OPTIONS, ...options });

describe("what a submission takes from the scene", () => {
  it("frames, format and speed", () => {
    expect(look()).toMatchObject({ frames: "1-250", format: "PNG", fps: 25, problems: [], warnings: [] });
    expect(look({ start: 3, end: 9, step: 3 }).frames).toBe("3-9:3");
    expect(look({ start: 7, end: 7 }).frames).toBe("7");
    expect(look({ format: "OPEN_EXR" }, { format: "JPEG" }).format).toBe("JPEG");
  });

  it("the scene that was named, not the active one", () => {
    const summary = { scenes: [SCENE, { ...SCENE, name: "Other", end: 9 }] };
    expect(look({}, { scene: "Other" }, summary).frames).toBe("1-9");
    expect(look({}, { scene: "Third" }, summary).problems).toEqual([
      's.blend has no scene "Third" of its own (it has: "Shot", "Other")',
    ]);
    expect(look({}, {}, { scenes: [] }).problems).toEqual(["s.blend has no scene, so there is nothing to render"]);
    expect(look({ library: "//l.blend" }).problems).toHaveLength(1);
  });

  it("P12: a format that the farm does not write is a problem, a movie is not", () => {
    expect(look({ format: "OPEN_EXR_MULTILAYER", mediaType: "MULTI_LAYER_IMAGE" }).problems).toEqual([
      'scene "Shot" writes OPEN_EXR_MULTILAYER, which the farm does not: choose one with --format (PNG, JPEG, OPEN_EXR)',
    ]);
    expect(look({ format: "TIFF" }, { hasPreset: true })).toMatchObject({ format: undefined, problems: [] });
    const movie = look({ format: "FFMPEG", mediaType: "VIDEO" });
    expect(movie).toMatchObject({ format: "PNG", problems: [] });
    expect(movie.warnings).toEqual([expect.stringContaining("its frames are PNG files, and --video joins them")]);
  });
});

describe("P12: what goes wrong is told before a worker has it", () => {
  it("no camera, or not the one that was named", () => {
    const none: Partial<SceneSummary> = { cameras: [] };
    delete none.activeCamera;
    const summary = { scenes: [{ ...SCENE, cameras: [] }] };
    delete (summary.scenes[0] as Partial<SceneSummary>).activeCamera;
    expect(look({}, {}, summary).problems).toEqual([expect.stringContaining('scene "Shot" has no camera')]);
    expect(look({ hasSequencer: true }).problems).toEqual([]);
    expect(look({}, { camera: "Left" })).toMatchObject({
      problems: [],
      warnings: ['scene "Shot" has no camera "Left" of its own (it has: "Camera"): is it linked from a library?'],
    });
    expect(look({}, { camera: "Camera" }).problems).toEqual([]);
    const markers = { scenes: [{ ...summary.scenes[0]!, cameraMarkers: [{ frame: 1, camera: "A" }] }] };
    expect(look({}, {}, markers).problems).toEqual([]);
  });

  it("scripts that are off; with --autoexec nothing is said", () => {
    const summary: Partial<BlendSummary> = {
      drivers: [
        { owner: "Cube", property: "location", expression: "bpy.x", kind: "script", used: true },
        { owner: "Cone", property: "scale", expression: "frame", kind: "simple", used: true },
        { owner: "Old", property: "scale", expression: "bpy.y", kind: "script", used: false },
      ],
      textBlocks: [
        { name: "rig.py", register: true },
        { name: "notes", register: false },
      ],
    };
    const { warnings } = look({}, {}, summary);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('refused without --autoexec: "Cube.location"');
    expect(warnings[1]).toContain('off without --autoexec: "rig.py"');
    expect(look({}, { autoexec: true }, summary).warnings).toEqual([]);
  });

  it("engines and nodes of add-ons, simulations that are not baked, File Output nodes", () => {
    const { warnings } = look(
      { engine: "LUXCORE", fileOutputNodes: [{ name: "Passes", path: "//p/" }] },
      {},
      {
        addonNodes: [
          { owner: "Paint", idname: "LuxNode", used: true },
          { owner: "Old", idname: "OldNode", used: false },
        ],
        simulations: [
          { owner: "Flag", kind: "cloth", baked: false, used: true },
          { owner: "Rope", kind: "cloth", baked: true, used: true },
        ],
      },
    );
    expect(warnings).toEqual([
      "the render engine LUXCORE comes from an add-on: workers without it refuse the scene",
      'nodes come from add-ons, which the workers need, too: "LuxNode"',
      'simulations are not baked, so each lease computes them from their first frame: "Flag (cloth)"',
      'File Output nodes are left out: "Passes"',
    ]);
    expect(look({ engine: "LUXCORE" }, { engine: "CYCLES" }).warnings).toEqual([]);
  });

  it("of many, five are named", () => {
    const drivers = Array.from({ length: 8 }, (_, i) => ({
      owner: `O${i}`,
      property: "x",
      expression: "bpy",
      kind: "script" as const,
      used: true,
    }));
    expect(look({}, {}, { drivers }).warnings[0]).toContain('"O4.x" and 3 more');
  });
});
