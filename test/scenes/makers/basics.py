"""Frames, cameras, sizes and the file itself."""
import gzip
import os

import bpy

from common import cube, fresh, move, save, use_small_frames, write


def plain(root):
    fresh()
    move(cube())
    save(root + "/shot.blend", compress=False)


def zstd(root):
    fresh()
    save(root + "/shot.blend", compress=True)


def gzip_of_2_9(root):
    """Blender wrote gzip until 2.93, and still reads it."""
    fresh()
    save(root + "/plain.blend", compress=False)
    with open(root + "/plain.blend", "rb") as file:
        write(root + "/shot.blend", gzip.compress(file.read()))
    os.remove(root + "/plain.blend")


def unicode_name(root):
    fresh()
    save(root + "/Žluťoučký kůň 日本 é.blend")


def truncated(root):
    fresh()
    save(root + "/shot.blend", compress=False)
    os.truncate(root + "/shot.blend", os.path.getsize(root + "/shot.blend") // 4)


def lfs_blend(root):
    """What Git leaves in a scene's place where Git LFS is not installed."""
    write(root + "/shot.blend", LFS_POINTER)


LFS_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def metaball(root):
    """AgX is the standard since 4.0: an older Blender shows the scene with other colours."""
    scene = fresh()
    bpy.data.objects.remove(cube())
    for mesh in list(bpy.data.meshes):
        bpy.data.meshes.remove(mesh)
    bpy.ops.object.metaball_add(type="BALL", radius=3)
    scene.world.node_tree.nodes["Background"].inputs[1].default_value = 8
    save(root + "/shot.blend")


def negative_frames(root):
    fresh()
    move(cube(), first=-5)
    save(root + "/shot.blend")


def frame_step(root):
    scene = fresh()
    move(cube())
    scene.frame_start, scene.frame_end, scene.frame_step = 3, 9, 3
    save(root + "/shot.blend")


def two_scenes(root):
    """The active scene is not the one that is asked for."""
    first = fresh()
    other = bpy.data.scenes.new("Close-up")
    use_small_frames(other)
    other.world, other.camera = first.world, first.camera
    for thing in first.objects:
        other.collection.objects.link(thing)
    other.render.resolution_x = 48
    save(root + "/shot.blend")


def no_camera(root):
    fresh()
    bpy.data.objects.remove(bpy.data.objects["Camera"])
    save(root + "/shot.blend")


def camera_markers(root):
    scene = fresh()
    for name, frame, far in (("Near", 1, -6), ("Far", 3, -14)):
        camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        scene.collection.objects.link(camera)
        camera.location, camera.rotation_euler = (0, far, 0), (1.57, 0, 0)
        scene.timeline_markers.new(name, frame=frame).camera = camera
    save(root + "/shot.blend")


def border_crop(root):
    render = fresh().render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.25, 0.75, 0.25, 0.75
    save(root + "/shot.blend")


def stereo_views(root):
    """One file for each eye."""
    fresh().render.use_multiview = True
    save(root + "/shot.blend")


def stereo_3d(root):
    """Both eyes in one file."""
    render = fresh().render
    render.use_multiview = True
    render.image_settings.views_format = "STEREO_3D"
    save(root + "/shot.blend")


def persistent_data(root):
    fresh().render.use_persistent_data = True
    move(cube())
    save(root + "/shot.blend")


def output_to_nowhere(root):
    """What a scene says of its own output must not matter."""
    render = fresh().render
    render.filepath = "/nowhere/that/does/exist/shot_"
    render.use_file_extension = render.use_overwrite = False
    render.use_placeholder = True
    save(root + "/shot.blend")


def movie_output(root):
    render = fresh().render
    move(cube())
    if bpy.app.version >= (5, 0, 0):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec, render.filepath = "MPEG4", "H264", "//movie/"
    save(root + "/shot.blend")


def black_frame(root):
    """Frame 3 alone is black: the light, the world and the lamp in the cube are off in it."""
    scene = fresh()
    bpy.data.objects["Light"].hide_render = True
    strength = scene.world.node_tree.nodes["Background"].inputs["Strength"]
    for frame, value in ((2, 1.0), (3, 0.0), (4, 1.0)):
        strength.default_value = value
        strength.keyframe_insert("default_value", frame=frame)
    move(cube())
    save(root + "/shot.blend")


def compositor_tree(scene):
    """The scene's compositor, with its render layer linked to the result: (tree, render layer, result's input)."""
    if bpy.app.version >= (5, 0, 0):
        tree = bpy.data.node_groups.new("Comp", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        layers, result = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
        tree.links.new(layers.outputs[0], result.inputs[0])
        return tree, layers, result.inputs[0]
    scene.use_nodes = True
    tree = scene.node_tree
    return tree, tree.nodes["Render Layers"], tree.nodes["Composite"].inputs[0]


def compositor(root):
    tree, layers, result = compositor_tree(fresh())
    invert = tree.nodes.new("CompositorNodeInvert")
    tree.links.new(layers.outputs[0], invert.inputs["Color"])
    tree.links.new(invert.outputs[0], result)
    save(root + "/shot.blend")


def file_output(root):
    tree, layers, _ = compositor_tree(fresh())
    node = tree.nodes.new("CompositorNodeOutputFile")
    if bpy.app.version >= (5, 0, 0):
        node.directory, node.file_name = "//passes/", "beauty"
        node.file_output_items.new("RGBA", "beauty")
    else:
        node.base_path = "//passes/"
    tree.links.new(layers.outputs[0], node.inputs[0])
    save(root + "/shot.blend")
