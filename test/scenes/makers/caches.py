"""Fonts, caches and volumes that lie beside the file."""
import gzip
import os
import shutil
import struct

import bpy

from common import cube, fresh, move, save, save_relative, write

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures")


def font(root):
    """Any font but the built-in one: Blender brings some for its own interface."""
    fonts = os.path.join(bpy.utils.system_resource("DATAFILES"), "fonts")
    wanted = next(name for name in sorted(os.listdir(fonts)) if name.startswith("DejaVuSansMono"))
    os.makedirs(root + "/fonts")
    shutil.copy(os.path.join(fonts, wanted), root + "/fonts/" + wanted)
    fresh()
    bpy.data.objects.remove(cube())
    bpy.ops.object.text_add(location=(-2, 0, 0))
    text = bpy.context.object
    text.data.body, text.data.size = "Tab", 3
    text.data.font = bpy.data.fonts.load(root + "/fonts/" + wanted)
    save_relative(root + "/shot.blend")


def font_missing(root):
    font(root)
    shutil.rmtree(root + "/fonts")


def alembic(root):
    fresh()
    move(cube())
    os.makedirs(root + "/caches")
    bpy.ops.wm.alembic_export(filepath=root + "/caches/anim.abc", start=1, end=10)
    scene = fresh()
    bpy.data.objects.remove(cube())
    bpy.ops.wm.alembic_import(filepath=root + "/caches/anim.abc")
    scene.camera = bpy.data.objects["Camera"]
    scene.frame_start, scene.frame_end = 1, 10
    save_relative(root + "/shot.blend")


def alembic_missing(root):
    alembic(root)
    shutil.rmtree(root + "/caches")


def volume(root):
    """The fixture was made with Debian's python3-openvdb: a fog of density 1, 13 voxels of 0.15 a side."""
    with gzip.open(os.path.join(FIXTURES, "smoke.vdb.gz")) as file:
        write(root + "/volumes/smoke.vdb", file.read())
    scene = fresh()
    bpy.data.objects.remove(cube())
    data = bpy.data.volumes.new("smoke")
    data.filepath = "//volumes/smoke.vdb"
    scene.collection.objects.link(bpy.data.objects.new("smoke", data))
    material = bpy.data.materials.new("Smoke")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    shader, output = nodes.new("ShaderNodeVolumePrincipled"), nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Emission Strength"].default_value = 2
    links.new(shader.outputs[0], output.inputs["Volume"])
    data.materials.append(material)
    save(root + "/shot.blend")


def volume_missing(root):
    volume(root)
    shutil.rmtree(root + "/volumes")


def mesh_cache(root):
    """A PC2 file: the cube moves away, ten frames."""
    fresh()
    vertices = cube().data.vertices
    os.makedirs(root + "/caches")
    with open(root + "/caches/cube.pc2", "wb") as file:
        file.write(b"POINTCACHE2\0" + struct.pack("<iiffi", 1, len(vertices), 1.0, 1.0, 10))
        for frame in range(10):
            for vertex in vertices:
                file.write(struct.pack("<fff", vertex.co.x + frame * 0.3, vertex.co.y, vertex.co.z))
    modifier = cube().modifiers.new("Cache", "MESH_CACHE")
    modifier.cache_format, modifier.filepath = "PC2", "//caches/cube.pc2"
    save(root + "/shot.blend")


def mesh_cache_missing(root):
    mesh_cache(root)
    shutil.rmtree(root + "/caches")
