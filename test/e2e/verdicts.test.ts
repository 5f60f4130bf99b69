/**
 * P12 on real Blender: a scene renders as on the artist's machine, or is refused by name. One scene for each thing
 * that Blender itself passes over without a word.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { temporaryFolder } from "../support/folders.ts";
import { describeWith } from "../support/programs.ts";
import { faultOf } from "../../src/parsers/index.ts";
import { runPlan } from "../support/run-plan.ts";
import { writeTexture } from "../support/scenes.ts";

const temporary = temporaryFolder("verdicts");
const scenes = temporary.path;
afterAll(() => temporary.remove());

/** Makes all scenes in one run of Blender. Cycles with one sample: a frame takes a tenth of a second. */
const MAKE_SCENES = `
import bpy, os, struct
folder = ${JSON.stringify(scenes)}
def fresh():
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 64, 36, 100
    return scene
def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(folder, name + ".blend"), relative_remap=False)
def cube():
    return bpy.data.objects["Cube"]
def drive(expression):
    cube().driver_add("location", 0).driver.expression = expression
def script(name, source):
    text = bpy.data.texts.new(name)
    text.from_string(source)
    text.use_module = True
def image(name, stored, source="FILE"):
    made = bpy.data.images.new(name, 4, 4)
    made.source, made.filepath = source, stored
    return made
def textured(made, linked=True):
    tree = cube().data.materials[0].node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = made
    if linked:
        tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs[0])
    return node

fresh(); drive("bpy.context.scene.frame_current / 5"); save("driver")
fresh(); drive("[0, 1, 2][int(frame) % 3]"); save("simple-driver")
scene = fresh(); scene.render.use_freestyle = True
layer = scene.view_layers[0]
layer.use_freestyle, layer.freestyle_settings.mode = True, "SCRIPT"
layer.freestyle_settings.modules.new().script = bpy.data.texts.new("lines.py"); save("freestyle-script")
scene = fresh(); scene.cycles.shading_system = True
tree = cube().data.materials[0].node_tree
node = tree.nodes.new("ShaderNodeScript")
node.script = bpy.data.texts.new("paint.osl"); save("osl")
scene = fresh(); scene.render.use_multiview, scene.render.image_settings.views_format = True, "INDIVIDUAL"; save("stereo")
scene = fresh(); bpy.data.objects.remove(scene.camera); save("no-camera")
fresh().render.engine = "BLENDER_EEVEE"; save("eevee")
fresh(); script("ns.py", "import bpy\\nbpy.app.driver_namespace['wobble'] = lambda f: f\\n"); save("namespace")
panel = '''import bpy
from bpy.props import BoolProperty
rig_id = "abc"
def title():
    return "Rig"
class RIG_OT_reset(bpy.types.Operator):
    bl_idname, bl_label = "rig.reset", "Reset"
    def execute(self, context):
        for thing in bpy.data.objects:
            thing.location = (0, 0, 0)
        return {"FINISHED"}
class RIG_PT_ui(bpy.types.Panel):
    bl_space_type, bl_region_type, bl_label = "VIEW_3D", "UI", title()
    def draw(self, context):
        self.layout.operator("rig.reset")
classes = (RIG_OT_reset, RIG_PT_ui)
def register():
    for one in classes:
        bpy.utils.register_class(one)
    bpy.types.WindowManager.rig_shown = BoolProperty()
if __name__ == "__main__":
    register()
register()
'''
fresh(); script("rig_ui.py", panel); save("interface")
fresh(); script("rig_ui.py", panel); drive("self.location.y + 1"); save("interface-and-driver")
for number, line in enumerate(("bpy.app.handlers.frame_change_pre.append(print)", "title.__globals__", "import os",
                               "bpy.types.Object.power = BoolProperty()", "bpy.data.objects[0].hide_render = True")):
    fresh(); script("rig_ui.py", panel + line + "\\n"); save("script-%d" % number)

class Foo(bpy.types.RenderEngine):
    bl_idname, bl_label = "FOO_ENGINE", "Foo"
bpy.utils.register_class(Foo)
fresh().render.engine = "FOO_ENGINE"; save("engine")
scene = fresh(); other = bpy.data.scenes.new("Other"); other.render.engine = "FOO_ENGINE"; save("engine-elsewhere")
class FooNode(bpy.types.ShaderNode):
    bl_idname, bl_label = "FooNode", "Foo"
    def init(self, context):
        self.outputs.new("NodeSocketColor", "Color")
bpy.utils.register_class(FooNode)
for linked in (True, False):
    fresh()
    tree = cube().data.materials[0].node_tree
    node = tree.nodes.new("FooNode")
    if linked:
        tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs[0])
    save("node" if linked else "idle-node")

fresh(); textured(image("plate", "//seq/plate_0001.png", "SEQUENCE")).image_user.frame_duration = 4; save("sequence")
fresh(); textured(image("Wood", "//wood.png")); save("wood")
scene = fresh(); strips = scene.sequence_editor_create().sequences
strip = strips.new_image("plates", folder + "/seq/plate_0001.png", 1, 1)
for number in (2, 3, 4): strip.elements.append("plate_%04d.png" % number)
strip.directory = "//seq/"
save("strips")
scene = fresh(); scene.sequence_editor_create().sequences.new_movie("take", "//take.mp4", 1, 1); save("movie-strip")
fresh(); modifier = cube().modifiers.new("points", "MESH_CACHE"); modifier.cache_format, modifier.filepath = "PC2", "//cube.pc2"; save("mesh-cache")

scene = fresh()
empty = bpy.data.objects.new("Blueprint", None)
empty.empty_display_type, empty.data = "IMAGE", image("front", "C:\\\\Desk\\\\front.jpg")
scene.collection.objects.link(empty)
scene.camera.data.background_images.new().image = image("plate", "//plate.jpg")
old = bpy.data.materials.new("Old"); old.use_nodes = old.use_fake_user = True
old.node_tree.nodes.new("ShaderNodeTexImage").image = image("old", "//old.png")
textured(image("idle", "//idle.png"), linked=False)
scene.tool_settings.image_paint.canvas = image("canvas", "//canvas.png")
bpy.data.scenes.new("Other").world = bpy.data.worlds.new("Sky")
bpy.data.worlds["Sky"].use_nodes = True
bpy.data.worlds["Sky"].node_tree.nodes.new("ShaderNodeTexEnvironment").image = image("sky", "//sky.exr")
save("unused")

fresh(); cube().name = "Hero"; save("lib")
scene = fresh()
with bpy.data.libraries.load(folder + "/lib.blend", link=True, relative=True) as (_, to):
    to.objects = ["Hero"]
scene.collection.objects.link(to.objects[0])
bpy.data.libraries[0].filepath = "//lib.blend"
textured(image("Wood", "//wood.png")); textured(image("Stone", "//stone.png")).outputs
save("linked")
fresh(); save("empty-lib")

fresh(); bpy.data.objects.remove(cube())
bpy.ops.mesh.primitive_grid_add(size=4, x_subdivisions=8, y_subdivisions=8, location=(0, 0, 3))
bpy.context.object.modifiers.new("Cloth", "CLOTH"); save("cloth")
save("disk-cache")
cache = bpy.context.object.modifiers[0].point_cache
cache.use_disk_cache, cache.frame_end = True, 4
with bpy.context.temp_override(point_cache=cache): bpy.ops.ptcache.bake(bake=True)
save("disk-cache")
fresh(); cube().location.z = 4
bpy.context.view_layer.objects.active = cube(); bpy.ops.rigidbody.object_add()
bpy.ops.mesh.primitive_plane_add(size=20); bpy.ops.rigidbody.object_add(); bpy.context.object.rigid_body.type = "PASSIVE"
save("rigid-body")
`;

