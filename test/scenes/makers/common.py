"""What all makers of scenes share: small scenes for Blender 3.4 to 5.0.

Cycles on the CPU, 64×36 pixels, one sample, no denoiser: a frame takes a few hundredths of a second.
"""
import os

import bpy

VERSION = bpy.app.version
RED, GREEN, BLUE, YELLOW, CYAN = (1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1), (1, 1, 0, 1), (0, 1, 1, 1)


def use_small_frames(scene):
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 1
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 64, 36, 100
    scene.frame_start, scene.frame_end = 1, 10


def fresh():
    """The default cube, light and camera."""
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    scene = bpy.context.scene
    use_small_frames(scene)
    return scene


def cube():
    return bpy.data.objects["Cube"]


def save(path, **options):
    """Save without changing any path in the file, unless `relative_remap` is given."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, **{"relative_remap": False, **options})


def save_relative(path):
    """Save as an artist does: paths are made relative to the file."""
    save(path)
    bpy.ops.file.make_paths_relative()
    save(path)


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))


def picture(path, colour=RED, side=8):
    """Write a PNG of one colour."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = bpy.data.images.new("made", side, side)
    image.pixels[:] = list(colour) * (side * side)
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()
    bpy.data.images.remove(image)


def image_at(stored, source="FILE"):
    """An image data-block with this stored path, whether there is such a file or not."""
    image = bpy.data.images.new(os.path.basename(stored.replace("\\", "/")), 8, 8)
    image.source, image.filepath = source, stored
    return image


def glow(thing, image):
    """Show an image unchanged: its texels emit light. Returns the node of the image."""
    material = bpy.data.materials.new("Screen")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture = nodes.new("ShaderNodeTexImage")
    texture.image, texture.interpolation = image, "Closest"
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(texture.outputs["Color"], emission.inputs["Color"])
    links.new(emission.outputs[0], output.inputs[0])
    thing.data.materials.clear()
    thing.data.materials.append(material)
    return texture


def move(thing, start=-2, end=2, first=1, last=10):
    """Along X, so that every frame is another picture."""
    for frame, x in ((first, start), (last, end)):
        thing.location.x = x
        thing.keyframe_insert("location", frame=frame)


def text_block(name, content, register=False):
    block = bpy.data.texts.new(name)
    block.from_string(content)
    block.use_module = register
    return block


def new_strips(scene):
    """The list of strips of a new sequencer."""
    editor = scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences
