/**
 * A malicious scene on real Blender: what it can do without the owner's permission, and what it
 * cannot.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect } from "vitest";
import { blenderScript } from "../../src/compilers/blender-script.ts";
import { temporaryFolder } from "../support/folders.ts";
import { makeBlend, testWith } from "../support/programs.ts";
import { runPlan } from "../support/run-plan.ts";

const temporary = temporaryFolder("hostile-scene");
const folder = temporary.path;
afterAll(() => temporary.remove());

const blenderTest = testWith("blender");

/**
 * Render a frame of a scene made by this Python; `{folder}` stands for a folder outside the
 * lease's.
 */
function render(name: string, python: string, settings: Record<string, unknown> = {}, frame = 1) {
  const scenes = path.join(folder, name);
  const out = path.join(scenes, "out");
  mkdirSync(out, { recursive: true });
  const file = `${name}.blend`;
  makeBlend(scenes, file, python.replaceAll("{folder}", folder));
  const asset = { path: file, sha256: "0".repeat(64), size: 1 };
  return runPlan("blender_render", { file, assets: [asset], ...settings }, [frame], scenes, out);
}

const SCRIPTS = `
text = bpy.data.texts.new("run.py")
text.from_string("open('{folder}/script-MARK', 'w').close()")
text.use_module = True
driver = bpy.data.objects["Cube"].driver_add("location", 0).driver
driver.expression = "(__import__('os').close(__import__('os').open('{folder}/driver-MARK', 65)) or 1) and 1"
`;

/** Freestyle draws the lines by a script of the file; when that runs, it leaves this mark. */
const freestyle = (mark: string): string => `
text = bpy.data.texts.new("run.py")
text.from_string("open('{folder}/ran-${mark}', 'w').close()")
scene.render.use_freestyle = True
layer = scene.view_layers[0]
layer.use_freestyle = True
layer.freestyle_settings.mode = "SCRIPT"
layer.freestyle_settings.modules.new().script = text
`;
const hasRun = (mark: string): boolean => existsSync(path.join(folder, `ran-${mark}`));