/** The extra files of the scenes. */
const WHOLE = ["seq/plate_0001.png", "seq/plate_0002.png", "seq/plate_0003.png", "seq/plate_0004.png", "wood.png"];
const LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";

function render(name: string, frames = [1], settings: Record<string, unknown> = {}) {
  const file = `${name}.blend`;
  const asset = { path: file, sha256: "0".repeat(64), size: 1 };
  const out = mkdtempSync(path.join(scenes, "out-"));
  const ran = runPlan("blender_render", { file, assets: [asset], ...settings }, frames, scenes, out);
  const warnings = ran.events.flatMap((event) => (event.kind === "warning" ? [event.text] : []));
  return { ...ran, warnings, fault: faultOf(ran.events) };
}

const rendered = (ran: ReturnType<typeof render>) => ({
  reason: ran.reason,
  isThere: ran.files.join() === ran.names.join(),
});
const RENDERED = { reason: null, isThere: true };
/** The compressed pixels of a PNG, without the texts in it, which hold the time of the render. */
function pixels(out: string, name: string): string {
  const bytes = readFileSync(path.join(out, name));
  const parts: Buffer[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at))
    if (bytes.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  return Buffer.concat(parts).toString("base64");
}

describeWith("blender")("P12: on real Blender", (it) => {
  beforeAll(() => {
    for (const file of WHOLE) writeTexture(path.join(scenes, file), [255, 0, 0], [0, 0, 255]);
    const make = path.join(scenes, "make.py");
    writeFileSync(make, MAKE_SCENES);
    execFileSync("blender", ["-b", "--factory-startup", "--python-exit-code", "1", "--python", make], {
      stdio: "pipe",
    });
  });

  it("P6: what every other worker would find as well is called the scene's fault, and nothing else is", () => {
    const faultsOf = (...names: string[]) => names.map((name) => [name, render(name).fault]);
    const atFault = ["driver", "namespace", "interface-and-driver", "freestyle-script", "osl", "stereo"];
    expect(faultsOf(...atFault)).toEqual(atFault.map((name) => [name, "scene"]));
    expect(render("engine-elsewhere", [1], { camera: "Nobody" })).toMatchObject({
      reason: expect.stringContaining('there is no camera "Nobody" in the file') as string,
      fault: "scene",
    });
    // A library that may be missing here may be on another worker, and have it.
    expect(render("engine-elsewhere", [1], { camera: "Nobody", allow_missing_files: true }).fault).toBeUndefined();
    expect(render("no-camera")).toMatchObject({ reason: "Cannot render, no camera", fault: "scene" });
    expect(render("eevee", [1], { denoise: true })).toMatchObject({
      reason: "the render engine BLENDER_EEVEE cannot denoise",
      fault: "scene",
    });
    // The worker's: an add-on that it lacks. Without it, Blender takes EEVEE, which cannot denoise: that is no reason.
    expect(render("engine", [1], { denoise: true })).toMatchObject({
      reason: expect.stringContaining("does not have the render engine FOO_ENGINE") as string,
      fault: undefined,
    });
    expect(render("node").fault).toBeUndefined();
    // A file may be missing for the frames of one lease only, or on one worker's disk.
    expect(render("movie-strip").fault).toBeUndefined();
  });

  it("drivers that need Python are refused by name while scripts are off, and rendered when they are on", () => {
    expect(render("driver")).toMatchObject({
      status: 12,
      files: [],
      reason:
        'the file has drivers that need Python, and scripts are off: object "Cube" (location: ' +
        "bpy.context.scene.frame_current / 5): submit it with --autoexec",
    });
    expect(rendered(render("driver", [1], { autoexec: true }))).toEqual(RENDERED);
    expect(render("simple-driver")).toMatchObject({ reason: null, warnings: [], status: 0 });
  });

  it("scripts that may change the picture are refused by name; one that only makes an interface is told", () => {
    const refused = (name: string) =>
      `the script "${name}" of the file is to run when it is loaded, and scripts are off: submit it with --autoexec`;
    expect(render("namespace").reason).toBe(refused("ns.py"));
    for (let i = 0; i < 5; i++) expect(render(`script-${i}`).reason, String(i)).toBe(refused("rig_ui.py"));
    const interfaces = render("interface");
    expect(interfaces).toMatchObject({ status: 0, files: interfaces.names });
    expect(interfaces.warnings).toEqual(['the script "rig_ui.py" of the file was not run; it only makes an interface']);
    // Blender itself names the script, which it met first, and not the driver.
    expect(render("interface-and-driver").reason).toContain('object "Cube" (location: self.location.y + 1)');
  });

  it("an engine that the worker lacks is refused by name, unless another is chosen or no rendered scene has it", () => {
    expect(render("engine").reason).toBe(
      'this Blender does not have the render engine FOO_ENGINE of scene "Scene": install its add-on on the workers, ' +
        "or choose another (--engine)",
    );
    expect(rendered(render("engine", [1], { engine: "CYCLES", samples: 1 }))).toEqual(RENDERED);
    expect(rendered(render("engine-elsewhere"))).toEqual(RENDERED);
  });

  it("a node of an add-on that the worker lacks is refused by name, unless it leads nowhere", () => {
    expect(render("node")).toMatchObject({
      files: [],
      reason:
        'material "Material" uses the node "Foo" of an add-on that this worker does not have: install the add-on on ' +
        "the workers, or replace the node",
    });
    expect(rendered(render("idle-node"))).toEqual(RENDERED);
  });

  it("a hole in a sequence is named when a frame of the lease needs it; so are files that are no pictures", () => {
    expect(rendered(render("sequence", [1, 2, 3, 4, 9]))).toEqual(RENDERED);
    unlinkSync(path.join(scenes, "seq/plate_0003.png"));
    writeFileSync(path.join(scenes, "seq/plate_0004.png"), LFS);
    expect(rendered(render("sequence", [1, 2]))).toEqual(RENDERED);
    const both = (owner: string) =>
      `missing file 'seq/plate_0003.png' (${owner}); unreadable file 'seq/plate_0004.png' (${owner}): it is a pointer of ` +
      "Git LFS and not the file itself (git lfs pull)";
    expect(render("sequence", [2, 3, 9])).toMatchObject({ files: [], reason: both('image "plate"') });
    expect(rendered(render("strips", [1, 2]))).toEqual(RENDERED);
    expect(render("strips", [3, 4])).toMatchObject({ files: [], reason: both('strip "plates"') });
    copyFileSync(path.join(scenes, "make.py"), path.join(scenes, "wood.png"));
    expect(render("wood").reason).toBe(`unreadable file 'wood.png' (image "Wood"): it cannot be read as a picture`);
    writeFileSync(path.join(scenes, "wood.png"), "");
    expect(render("wood").reason).toBe(`unreadable file 'wood.png' (image "Wood"): it is empty`);
  });

  it("strips, mesh caches and caches of simulations on the disk are named when they are missing", () => {
    expect(render("movie-strip").reason).toBe(`missing file 'take.mp4' (strip "take")`);
    expect(render("mesh-cache").reason).toBe(`missing file 'cube.pc2' (modifier "points" of object "Cube")`);
    expect(rendered(render("disk-cache", [4]))).toEqual(RENDERED);
    rmSync(path.join(scenes, "blendcache_disk-cache"), { recursive: true });
    expect(render("disk-cache", [4]).reason).toBe(
      `missing file 'blendcache_disk-cache' (simulation cache of object "Grid")`,
    );
  });

  it("all that is missing is named at once; patterns say what may be, and that is told", () => {
    rmSync(path.join(scenes, "wood.png"), { force: true });
    copyFileSync(path.join(scenes, "lib.blend"), path.join(scenes, "kept.blend"));
    unlinkSync(path.join(scenes, "lib.blend"));
    const library = `missing file 'lib.blend' (library "lib.blend")`;
    expect(render("linked").reason).toBe(`${library}; missing file 'stone.png' (image "Stone")`);
    expect(render("linked", [1], { allow_missing: ["sto*.png"] }).reason).toBe(library);
    const allowed = render("linked", [1], { allow_missing: ["lib.blend", "Ston?"] });
    expect(allowed).toMatchObject({ status: 0, files: allowed.names });
    expect(allowed.warnings).toEqual([`${library}: allowed`, `missing file 'stone.png' (image "Stone"): allowed`]);
    expect(render("linked", [1], { allow_missing_files: true }).warnings).toHaveLength(2);
    copyFileSync(path.join(scenes, "empty-lib.blend"), path.join(scenes, "lib.blend"));
    expect(render("linked", [1], { allow_missing: ["*.png"] }).reason).toBe(
      `object "Hero" is not in its library 'lib.blend' any more`,
    );
    copyFileSync(path.join(scenes, "kept.blend"), path.join(scenes, "lib.blend"));
    expect(rendered(render("linked", [1], { allow_missing: ["*.png"] }))).toEqual(RENDERED);
  });

  it("what the render does not use may be missing: reference images, backgrounds, unused data, other scenes", () => {
    expect(render("unused")).toMatchObject({ status: 0, reason: null, warnings: [] });
  });

  it.each(["cloth", "rigid-body"])(
    "an unbaked simulation is the same whichever frames a lease has, and is told: %s",
    (name) => {
      const alone = render(name, [12]);
      const range = Array.from({ length: 12 }, (_, i) => i + 1);
      const all = render(name, range);
      expect(pixels(alone.out, "frame_0012.png")).toBe(pixels(all.out, "frame_0012.png"));
      expect(pixels(alone.out, "frame_0012.png")).not.toBe(pixels(all.out, "frame_0001.png"));
      expect(alone.warnings).toEqual([
        expect.stringMatching(/^simulated anew in each lease, from frame 1 on, unless it is baked: .*\. Bake it/),
      ]);
      expect(render(name, [1]).warnings).toEqual([]);
    },
  );
});
