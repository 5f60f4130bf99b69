"""Linked data: libraries below the file, beside it, nested, gone, and packed."""
import os
import shutil

import bpy

from common import BLUE, GREEN, RED, cube, fresh, glow, image_at, picture, save


def character(path, stored, colour):
    """A library with the collection `Cast`: a cube that shows the image of this stored path."""
    scene = fresh()
    body = cube()
    body.name = "Char"
    glow(body, image_at(stored))
    cast = bpy.data.collections.new("Cast")
    scene.collection.children.link(cast)
    for collection in list(body.users_collection):
        collection.objects.unlink(body)
    cast.objects.link(body)
    save(path)


def instance(library, stored, collection="Cast"):
    """In the present scene, an instance of a collection of a library, whose path is stored like this."""
    scene = bpy.context.scene
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.collections = [collection]
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", wanted.collections[0]
    scene.collection.objects.link(empty)
    bpy.data.libraries[os.path.basename(library)].filepath = stored


def shot_of(library, blend, stored):
    fresh()
    bpy.data.objects.remove(cube())
    instance(library, stored)
    save(blend)


def below(root):
    picture(root + "/libs/tex/skin.png", RED)
    character(root + "/libs/char.blend", "//tex/skin.png", RED)
    shot_of(root + "/libs/char.blend", root + "/shot.blend", "//libs/char.blend")


def beside(root):
    """The usual project: shots/, lib/ and textures/ side by side."""
    picture(root + "/textures/skin.png", GREEN)
    character(root + "/lib/char.blend", "//../textures/skin.png", GREEN)
    shot_of(root + "/lib/char.blend", root + "/shots/shot.blend", "//../lib/char.blend")


def nested(root):
    """The shot links a set, and the set links a prop with a texture of its own folder."""
    picture(root + "/libs/deep/tex/prop.png", BLUE)
    character(root + "/libs/deep/prop.blend", "//tex/prop.png", BLUE)
    scene = fresh()
    bpy.data.objects.remove(cube())
    instance(root + "/libs/deep/prop.blend", "//deep/prop.blend")
    group = bpy.data.collections.new("Set")
    scene.collection.children.link(group)
    group.objects.link(bpy.data.objects["Instance"])
    save(root + "/libs/set.blend")
    fresh()
    bpy.data.objects.remove(cube())
    instance(root + "/libs/set.blend", "//libs/set.blend", "Set")
    save(root + "/shot.blend")


def absolute(root):
    """The library on another disk, with a texture beside it."""
    picture(root + "/disk/textures/skin.png", GREEN)
    character(root + "/disk/lib/char.blend", "//../textures/skin.png", GREEN)
    library = root + "/disk/lib/char.blend"
    shot_of(library, root + "/project/shot.blend", library)


def windows_path(root):
    picture(root + "/libs/tex/skin.png", RED)
    character(root + "/libs/char.blend", "//tex\\skin.png", RED)
    shot_of(root + "/libs/char.blend", root + "/shot.blend", "//libs\\char.blend")


def override(root):
    """An object of the library that is moved in the shot."""
    picture(root + "/libs/tex/skin.png", RED)
    character(root + "/libs/char.blend", "//tex/skin.png", RED)
    scene = fresh()
    bpy.data.objects.remove(cube())
    with bpy.data.libraries.load(root + "/libs/char.blend", link=True) as (_, wanted):
        wanted.objects = ["Char"]
    own = wanted.objects[0].override_create(remap_local_usages=True)
    scene.collection.objects.link(own)
    own.location.x = 1.5
    bpy.data.libraries["char.blend"].filepath = "//libs/char.blend"
    save(root + "/shot.blend")


def missing(root):
    below(root)
    os.remove(root + "/libs/char.blend")


def missing_texture(root):
    """The library is there, its texture is not."""
    below(root)
    shutil.rmtree(root + "/libs/tex")


def data_gone(root):
    """What the shot links was renamed in the library."""
    below(root)
    fresh()
    save(root + "/libs/char.blend")


def packed_linked(root):
    """Blender 5.0 keeps linked data in the file; the library itself is gone."""
    fresh()
    cube().name = "Char"
    save(root + "/src/char.blend")
    scene = fresh()
    bpy.data.objects.remove(cube())
    with bpy.data.libraries.load(root + "/src/char.blend", link=True, pack=True) as (_, wanted):
        wanted.objects = ["Char"]
    scene.collection.objects.link(wanted.objects[0])
    save(root + "/shot.blend")
    shutil.rmtree(root + "/src")
