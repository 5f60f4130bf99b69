"""Acts as the program `blender`, in background mode, over the `bpy` module of PyPI (4.2 to 5.0).

Run as: PYTHON blender.py ARGUMENTS…, with the Python of an environment that has bpy.

Blender's own code loads, evaluates and renders; its report lines, `Fra:` and `Saved:` lines and tracebacks
are its own, too. What is acted out here is the command line, as `source/creator/creator_args.cc` reads it:
options that hold for the whole run first, then the rest in their order. Exit codes are Blender's: 1 for a
file that cannot be read, the code of `--python-exit-code` for an error in a script, otherwise 0.

Limits:

- It always runs with Blender's factory settings: add-ons and preferences of a user are not there.
- `-f` and `-a` render frame by frame with an operator. A frame below 0 is rendered as a still, because the
  operator's range cannot hold it; its file's name is the same.
- Blender 5.0 prints `Fra:` lines only in its log category `render`, which the module has no switch for. They
  are printed from the handler `render_stats`, in the format of the 5.0 program.
- The module says `Loading "X" failed:` in front of the reason why a file cannot be read.
- Other options than those below are an error.
"""
import os
import sys
import time
import traceback

BEGAN = time.monotonic()

import bpy  # noqa: E402

VERSION = bpy.app.version

# Options of the whole run, wherever they stand; the number is that of their values.
WHOLE_RUN = {
    "-b": 0, "--background": 0, "--factory-startup": 0, "-noaudio": 0, "--quiet": 0,
    "-y": 0, "--enable-autoexec": 0, "-Y": 0, "--disable-autoexec": 0, "-t": 1, "--threads": 1,
}
# Options that act where they stand.
IN_ORDER = {
    "--python-exit-code": 1, "--python-expr": 1, "-P": 1, "--python": 1, "-S": 1, "--scene": 1,
    "-o": 1, "--render-output": 1, "-F": 1, "--render-format": 1, "-x": 1, "--use-extension": 1,
    "-E": 1, "--engine": 1, "-s": 1, "--frame-start": 1, "-e": 1, "--frame-end": 1,
    "-j": 1, "--frame-jump": 1, "-f": 1, "--render-frame": 1, "-a": 0, "--render-anim": 0,
}


def say(text):
    """Print past Python's buffer, in order with the lines that Blender's C code prints."""
    sys.stdout.flush()
    os.write(1, (text + "\n").encode("utf-8", "backslashreplace"))


