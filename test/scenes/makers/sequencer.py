"""The video sequencer as the source of the picture."""
import os
import subprocess

import bpy

from common import cube, fresh, move, new_strips, picture, save, save_relative, use_small_frames
from textures import COLOURS, clip_file


def images(root):
    for number, colour in enumerate(COLOURS, 1):
        picture("%s/seq/img_%04d.png" % (root, number), colour, side=64)
    strip = new_strips(fresh()).new_image("images", root + "/seq/img_0001.png", 1, 1)
    for number in range(2, len(COLOURS) + 1):
        strip.elements.append("img_%04d.png" % number)
    save_relative(root + "/shot.blend")


def images_hole(root):
    images(root)
    os.remove(root + "/seq/img_0003.png")


def movie(root):
    clip_file(root + "/movies/clip.mp4")
    new_strips(fresh()).new_movie("movie", root + "/movies/clip.mp4", 1, 1)
    save_relative(root + "/shot.blend")


def movie_missing(root):
    movie(root)
    os.remove(root + "/movies/clip.mp4")


def scene_strip(root):
    """An edit that shows another scene, four frames later."""
    shot = fresh()
    move(cube())
    edit = bpy.data.scenes.new("Edit")
    use_small_frames(edit)
    strip = new_strips(edit).new_scene("shot", shot, 1, 1)
    strip.frame_start = -3
    bpy.context.window.scene = edit
    save(root + "/shot.blend")


def sound_missing(root):
    """No pixel depends on a sound."""
    os.makedirs(root + "/sounds")
    sound = root + "/sounds/beep.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=d=1", sound], check=True)
    picture(root + "/seq/img_0001.png", COLOURS[0], side=64)
    strips = new_strips(fresh())
    strips.new_image("image", root + "/seq/img_0001.png", 1, 1)
    strips.new_sound("beep", sound, 2, 1)
    save_relative(root + "/shot.blend")
    os.remove(sound)