describe("P9: a scene", () => {
  for (const autoexec of [false, true]) {
    blenderTest(`runs its text blocks and drivers only when scripts are on: ${autoexec}`, () => {
      const mark = autoexec ? "on" : "off";
      const { status, files, names } = render(`scripts-${mark}`, SCRIPTS.replaceAll("MARK", mark), { autoexec });
      expect({ status, files }).toEqual(autoexec ? { status: 0, files: names } : { status: 12, files: [] });
      expect(existsSync(path.join(folder, `script-${mark}`))).toBe(autoexec);
      expect(existsSync(path.join(folder, `driver-${mark}`))).toBe(autoexec);
    });
  }

  describe("that draws its lines by a script", () => {
    blenderTest("is refused by the name of the script while scripts are off, and runs it when they are on", () => {
      const off = render("freestyle-off", freestyle("off"));
      expect(off).toMatchObject({ status: 12, files: [] });
      expect(off.reason).toBe(
        'Freestyle of view layer "ViewLayer" needs the script "run.py" of the file, and scripts are off: submit it with --autoexec',
      );
      expect(hasRun("off")).toBe(false);
      const on = render("freestyle-on", freestyle("on"), { autoexec: true });
      expect(on).toMatchObject({ status: 0, files: on.names });
      expect(hasRun("on")).toBe(true);
    });

    blenderTest("is refused, too, when it is another scene that is rendered for it", () => {
      const within = `
${freestyle("within")}
other = scene
scene = bpy.context.window.scene = bpy.data.scenes.new("Main")
scene.render.engine = "BLENDER_WORKBENCH"
scene.sequence_editor_create().sequences.new_scene("strip", other, 1, 1)
`;
      const { status, reason } = render("freestyle-within", within);
      expect(status).toBe(12);
      expect(reason).toContain('needs the script "run.py"');
      expect(hasRun("within")).toBe(false);
    });

    blenderTest.each([
      ["the layer", "layer.use = False", "use"],
      ["its lines", "layer.use_freestyle = False", "use_freestyle"],
      ["its script mode", 'layer.freestyle_settings.mode = "EDITOR"', "freestyle_settings.mode"],
      ["the script", "layer.freestyle_settings.modules[0].use = False", "freestyle_settings.modules[0].use"],
    ])("is refused, too, when an F-curve switches %s on", (_, off, property) => {
      const name = `freestyle-curve-${property}`;
      const later = `
${freestyle(property)}
${off}
scene.keyframe_insert('view_layers["ViewLayer"].${property}', frame=0)
for curve in scene.animation_data.action.fcurves:
    curve.keyframe_points.insert(2, 0 if curve.data_path.endswith("mode") else 1)
    for point in curve.keyframe_points:
        point.interpolation = "CONSTANT"
`;
      // In frame 1, of which the file is, it is off.
      expect(render(name, later, {}, 2).status).toBe(12);
      expect(hasRun(property)).toBe(false);
    });

    const unused = (mark: string): string => `
${freestyle(mark)}
layer.use_freestyle = False
`;

    blenderTest("is rendered when no layer uses the script", () => {
      const { status, files, names } = render("freestyle-unused", unused("unused"));
      expect({ status, files }).toEqual({ status: 0, files: names });
      expect(hasRun("unused")).toBe(false);
    });

    blenderTest.each([false, true])(
      "has no text block left before the render, unless scripts are on: %s",
      (scripts) => {
        const name = `texts-${scripts}`;
        const scenes = path.join(folder, name);
        mkdirSync(scenes);
        const file = makeBlend(scenes, `${name}.blend`, unused(name));
        const keep = { scene: null, camera: null, engine: null, samples: null };
        const rest = {
          resolution_percentage: null,
          denoise: null,
          allow_missing_files: false,
          allow_missing: [],
          frames: [[1, 1] as const],
          below_zero: false,
        };
        const count = "import bpy; print('texts left:', len(bpy.data.texts))";
        const args = [
          "-b",
          file,
          "--python-expr",
          blenderScript({ ...keep, ...rest, scripts }),
          "--python-expr",
          count,
        ];
        const said = execFileSync("blender", args, { encoding: "utf8", timeout: 120_000 });
        expect(said).toContain(`texts left: ${scripts ? 1 : 0}`);
      },
    );
  });

  blenderTest("runs no text block of a linked library", () => {
    const linked = `
scene.name = "Linked"
${freestyle("linked")}
`;
    const scenes = path.join(folder, "linking");
    mkdirSync(scenes, { recursive: true });
    makeBlend(scenes, "library.blend", linked.replaceAll("{folder}", folder));
    const { status, reason } = render(
      "linking",
      `
with bpy.data.libraries.load("{folder}/linking/library.blend", link=True, relative=False) as (there, here):
    here.scenes = ["Linked"]
scene = bpy.context.window.scene = bpy.data.scenes["Linked"]
`,
      { scene: "Linked" },
    );
    expect(status).toBe(12);
    expect(reason).toContain('needs the script "run.py"');
    expect(hasRun("linked")).toBe(false);
  });

  blenderTest("with an OSL script is refused by its name while scripts are off", () => {
    const osl = (on: boolean): string => `
scene.cycles.shading_system = ${on ? "True" : "False"}
text = bpy.data.texts.new("red.osl")
text.from_string("shader red(output color Out = color(1, 0, 0)) {}")
material = bpy.data.materials.new("Paint")
material.use_nodes = True
node = material.node_tree.nodes.new("ShaderNodeScript")
node.script = text
bpy.data.objects["Cube"].data.materials.append(material)
`;
    const { status, reason } = render("osl-on", osl(true));
    expect(status).toBe(12);
    expect(reason).toBe(
      'material "Paint" needs the script "red.osl" of the file, and scripts are off: submit it with --autoexec',
    );
    // Cycles does not look at it where OSL is off.
    expect(render("osl-off", osl(false)).status).toBe(0);
  });

  blenderTest("with an OSL script in the line style of a Freestyle layer is refused by its name, too", () => {
    const { status, reason } = render(
      "osl-lines",
      `
scene.cycles.shading_system = True
text = bpy.data.texts.new("line.osl")
text.from_string("shader line(output color Out = color(1, 0, 0)) {}")
style = bpy.data.linestyles.new("Ink")
style.use_nodes = True
style.node_tree.nodes.new("ShaderNodeScript").script = text
scene.render.use_freestyle = True
scene.view_layers[0].freestyle_settings.linesets.new("lines").linestyle = style
`,
    );
    expect(status).toBe(12);
    expect(reason).toBe(
      'line style "Ink" needs the script "line.osl" of the file, and scripts are off: submit it with --autoexec',
    );
  });

  blenderTest.each([false, true])(
    "writes no cache of its result beside its frames, with scripts on: %s",
    (autoexec) => {
      // Blender joins a folder and the scene's name into the path of that cache. The name leads out.
      const { status, files, names } = render(
        `cached-${autoexec}`,
        `
scene.render.use_render_cache = True
scene.name = "/../../{folder}/cached-${autoexec}-result"
`,
        { autoexec },
      );
      expect({ status, files }).toEqual({ status: 0, files: names });
      expect(readdirSync(folder).filter((name) => name.startsWith(`cached-${autoexec}-result`))).toEqual([]);
      expect(readdirSync(tmpdir()).filter((name) => name.includes(`cached_RR_cached-${autoexec}`))).toEqual([]);
    },
  );

  blenderTest.each([
    ["as it is", ""],
    ["that an F-curve switches on", 'node.keyframe_insert("mute", frame=1)'],
    [
      "that a driver switches on",
      'driver = node.driver_add("mute").driver\ndriver.type, driver.expression = "SCRIPTED", "0"',
    ],
  ])("writes no file beside its frames: a File Output node %s is left out, also in groups", (what, more) => {
    const mark = what.replaceAll(" ", "-");
    const { status, files, names } = render(
      `file-outputs-${mark}`,
      `
scene.use_nodes = True
def file_output(tree, name):
    node = tree.nodes.new("CompositorNodeOutputFile")
    node.base_path = "{folder}/elsewhere"
    node.file_slots[0].path = "../" + name
    ${more.replaceAll("\n", "\n    ") || "pass"}
    return node
layers = next(node for node in scene.node_tree.nodes if node.type == "R_LAYERS")
scene.node_tree.links.new(layers.outputs[0], file_output(scene.node_tree, "plain_${mark}_").inputs[0])
group = bpy.data.node_groups.new("Group", "CompositorNodeTree")
group.inputs.new("NodeSocketColor", "Image")
entry = group.nodes.new("NodeGroupInput")
group.links.new(entry.outputs[0], file_output(group, "grouped_${mark}_").inputs[0])
user = scene.node_tree.nodes.new("CompositorNodeGroup")
user.node_tree = group
scene.node_tree.links.new(layers.outputs[0], user.inputs[0])
`,
    );
    expect({ status, files }).toEqual({ status: 0, files: names });
    expect(existsSync(path.join(folder, `plain_${mark}_0001.png`))).toBe(false);
    expect(existsSync(path.join(folder, `grouped_${mark}_0001.png`))).toBe(false);
    expect(existsSync(path.join(folder, "elsewhere"))).toBe(false);
  });
});
