/**
 * The Python program that Blender runs after it has loaded the file and before it renders. It
 * applies overrides, and checks what Blender does not check.
 *
 * The text of the program is fixed. A submitter's values are one JSON document inside one Python
 * string literal, so no value can end that string.
 */
import { FATAL_PREFIX, FAULT_PREFIX, SCENES_PREFIX, WARNING_PREFIX } from "../protocol/constants.ts";
import { CHECKS } from "./blender-checks.ts";
import { packed, unpackingPython } from "./packed-text.ts";

/** What the script changes in the scene; null leaves the scene's own value. */
export interface BlenderOverrides {
  scene: string | null;
  camera: string | null;
  engine: string | null;
  samples: number | null;
  resolution_percentage: number | null;
  denoise: boolean | null;
  allow_missing_files: boolean;
  /** Patterns of files and data-blocks that may be missing. */
  allow_missing: readonly string[];
  /** The frames of the lease as ranges. */
  frames: readonly (readonly [first: number, last: number])[];
  /** Whether scripts in the file may run. */
  scripts: boolean;
  /** The lease has frames below 0: see `frameArgument`. */
  below_zero: boolean;
}

/**
 * Exit code after a fatal line. Blender's own codes are 0, 1 and 11; with one of them, the code
 * would not show that the script ended the process.
 */
const FATAL_EXIT_CODE = 12;

/**
 * JSON in plain ASCII: its text does not depend on the encoding that a system uses for arguments.
 */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A value as a Python expression. ASCII JSON has no control characters, so its string literal needs
 * only the escapes `\"` and `\\`, which Python reads as JavaScript does.
 */
export function pythonValue(value: unknown): string {
  return `json.loads(${JSON.stringify(asciiJson(value))})`;
}

/** Made when it is first needed: most readers of this module never do. */
let packedProgram: string | undefined;

/** The text of the program, for `--python-expr`. */
export function blenderScript(overrides: BlenderOverrides): string {
  packedProgram ??= unpackingPython(JSON.stringify(packed(shortened(PROGRAM))));
  return `import json\nwanted = ${pythonValue(overrides)}\n${packedProgram}\n`;
}

