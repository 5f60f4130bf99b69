"""Simulations, baked and not baked. Frame 20 depends on the frames before it."""
import os
import shutil

import bpy

from common import cube, fresh, save

LAST = 20


def bake(cache):
    with bpy.context.temp_override(point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)


def rigid_body(root, baked):
    scene = fresh()
    scene.frame_end = LAST
    falling = cube()
    falling.location.z = 3
    bpy.context.view_layer.objects.active = falling
    bpy.ops.rigidbody.object_add()
    bpy.ops.mesh.primitive_plane_add(size=20)
    bpy.ops.rigidbody.object_add()
    bpy.context.object.rigid_body.type = "PASSIVE"
    cache = scene.rigidbody_world.point_cache
    cache.frame_end = LAST
    if baked:
        bake(cache)
    scene.frame_set(1)
    save(root + "/shot.blend")


def rigid_unbaked(root):
    rigid_body(root, False)


def rigid_baked(root):
    rigid_body(root, True)


def cloth(root, baked, disk=False):
    scene = fresh()
    scene.frame_end = LAST
    bpy.data.objects.remove(cube())
    bpy.ops.mesh.primitive_grid_add(size=4, x_subdivisions=8, y_subdivisions=8, location=(0, 0, 2))
    sheet = bpy.context.object
    sheet.name = "Sheet"
    cache = sheet.modifiers.new("Cloth", "CLOTH").point_cache
    cache.frame_end = LAST
    if disk:
        # The cache lies beside the file, so the file must have a place first.
        save(root + "/shot.blend")
        cache.use_disk_cache = True
    if baked:
        bake(cache)
    scene.frame_set(1)
    save(root + "/shot.blend")


def cloth_unbaked(root):
    cloth(root, False)


def cloth_baked(root):
    cloth(root, True)


def cloth_disk_cache(root):
    cloth(root, True, disk=True)


def cloth_disk_cache_missing(root):
    cloth(root, True, disk=True)
    for name in os.listdir(root):
        if name.startswith("blendcache_"):
            shutil.rmtree(os.path.join(root, name))


def moving_geometry():
    """A simulation zone that moves the cube by 0.1 in each frame."""
    scene = fresh()
    scene.frame_end = LAST
    tree = bpy.data.node_groups.new("Sim", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    group_in, group_out = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    begin, end = tree.nodes.new("GeometryNodeSimulationInput"), tree.nodes.new("GeometryNodeSimulationOutput")
    begin.pair_with_output(end)
    step = tree.nodes.new("GeometryNodeTransform")
    step.inputs["Translation"].default_value = (0.1, 0, 0)
    tree.links.new(group_in.outputs[0], begin.inputs["Geometry"])
    tree.links.new(begin.outputs["Geometry"], step.inputs["Geometry"])
    tree.links.new(step.outputs[0], end.inputs["Geometry"])
    tree.links.new(end.outputs["Geometry"], group_out.inputs[0])
    modifier = cube().modifiers.new("Zone", "NODES")
    modifier.node_group = tree
    return scene, modifier


def geometry_unbaked(root):
    moving_geometry()
    save(root + "/shot.blend")


def bake_zone(scene, modifier):
    thing = cube()
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.geometry_node_bake_single(
        session_uid=thing.session_uid, modifier_name=modifier.name, bake_id=modifier.bakes[0].bake_id
    )
    scene.frame_set(1)


def geometry_baked(root):
    """Baked to a folder beside the file."""
    scene, modifier = moving_geometry()
    modifier.bake_directory = "//bake/"
    save(root + "/shot.blend")
    one = modifier.bakes[0]
    one.use_custom_path = False
    if hasattr(one, "bake_target"):
        one.bake_target = "DISK"
    bake_zone(scene, modifier)
    save(root + "/shot.blend")


def geometry_packed(root):
    """Baked into the file."""
    scene, modifier = moving_geometry()
    save(root + "/shot.blend")
    modifier.bakes[0].bake_target = "PACKED"
    bake_zone(scene, modifier)
    save(root + "/shot.blend")
