"""Makes scenes of the corpus in one run of Blender.

Run as: blender -b --factory-startup --python-exit-code 1 --python make.py -- FOLDER NAME=MODULE.FUNCTION…

Each scene gets the folder FOLDER/NAME. A maker that fails does not keep the others from being made; the
last line is then `not made: NAME, NAME`, and the exit code is 1.
"""
import importlib
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "makers"))

folder, *wanted = sys.argv[sys.argv.index("--") + 1 :]
failed = []
for entry in wanted:
    name, maker = entry.split("=")
    module, function = maker.split(".")
    root = os.path.join(folder, name)
    os.makedirs(root)
    print("making", name, flush=True)
    try:
        getattr(importlib.import_module(module), function)(root)
    except Exception:
        traceback.print_exc()
        failed.append(name)
if failed:
    raise RuntimeError("not made: " + ", ".join(failed))
