"""Images: where they lie, how their paths are written, and what is missing."""
import os
import shutil
import subprocess

import bpy

from basics import LFS_POINTER
from common import (
    BLUE, CYAN, GREEN, RED, YELLOW, cube, fresh, glow, image_at, picture, save, save_relative, use_small_frames, write,
)

COLOURS = [RED, GREEN, BLUE, YELLOW, CYAN]


def textured(blend, stored, source="FILE"):
    """A scene whose cube shows the image of this stored path. Returns the node of the image."""
    fresh()
    node = glow(cube(), image_at(stored, source))
    if blend is not None:
        save(blend)
    return node


def below(root):
    picture(root + "/textures/floor.png")
    textured(root + "/shot.blend", "//textures/floor.png")


def beside(root):
    picture(root + "/textures/floor.png")
    textured(root + "/shots/shot.blend", "//../textures/floor.png")


def absolute(root):
    picture(root + "/textures/floor.png")
    textured(root + "/shot.blend", root + "/textures/floor.png")


def absolute_elsewhere(root):
    """Another disk: nothing above both but the root of the file system."""
    picture(root + "/disk/library/floor.png")
    textured(root + "/project/shots/shot.blend", root + "/disk/library/floor.png")


def linked_folder(root):
    """`textures` is a link to a share outside of the project."""
    picture(root + "/share/textures/floor.png")
    textured(root + "/project/shot.blend", "//textures/floor.png")
    os.symlink(root + "/share/textures", root + "/project/textures")


def windows_relative(root):
    picture(root + "/textures/sub/floor.png")
    textured(root + "/shot.blend", "//textures\\sub\\floor.png")


def windows_absolute(root):
    textured(root + "/shot.blend", "C:\\proj\\textures\\floor.png")


def windows_sequence(root):
    numbered(root)
    as_sequence(textured(None, "//seq\\img_0001.png", "SEQUENCE"))
    save(root + "/shot.blend")


def missing(root):
    textured(root + "/shot.blend", "//textures/lost.png")


def lfs_pointer(root):
    write(root + "/textures/floor.png", LFS_POINTER)
    textured(root + "/shot.blend", "//textures/floor.png")


def case_clash(root):
    """Two names that differ in case only: one file on Windows and macOS."""
    picture(root + "/textures/Floor.png", RED)
    picture(root + "/textures/floor.png", GREEN)
    fresh()
    glow(cube(), image_at("//textures/Floor.png"))
    bpy.ops.mesh.primitive_plane_add(size=20)
    glow(bpy.context.object, image_at("//textures/floor.png"))
    save(root + "/shot.blend")


def reserved_name(root):
    """`aux.png` cannot exist on Windows."""
    picture(root + "/textures/aux.png")
    textured(root + "/shot.blend", "//textures/aux.png")


def packed(root):
    picture(root + "/gone/floor.png")
    fresh()
    image = bpy.data.images.load(root + "/gone/floor.png")
    image.pack()
    glow(cube(), image)
    save_relative(root + "/shot.blend")
    shutil.rmtree(root + "/gone")


def numbered(root):
    for number, colour in enumerate(COLOURS, 1):
        picture("%s/seq/img_%04d.png" % (root, number), colour)


def as_sequence(node, frames=5):
    node.image_user.frame_duration, node.image_user.frame_start = frames, 1
    node.image_user.use_auto_refresh = True


def sequence(root):
    numbered(root)
    as_sequence(textured(None, "//seq/img_0001.png", "SEQUENCE"))
    save(root + "/shot.blend")


def sequence_hole(root):
    sequence(root)
    os.remove(root + "/seq/img_0003.png")


def udim(root):
    """The plane lies over the tiles 1001 and 1002."""
    picture(root + "/tiles/wall.1001.png", RED)
    picture(root + "/tiles/wall.1002.png", GREEN)
    fresh()
    bpy.data.objects.remove(cube())
    bpy.ops.mesh.primitive_plane_add(size=6)
    plane = bpy.context.object
    for corner in plane.data.uv_layers.active.data:
        corner.uv.x *= 2
    image = bpy.data.images.load(root + "/tiles/wall.1001.png")
    image.source, image.filepath = "TILED", "//tiles/wall.<UDIM>.png"
    if 1002 not in [tile.number for tile in image.tiles]:
        image.tiles.new(tile_number=1002)
    glow(plane, image)
    save(root + "/shot.blend")


def udim_hole(root):
    udim(root)
    os.remove(root + "/tiles/wall.1002.png")


def clip_file(path, source="testsrc"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source + "=s=32x32:r=24:d=1", "-pix_fmt", "yuv420p", path],
        check=True,
    )


def movie(root):
    clip_file(root + "/movies/clip.mp4")
    node = textured(None, "//movies/clip.mp4", "MOVIE")
    as_sequence(node, 24)
    save(root + "/shot.blend")


def ies_light(root):
    """A lamp whose light profile lies in a file."""
    angles = "0 30 60 90"
    write(
        root + "/lights/spot.ies",
        "IESNA:LM-63-1995\nTILT=NONE\n1 1000 1 4 1 1 2 0 0 0\n1 1 100\n%s\n0\n1000 50 5 0\n" % angles,
    )
    fresh()
    light = bpy.data.objects["Light"].data
    light.use_nodes = True
    tree = light.node_tree
    profile = tree.nodes.new("ShaderNodeTexIES")
    profile.mode, profile.filepath = "EXTERNAL", "//lights/spot.ies"
    emission = next(node for node in tree.nodes if node.type == "EMISSION")
    tree.links.new(profile.outputs[0], emission.inputs["Strength"])
    save(root + "/shot.blend")


def ies_missing(root):
    ies_light(root)
    shutil.rmtree(root + "/lights")


def reference_on_empty(root):
    """Empties are never rendered."""
    scene = fresh()
    empty = bpy.data.objects.new("Blueprint", None)
    empty.empty_display_type, empty.data = "IMAGE", image_at("C:\\Users\\ann\\Desktop\\front.jpg")
    scene.collection.objects.link(empty)
    save(root + "/shot.blend")


def camera_background(root):
    """Only the viewport shows it."""
    background = fresh().camera.data.background_images.new()
    background.image = image_at("//refs/plate.jpg")
    save(root + "/shot.blend")


def fake_user(root):
    """A material that is kept, and is on no object."""
    fresh()
    material = bpy.data.materials.new("Old")
    material.use_nodes = material.use_fake_user = True
    material.node_tree.nodes.new("ShaderNodeTexImage").image = image_at("//textures/old.png")
    save(root + "/shot.blend")


def other_scene(root):
    """Another scene of the file needs a texture that is gone; this one does not."""
    fresh()
    other = bpy.data.scenes.new("Old set")
    use_small_frames(other)
    mesh = bpy.data.meshes.new("Wall")
    wall = bpy.data.objects.new("Wall", mesh)
    glow(wall, image_at("//textures/old.png"))
    other.collection.objects.link(wall)
    save(root + "/shot.blend")
