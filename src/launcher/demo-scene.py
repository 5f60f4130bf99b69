"""Makes the demo's scene: a dance floor of tiles that moves like a skirt in a turn, 24 frames that loop.

Run as: blender -b --factory-startup --python-exit-code 1 --python demo-scene.py -- FILE.blend
"""
import colorsys
import math
import sys

import bpy

TILES = 15
FRAMES = 24
target = sys.argv[sys.argv.index("--") + 1]

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.frame_start, scene.frame_end = 1, FRAMES
scene.render.fps = 24
scene.render.engine = "CYCLES"
scene.render.resolution_x, scene.render.resolution_y = 480, 270
scene.render.resolution_percentage = 100
scene.render.use_persistent_data = True
scene.cycles.device = "CPU"
scene.cycles.samples = 10
# Many builds come without a denoiser, and fail when asked for it.
scene.cycles.use_denoising = False
scene.cycles.use_adaptive_sampling = False
scene.cycles.max_bounces = 2
scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False

world = bpy.data.worlds.new("Night")
world.use_nodes = True
background = world.node_tree.nodes["Background"]
background.inputs["Color"].default_value = (0.045, 0.05, 0.11, 1)
background.inputs["Strength"].default_value = 1.0
scene.world = world


def material(name, color, roughness=0.45):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = roughness
    return made


def smooth_cube():
    bpy.ops.mesh.primitive_cube_add(size=0.86)
    made = bpy.context.object
    bevel = made.modifiers.new("Bevel", "BEVEL")
    bevel.width, bevel.segments = 0.07, 2
    bpy.ops.object.modifier_apply(modifier=bevel.name)
    mesh = made.data
    bpy.data.objects.remove(made)
    return mesh


tile = smooth_cube()
half = (TILES - 1) / 2
for row in range(TILES):
    for column in range(TILES):
        x, y = column - half, row - half
        distance = math.hypot(x, y)
        if distance > half + 0.3:
            continue
        angle = math.atan2(y, x)
        color = colorsys.hsv_to_rgb((0.93 + 0.17 * distance / half) % 1, 0.93, 0.85)
        thing = bpy.data.objects.new(f"Tile {row}-{column}", tile.copy())
        thing.data.materials.append(material(thing.name, color))
        thing.scale.z = 2.2
        scene.collection.objects.link(thing)
        # One spiral wave runs once round in all frames, so frame FRAMES + 1 would be frame 1.
        for frame in range(1, FRAMES + 1):
            turn = 2 * math.pi * (frame - 1) / FRAMES
            thing.location = (x, y, 0.85 * math.sin(turn - 0.8 * distance + 2 * angle) * (1 - math.exp(-0.5 * distance)))
            thing.keyframe_insert("location", frame=frame)

floor_mesh = bpy.data.meshes.new("Floor")
floor_mesh.from_pydata([(-60, -60, -1.6), (60, -60, -1.6), (60, 60, -1.6), (-60, 60, -1.6)], [], [(0, 1, 2, 3)])
floor = bpy.data.objects.new("Floor", floor_mesh)
floor.data.materials.append(material("Floor", (0.035, 0.03, 0.05), 0.6))
scene.collection.objects.link(floor)


def area_light(name, location, power, color, size):
    light = bpy.data.lights.new(name, "AREA")
    light.energy, light.color, light.size = power, color, size
    thing = bpy.data.objects.new(name, light)
    thing.location = location
    aim(thing, (0, 0, 0))
    scene.collection.objects.link(thing)


def aim(thing, at):
    direction = [at[i] - thing.location[i] for i in range(3)]
    yaw = math.atan2(direction[1], direction[0])
    pitch = math.atan2(direction[2], math.hypot(direction[0], direction[1]))
    thing.rotation_euler = (math.pi / 2 + pitch, 0, yaw - math.pi / 2)


area_light("Key", (-9, -5, 11), 900, (1.0, 0.82, 0.62), 3)
area_light("Rim", (10, 8, 5), 700, (0.3, 0.45, 1.0), 3)

camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
camera.data.lens = 44
camera.location = (0, -19, 11)
aim(camera, (0, -0.3, -0.6))
scene.collection.objects.link(camera)
scene.camera = camera

bpy.ops.wm.save_as_mainfile(filepath=target, compress=True)