def leave(code):
    """End as Blender does. Python's own end would run handlers of a module that is half taken down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def stamp():
    seconds = time.monotonic() - BEGAN
    return "%02d:%06.3f  render           | " % (seconds // 60, seconds % 60)


def absolute(text):
    if text[0] in "+-":
        say("Error: this shim knows no relative frames for -s and -e")
        leave(1)
    return int(text)


class Run:
    """What the options seen so far have set."""

    def __init__(self):
        self.python_exit_code = 0
        self.autoexec = False
        self.names = {"__name__": "__main__", "__builtins__": __builtins__}

    @property
    def scene(self):
        return bpy.context.scene

    def load(self, path):
        try:
            bpy.ops.wm.open_mainfile(filepath=os.path.abspath(path), use_scripts=self.autoexec)
        except RuntimeError:
            # The operator has printed the reason.
            say("\nBlender quit")
            leave(1)

    def python(self, code, name, what):
        try:
            exec(compile(code, name, "exec"), self.names)
        except SystemExit as wanted:
            leave(wanted.code if isinstance(wanted.code, int) else 0 if wanted.code is None else 1)
        except BaseException as problem:
            sys.stdout.flush()
            # The first entry is this file.
            traceback.print_exception(type(problem), problem, problem.__traceback__.tb_next)
            if self.python_exit_code:
                print("\nError: script failed, %s, exiting." % what, file=sys.stderr)
                leave(self.python_exit_code)

    def set_format(self, name):
        settings = self.scene.render.image_settings
        if VERSION >= (5, 0, 0):
            kinds = {"FFMPEG": "VIDEO", "OPEN_EXR_MULTILAYER": "MULTI_LAYER_IMAGE"}
            settings.media_type = kinds.get(name, "IMAGE")
        try:
            settings.file_format = name
        except TypeError:
            say("Error: Format from '-F / --render-format' not known or not compiled in this release.")

    def set_scene(self, name):
        if name in bpy.data.scenes:
            bpy.context.window.scene = bpy.data.scenes[name]
        else:
            say("Can't find scene: '%s'" % name)

    def frames_of(self, text):
        """`3,5..8,-1`: +N counts from the first frame, -N from the frame after the last one."""
        scene = self.scene

        def number(part):
            value = int(part)
            if part.startswith("+"):
                return scene.frame_start + value
            return scene.frame_end + 1 + value if part.startswith("-") else value

        for part in text.split(","):
            first, dots, last = part.partition("..")
            yield from range(number(first), number(last) + 1) if dots else [number(first)]

    def render(self, frames):
        for frame in frames:
            if VERSION >= (5, 0, 0):
                say("%sRendering frame %d" % (stamp(), frame))
            try:
                if frame < 0:
                    self.render_still(frame)
                else:
                    self.render_one(frame)
            except RuntimeError:
                # The operator has printed the report. Blender goes on, too.
                pass

    def render_one(self, frame):
        scene = self.scene
        kept = (scene.frame_start, scene.frame_end)
        scene.frame_start = scene.frame_end = frame
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        finally:
            scene.frame_start, scene.frame_end = kept

    def render_still(self, frame):
        scene = self.scene
        bpy.context.preferences.edit.use_negative_frames = True
        kept = (scene.render.filepath, scene.render.use_file_extension)
        path = scene.render.frame_path(frame=frame)
        scene.frame_set(frame)
        scene.render.filepath, scene.render.use_file_extension = path, False
        try:
            bpy.ops.render.render(write_still=True, scene=scene.name)
        finally:
            scene.render.filepath, scene.render.use_file_extension = kept

    def render_animation(self):
        scene = self.scene
        self.render(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))

    def act(self, option, value):
        if option == "--python-exit-code":
            self.python_exit_code = int(value)
        elif option == "--python-expr":
            self.python(value, "<string>", "expr: '%s'" % value)
        elif option in ("-P", "--python"):
            with open(value, encoding="utf-8") as file:
                code = file.read()
            self.names["__file__"] = value
            self.python(code, value, "file: '%s'" % value)
        elif option in ("-S", "--scene"):
            self.set_scene(value)
        elif option in ("-o", "--render-output"):
            self.scene.render.filepath = value
        elif option in ("-F", "--render-format"):
            self.set_format(value)
        elif option in ("-x", "--use-extension"):
            self.scene.render.use_file_extension = value == "1"
        elif option in ("-E", "--engine"):
            self.scene.render.engine = value
        elif option in ("-s", "--frame-start"):
            self.scene.frame_start = absolute(value)
        elif option in ("-e", "--frame-end"):
            self.scene.frame_end = absolute(value)
        elif option in ("-j", "--frame-jump"):
            self.scene.frame_step = int(value)
        elif option in ("-f", "--render-frame"):
            self.render(list(self.frames_of(value)))
        else:
            self.render_animation()


def print_version():
    say("Blender %s\n\tbuild date: %s" % (bpy.app.version_string, bpy.app.build_date.decode()))
    leave(0)


def read(args):
    """The options of the whole run, and the steps in their order: (option, value) or (None, file)."""
    whole, steps = [], []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        values = WHOLE_RUN.get(word, IN_ORDER.get(word, 0))
        if len(rest) < values:
            say("Error: you must specify a value for '%s'." % word)
            leave(1)
        value = rest.pop(0) if values else None
        if word in WHOLE_RUN:
            whole.append(word)
        elif word in IN_ORDER:
            steps.append((word, value))
        elif word.startswith("-"):
            say("unknown argument: %s" % word)
            leave(1)
        else:
            steps.append((None, word))
    return whole, steps


def print_stats(*details):
    if details and isinstance(details[0], str):
        say("%sFra: %d | %s" % (stamp(), bpy.context.scene.frame_current, details[0]))


def keep_stats(*_):
    """Loading a file clears the handlers."""
    if print_stats not in bpy.app.handlers.render_stats:
        bpy.app.handlers.render_stats.append(print_stats)


def main(args):
    if "--version" in args or "-v" in args:
        print_version()
    whole, steps = read(args)
    build = bpy.app
    say("Blender %s (hash %s built %s %s)" % (
        build.version_string, build.build_hash.decode(), build.build_date.decode(), build.build_time.decode()))
    run = Run()
    for word in whole:
        if word in ("-y", "--enable-autoexec"):
            run.autoexec = True
        elif word in ("-Y", "--disable-autoexec"):
            run.autoexec = False
    bpy.context.preferences.filepaths.use_scripts_auto_execute = run.autoexec
    if VERSION >= (5, 0, 0):
        bpy.app.handlers.persistent(keep_stats)
        bpy.app.handlers.load_post.append(keep_stats)
        keep_stats()
    for option, value in steps:
        if option is None:
            run.load(value)
        else:
            run.act(option, value)
    say("\nBlender quit")
    leave(0)


main(sys.argv[1:])