/** The program without its comments, and with one blank for a level. */
function shortened(program: string): string {
  const lines = program.split("\n").filter((line) => !/^ *(#|$)/.test(line));
  return `${lines.map((line) => line.replace(/^(?: {4})+/, (blanks) => " ".repeat(blanks.length / 4))).join("\n")}\n`;
}

const PROGRAM = String.raw`
import bpy, os, re, sys

def say(prefix, text):
    line = prefix + " ".join(str(text).split()) + "\n"
    sys.stdout.flush()
    os.write(1, line.encode("utf-8", "backslashreplace"))

def stop(text):
    say("${FATAL_PREFIX}", text)
    sys.exit(${FATAL_EXIT_CODE})

def refuse(text):
    # What depends on the file and the settings alone: every other worker would find the same. Not what an add-on, the
    # build or the disk of this worker decides.
    say("${FAULT_PREFIX}", "scene")
    stop(text)

def warn(text):
    say("${WARNING_PREFIX}", text)

def may_lack_files():
    return wanted["allow_missing_files"] or len(wanted["allow_missing"]) > 0

def named(things, name, what):
    found = next((thing for thing in things if thing.name == name and not thing.library), None)
    found = found or next((thing for thing in things if thing.name == name), None)
    if found is None:
        names = ", ".join(sorted(thing.name for thing in things)[:10]) or "none"
        # A library that may be missing here may be on the disk of another worker.
        end = stop if may_lack_files() else refuse
        end('there is no %s "%s" in the file (it has: %s)' % (what, name, names))
    return found

def choose_engine(scene, engine):
    # EEVEE was BLENDER_EEVEE_NEXT in Blender 4.2 to 4.5 only. Both names stand for the EEVEE that
    # this Blender has.
    eevee = ["BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"]
    for name in [engine] + [other for other in eevee if engine in eevee and other != engine]:
        try:
            scene.render.engine = name
            return
        except TypeError:
            pass
    stop("this Blender (%s) has no render engine %s" % (bpy.app.version_string, engine))

def picture_size(render):
    # What a border or several views make of the size is Blender's own matter.
    if render.use_multiview or render.use_border and render.use_crop_to_border:
        return None
    return [size * render.resolution_percentage // 100 for size in (render.resolution_x, render.resolution_y)]

def tell_engines(scene, scenes):
    # Blender says when it loads the file which engines it does not have, and Python cannot ask it. The parser
    # compares.
    say("${SCENES_PREFIX}", json.dumps({"names": [scene.name for scene in scenes], "may_lack_files": may_lack_files(), "size": picture_size(scene.render)}))

def set_samples(scene, samples):
    engine = scene.render.engine
    if engine == "CYCLES":
        scene.cycles.samples = samples
    elif engine in {"BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"}:
        scene.eevee.taa_render_samples = samples
    else:
        refuse("the number of samples cannot be set for the render engine %s" % engine)

def set_denoise(scene, denoise):
    if scene.render.engine == "CYCLES":
        scene.cycles.use_denoising = denoise
    elif denoise:
        refuse("the render engine %s cannot denoise" % scene.render.engine)

def set_camera(scene, name):
    camera = named([thing for thing in scene.objects if thing.type == "CAMERA"], name, "camera")
    scene.camera = camera
    # Markers that are bound to other cameras would switch to those.
    for marker in scene.timeline_markers:
        marker.camera = None

def reach_below_zero(scene):
    # -f counts a negative number from the last frame of the scene. That frame must be 0 while
    # Blender reads the number.
    kept = (scene.frame_start, scene.frame_end)
    scene.frame_start = scene.frame_end = 0
    def restore(*_):
        scene.frame_start, scene.frame_end = kept
    bpy.app.handlers.render_init.append(restore)

${CHECKS}
def trees_of(scene):
    trees = [getattr(scene, name, None) for name in ("node_tree", "compositing_node_group")]
    return [tree for tree in trees if tree is not None]

def remove_file_outputs():
    # File Output nodes write wherever the scene says, also outside the lease's folder, and do so
    # even where scripts are not allowed. A node that is only muted comes back: an F-curve or a simple
    # driver may set its property in each frame.
    trees = [tree for scene in bpy.data.scenes for tree in trees_of(scene)] + list(bpy.data.node_groups)
    found = 0
    for tree in trees:
        for node in [node for node in tree.nodes if node.type == "OUTPUT_FILE"]:
            tree.nodes.remove(node)
            found += 1
    if found:
        print("%d File Output nodes are left out: a task's result is the frame itself" % found)

def keep_no_result_cache():
    # Blender writes such a cache to a path that it joins from a folder and the scene's name, which may lead
    # anywhere. No F-curve or driver can set the property.
    for scene in bpy.data.scenes:
        if getattr(scene.render, "use_render_cache", False):
            scene.render.use_render_cache = False

def rendered_scenes(scene):
    # The scene, and those that its compositor and its sequencer take pictures of.
    found = []
    def add(one):
        if one is None or one in found:
            return
        found.append(one)
        groups = []
        def look(tree):
            for node in tree.nodes:
                if node.type == "R_LAYERS":
                    add(node.scene)
                group = getattr(node, "node_tree", None)
                if group is not None and group not in groups:
                    groups.append(group)
                    look(group)
        for tree in trees_of(one):
            look(tree)
        editor = one.sequence_editor
        strips = getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", None) or []
        for strip in strips:
            if strip.type == "SCENE":
                add(strip.scene)
    add(scene)
    return found

def is_used(thing):
    return thing.users - (1 if thing.use_fake_user else 0) > 0

def refuse_script(who, name):
    refuse('%s needs the script "%s" of the file, and scripts are off: submit it with --autoexec' % (who, name))

def freestyle_scripts(scene, layer):
    settings = layer.freestyle_settings
    # All switches of the layer can be animated.
    animated = scene.animation_data is not None
    is_on = layer.use and layer.use_freestyle and settings.mode == "SCRIPT"
    if not (scene.render.use_freestyle and (is_on or animated)):
        return []
    return [module.script for module in settings.modules if module.script and (module.use or animated)]

def shader_trees():
    for kind, collection in [("material", "materials"), ("world", "worlds"), ("light", "lights")]:
        for thing in getattr(bpy.data, collection):
            if thing.node_tree is not None:
                yield '%s "%s"' % (kind, thing.name), is_used(thing), thing.node_tree
    for style in getattr(bpy.data, "linestyles", []):
        if style.node_tree is not None:
            yield 'line style "%s"' % style.name, is_used(style), style.node_tree
    for group in bpy.data.node_groups:
        yield 'node group "%s"' % group.name, is_used(group), group

def camera_scripts():
    # Since Blender 5.0, Cycles runs the script of a camera of the type CUSTOM also where OSL is off. Drivers
    # may set the type.
    for camera in bpy.data.cameras:
        script, file = getattr(camera, "custom_shader", None), getattr(camera, "custom_filepath", "")
        name = script.name if script else os.path.basename(file.replace("\\", "/"))
        has_script = name or getattr(camera, "custom_bytecode", "")
        if has_script and is_used(camera) and (camera.type == "CUSTOM" or camera.animation_data is not None):
            yield 'camera "%s"' % camera.name, name or camera.name

def keep_scripts_off(scenes):
    # Blender's switch for scripts does not hold for Freestyle, which runs text blocks during the render
    # (Blender's manual, "Scripting & Security"), and is not meant for OSL. A scene whose picture needs
    # one is refused: rendered without it, it would be wrong. Otherwise all text blocks go, because what is off
    # now may be switched on by an F-curve.
    for one in scenes:
        for layer in one.view_layers:
            scripts = freestyle_scripts(one, layer)
            if scripts:
                refuse_script('Freestyle of view layer "%s"' % layer.name, scripts[0].name)
    for who, script in camera_scripts():
        refuse_script(who, script)
    osl = any(getattr(getattr(one, "cycles", None), "shading_system", False) for one in scenes)
    for who, used, tree in shader_trees():
        for node in [node for node in tree.nodes if node.type == "SCRIPT"]:
            name = node.script.name if node.script else os.path.basename(node.filepath.replace("\\", "/"))
            if osl and used and (name or node.bytecode):
                refuse_script(who, name or node.name)
            # Without OSL, Cycles renders as if the node were not there.
            tree.nodes.remove(node)
    for one in bpy.data.scenes:
        for layer in one.view_layers:
            layer.freestyle_settings.mode = "EDITOR"
    for text in reversed(list(bpy.data.texts)):
        bpy.data.texts.remove(text)

def prepare():
    remove_file_outputs()
    keep_no_result_cache()
    scene = named(bpy.data.scenes, wanted["scene"], "scene") if wanted["scene"] else bpy.context.scene
    scenes = rendered_scenes(scene)
    used = used_data(scenes)
    if not wanted["scripts"]:
        check_scripts(scenes, used)
        keep_scripts_off(scenes)
    check_nodes(used)
    check_files(scenes, used)
    render = scene.render
    if render.use_multiview and render.image_settings.views_format == "INDIVIDUAL":
        refuse("the scene writes one file for each stereo view: render one view, or both into one file")
    render.use_overwrite = True
    render.use_placeholder = False
    if wanted["engine"]:
        choose_engine(scene, wanted["engine"])
    if wanted["resolution_percentage"]:
        render.resolution_percentage = wanted["resolution_percentage"]
    # Before what depends on the engine: an engine that this Blender does not have reads as EEVEE.
    tell_engines(scene, scenes[1:] if wanted["engine"] else scenes)
    if wanted["samples"]:
        set_samples(scene, wanted["samples"])
    if wanted["denoise"] is not None:
        set_denoise(scene, wanted["denoise"])
    if wanted["camera"]:
        set_camera(scene, wanted["camera"])
    if wanted["below_zero"]:
        reach_below_zero(scene)
    simulate(scene, scenes, used)

try:
    prepare()
except Exception as problem:
    stop("could not prepare the scene: %s: %s" % (type(problem).__name__, problem))
`;
