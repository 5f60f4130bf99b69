/**
 * The part of the Python program (`blender-script.ts`) that decides whether this Blender can render the scene as
 * on the artist's machine: what the render uses, scripts that are off, nodes of add-ons, files, linked data and
 * simulations. Only what is reachable from the rendered scenes counts.
 *
 * It runs in every Blender from 2.93 on, so it asks for attributes that came or went.
 */
export const CHECKS = String.raw`
# Data of the user interface and of tools, which no render reads; and texts, which are looked at by themselves.
TOOLS = {"Text", "Brush", "Palette", "PaintCurve", "Screen", "WorkSpace", "WindowManager"}

def kind_of(thing):
    return type(thing).__name__

def is_needed(user, thing, pictures):
    if kind_of(thing) in TOOLS:
        return False
    if kind_of(thing) in {"Image", "MovieClip"}:
        # Background images of cameras, and images that Empties show, are never rendered. A scene names images
        # for painting and clips for tracking, besides those of its compositor and sequencer.
        if isinstance(user, bpy.types.Camera):
            return False
        if isinstance(user, bpy.types.Object):
            return not (user.type == "EMPTY" and kind_of(thing) == "Image")
        if isinstance(user, bpy.types.Scene):
            return thing in pictures
        if isinstance(user, (bpy.types.Material, bpy.types.World, bpy.types.Light)):
            return user.use_nodes
    return True

def used_data(scenes):
    uses = {}
    for thing, users in bpy.data.user_map().items():
        for user in users:
            uses.setdefault(user, []).append(thing)
    pictures = set()
    for scene in scenes:
        for tree in trees_of(scene) if scene.render.use_compositing else []:
            for node in tree.nodes:
                pictures.update(filter(None, (getattr(node, "image", None), getattr(node, "clip", None))))
        pictures.update(strip.clip for strip in strips_of(scene) if getattr(strip, "clip", None))
    found, todo = set(scenes), list(scenes)
    while todo:
        user = todo.pop()
        for thing in uses.get(user, ()):
            if thing not in found and is_needed(user, thing, pictures):
                found.add(thing)
                todo.append(thing)
    return sorted(found, key=lambda thing: (kind_of(thing), thing.name))

def called(thing):
    kind = thing.bl_rna.name.lower()
    base = next((word for word in ("object", "material", "world", "light", "image", "scene") if kind.endswith(word)), kind)
    return '%s "%s"' % (base, thing.name)

def trees_in(used):
    for thing in used:
        if isinstance(thing, bpy.types.NodeTree):
            yield 'node group "%s"' % thing.name, thing
        elif isinstance(thing, bpy.types.Scene):
            if thing.render.use_compositing and getattr(thing, "use_nodes", True):
                for tree in trees_of(thing):
                    if tree.name not in bpy.data.node_groups or bpy.data.node_groups[tree.name] != tree:
                        yield 'compositor of scene "%s"' % thing.name, tree
        elif getattr(thing, "node_tree", None) is not None and getattr(thing, "use_nodes", True):
            yield called(thing), thing.node_tree

def is_linked(node):
    return any(socket.is_linked for socket in node.outputs)

def check_nodes(used):
    for who, tree in trees_in(used):
        for node in tree.nodes:
            if node.bl_idname == "NodeUndefined" and not node.mute and is_linked(node):
                stop('%s uses the node "%s" of an add-on that this worker does not have: install the add-on on the '
                     'workers, or replace the node' % (who, node.name))

# Scripts

def is_interface(source):
    # Whether a script only defines panels and operators. What it runs when it is loaded must be known to
    # change nothing but the interface; in doubt it counts as one that does.
    import ast
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    modules = {"bpy", "math", "mathutils", "re", "json", "collections", "itertools", "functools", "rna_prop_ui",
               "traceback", "typing", "string", "bl_ui"}
    unsafe = {"handlers", "driver_namespace", "timers", "msgbus", "data", "context", "ops", "app", "import_module"}
    hidden = {"exec", "eval", "compile", "open", "getattr", "setattr", "delattr", "globals", "locals", "vars"}
    seen = set()
    def runs(node):
        # What runs at once: all but the bodies of functions, except those that Blender or the script calls.
        yield node
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.Lambda)):
                if isinstance(node, ast.ClassDef) and child.name in {"register", "__init_subclass__"}:
                    yield from runs(child)
                for part in getattr(child, "decorator_list", []) + child.args.defaults:
                    yield from runs(part)
            else:
                yield from runs(child)
    todo = [tree]
    while todo:
        for node in runs(todo.pop()):
            if isinstance(node, ast.Name):
                if node.id in hidden or node.id.startswith("__") and node.id != "__name__":
                    return False
                if node.id in functions and node.id not in seen:
                    seen.add(node.id)
                    todo.append(functions[node.id])
            elif isinstance(node, ast.Attribute):
                if node.attr in unsafe or node.attr.startswith("__"):
                    return False
                if isinstance(node.ctx, ast.Store) and not (
                        isinstance(node.value, ast.Attribute) and node.value.attr == "WindowManager"):
                    return False
            elif isinstance(node, ast.Import):
                if any(name.name.split(".")[0] not in modules or name.name.startswith("bpy.app") for name in node.names):
                    return False
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if module.split(".")[0] not in modules or module.startswith("bpy.app"):
                    return False
                if any(name.name in unsafe or name.name == "*" for name in node.names):
                    return False
            elif isinstance(node, (ast.Delete, ast.With, ast.AsyncFunctionDef, ast.While, ast.Raise)):
                return False
    return True

def drivers_in(used):
    for thing in used:
        owners = [(called(thing), thing)]
        tree = None if isinstance(thing, bpy.types.NodeTree) else getattr(thing, "node_tree", None)
        if tree is not None:
            owners.append((called(thing), tree))
        for who, owner in owners:
            if getattr(owner, "animation_data", None) is not None:
                for curve in owner.animation_data.drivers:
                    yield who, curve

def check_scripts(scenes, used):
    # Blender notes the first thing only that it did not run, so each is looked at.
    for text in bpy.data.texts:
        if not text.use_module:
            continue
        if not is_interface(text.as_string()):
            refuse('the script "%s" of the file is to run when it is loaded, and scripts are off: submit it with '
                   '--autoexec' % text.name)
        warn('the script "%s" of the file was not run; it only makes an interface' % text.name)
    suspects = [(who, curve) for who, curve in drivers_in(used)
                if curve.driver.type == "SCRIPTED" and not curve.driver.is_simple_expression]
    # The drivers of the scene that is open were evaluated when the file was loaded.
    if suspects and any(scene != bpy.context.scene for scene in scenes):
        for scene in scenes:
            scene.frame_set(scene.frame_current)
    refused = ['%s (%s: %s)' % (who, curve.data_path, curve.driver.expression)
               for who, curve in suspects if not curve.driver.is_valid]
    message = getattr(bpy.app, "autoexec_fail_message", "")
    if not refused and getattr(bpy.app, "autoexec_fail", False) and not message.startswith("Text"):
        if scenes[0] == bpy.context.scene:
            refused = [message]
    if refused:
        more = " and %d more" % (len(refused) - 3) if len(refused) > 3 else ""
        refuse('the file has drivers that need Python, and scripts are off: %s%s: submit it with --autoexec'
               % ("; ".join(refused[:3]), more))

# Files

def located(stored, thing):
    return os.path.normpath(bpy.path.abspath(stored, library=getattr(thing, "library", None)))

def shown(stored):
    return (stored[2:] if stored.startswith("//") else stored).replace("\\", "/")

def is_allowed(stored, name):
    import fnmatch
    return wanted["allow_missing_files"] or any(
        fnmatch.fnmatchcase(text, pattern) for pattern in wanted["allow_missing"] for text in (shown(stored), name))

def file_fault(path):
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return None if os.path.isdir(path) else "missing"
    if head == b"":
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file itself (git lfs pull)"
    return None

MAGIC = (b"\x89PNG", b"\xff\xd8", b"\x76\x2f\x31\x01", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"#?", b"BM", b"DDS ",
         b"\0\0\0\x0c", b"\xff\x4f\xff\x51", b"\x80\x2a\x5f\xd7", b"SDPX", b"XPDS", b"RIFF", b"8BPS", b"\x01\xda")

def image_fault(image, path):
    fault = file_fault(path)
    if fault:
        return fault
    # Only a picture that does not begin as one is loaded: all of them would take the memory of the render.
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(MAGIC) or head[4:8] == b"ftyp" or image.source != "FILE" or all(image.size):
        return None
    return "cannot be read as a picture"

def in_folder(path, pattern):
    folder = os.path.dirname(path)
    return os.path.isdir(folder) and any(re.fullmatch(pattern, name) for name in os.listdir(folder))

def numbered(path, number):
    folder, name = os.path.split(path)
    match = re.search(r"(\d+)(\D*)$", name)
    if not match:
        return path
    digits = len(match.group(1))
    return os.path.join(folder, name[:match.start()] + "%0*d" % (digits, number) + match.group(2))

def numbers(user):
    # The files of an image sequence for the frames of this lease; those before its start are black anyhow.
    found = set()
    length = user.frame_duration
    for frame in lease_frames() if length > 0 else []:
        at = frame - user.frame_start + 1
        if getattr(user, "use_cyclic", False):
            at = at % length or length
        if at >= 1:
            found.add(min(at, length) + user.frame_offset)
    return sorted(found)

def lease_frames():
    return [frame for first, last in wanted["frames"] for frame in range(first, last + 1)]

def part_faults(stored, path, parts):
    for part in parts:
        fault = file_fault(part)
        if fault:
            yield os.path.join(os.path.dirname(stored.replace("\\", "/")), os.path.basename(part)), fault

def image_faults(image, users):
    stored, path = image.filepath, located(image.filepath, image)
    if image.source == "TILED":
        for tile in image.tiles:
            u, v = (tile.number - 1001) % 10, (tile.number - 1001) // 10
            def part(text):
                return text.replace("<UDIM>", str(tile.number)).replace("<UVTILE>", "u%d_v%d" % (u + 1, v + 1))
            fault = image_fault(image, part(path))
            if fault:
                yield part(stored), fault
    elif image.source == "SEQUENCE":
        wanted_numbers = sorted({number for user in users for number in numbers(user)})
        if wanted_numbers:
            yield from part_faults(stored, path, [numbered(path, number) for number in wanted_numbers])
        else:
            name = re.escape(os.path.basename(path))
            if not in_folder(path, re.sub(r"\d+(?=\D*$)", r"\\d+", name)):
                yield stored, "missing"
    else:
        fault = image_fault(image, path)
        if fault:
            yield stored, fault

def image_users(used):
    nodes, users = {}, {}
    for _, tree in trees_in(used):
        for node in tree.nodes:
            image = getattr(node, "image", None)
            if image is not None:
                nodes.setdefault(image, []).append(node)
                if is_linked(node):
                    users.setdefault(image, []).append(getattr(node, "image_user", None) or node)
    for thing in used:
        if isinstance(thing, bpy.types.Texture) and getattr(thing, "image", None) is not None:
            users.setdefault(thing.image, []).append(thing.image_user)
    # A picture in nodes that lead nowhere is not needed.
    idle = {image for image in nodes if image not in users and image.users - image.use_fake_user <= len(nodes[image])}
    return users, idle

def is_packed(thing):
    return getattr(thing, "packed_file", None) is not None or len(getattr(thing, "packed_files", ())) > 0

def libraries_of(used):
    found = []
    for thing in used:
        library = thing.library
        while library is not None and library not in found:
            # An archive holds linked data that was packed into this file (Blender 5.0).
            if not getattr(library, "is_archive", False):
                found.append(library)
            library = None if getattr(library, "is_archive", False) else getattr(library, "parent", None)
    return sorted(found, key=lambda library: library.name)

def strips_of(scene):
    editor = scene.sequence_editor if scene.render.use_sequencer else None
    strips = getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", None) or []
    return [strip for strip in strips if not strip.mute]

def strip_faults(scene):
    strips = strips_of(scene)
    is_retimed = any(strip.type == "SPEED" or len(getattr(strip, "retiming_keys", ())) > 0 for strip in strips)
    frames = lease_frames()
    for strip in strips:
        if not any(strip.frame_final_start <= frame < strip.frame_final_end for frame in frames) and not is_retimed:
            continue
        stored, parts = [], []
        if strip.type == "MOVIE":
            stored = [strip.filepath]
        elif strip.type == "IMAGE":
            count = len(strip.elements)
            at = {min(max(int(frame - strip.frame_start), 0), count - 1) for frame in frames
                  if strip.frame_final_start <= frame < strip.frame_final_end}
            stored = [os.path.join(strip.directory, strip.elements[i].filename)
                      for i in (range(count) if is_retimed else sorted(at))]
        for path in stored:
            fault = file_fault(located(path, scene))
            if fault:
                yield "strip", strip.name, path, fault

def caches_in(scenes, used):
    # Point caches, with what they belong to: the simulations of 2.8 and later except fluids and nodes.
    for scene in scenes:
        world = getattr(scene, "rigidbody_world", None)
        if world is not None and world.enabled and world.collection is not None and len(world.collection.objects) > 0:
            yield 'rigid bodies of scene "%s"' % scene.name, scene, world.point_cache
    for thing in used:
        for modifier in thing.modifiers if isinstance(thing, bpy.types.Object) else []:
            if not modifier.show_render:
                continue
            who = '%s of object "%s"' % (modifier.name, thing.name)
            if modifier.type in {"CLOTH", "SOFT_BODY"}:
                yield who, thing, modifier.point_cache
            elif modifier.type == "PARTICLE_SYSTEM":
                system = modifier.particle_system
                if system.settings.type != "HAIR" or system.use_hair_dynamics:
                    yield who, thing, system.point_cache
            elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
                for surface in modifier.canvas_settings.canvas_surfaces:
                    if surface.is_active:
                        yield who, thing, surface.point_cache

def cache_faults(scenes, used):
    for _, owner, cache in caches_in(scenes, used):
        if cache.use_external:
            folder = cache.filepath
        elif cache.use_disk_cache and cache.is_baked:
            library = owner.library if cache.use_library_path else None
            file = bpy.path.abspath(library.filepath) if library else bpy.data.filepath
            folder = os.path.join(os.path.dirname(file), "blendcache_" + os.path.splitext(os.path.basename(file))[0])
        else:
            continue
        name = cache.name or "".join("%02X" % byte for byte in owner.name.encode())
        if not in_folder(os.path.join(located(folder, owner), ""), "(?i)" + re.escape(name) + r"_\d+.*\.bphys"):
            stored = "//" + os.path.basename(folder) if not cache.use_external else folder
            yield "simulation cache of " + kind_of(owner).lower(), owner.name, stored, "missing"

def object_faults(thing):
    for modifier in thing.modifiers:
        if not modifier.show_render:
            continue
        who, stored = 'modifier "%s" of object' % modifier.name, None
        if modifier.type == "MESH_CACHE":
            stored = modifier.filepath
        elif modifier.type == "MULTIRES" and modifier.is_external:
            stored = modifier.filepath
        elif modifier.type == "OCEAN" and modifier.is_cached:
            stored = modifier.filepath
        elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
            domain = modifier.domain_settings
            if domain.cache_type != "REPLAY" and domain.has_cache_baked_data:
                stored = domain.cache_directory
        if stored:
            fault = file_fault(located(stored, thing))
            if fault:
                yield who, thing.name, stored, fault

def all_faults(scenes, used):
    users, idle = image_users(used)
    for library in libraries_of(used):
        fault = None if is_packed(library) else file_fault(located(library.filepath, None))
        if fault:
            yield "library", library.name, library.filepath, fault
    simple = [("font", bpy.types.VectorFont), ("movie clip", bpy.types.MovieClip), ("cache file", bpy.types.CacheFile),
              ("volume", bpy.types.Volume)]
    for thing in used:
        if isinstance(thing, bpy.types.Image):
            if thing.source in {"FILE", "SEQUENCE", "MOVIE", "TILED"} and thing.filepath and not is_packed(thing) and thing not in idle:
                for stored, fault in image_faults(thing, users.get(thing, [])):
                    yield "image", thing.name, stored, fault
        elif isinstance(thing, bpy.types.Object):
            for fault in object_faults(thing):
                yield fault
        for kind, its in simple:
            if not isinstance(thing, its) or thing.filepath in {"", "<builtin>"} or is_packed(thing):
                continue
            path = located(thing.filepath, thing)
            parts = [path]
            if kind == "volume" and thing.is_sequence:
                parts = [numbered(path, frame - thing.frame_start + 1 + thing.frame_offset) for frame in lease_frames()
                         if 1 <= frame - thing.frame_start + 1 <= thing.frame_duration]
            elif getattr(thing, "is_sequence", False) or getattr(thing, "source", "") == "SEQUENCE":
                parts = [] if in_folder(path, re.sub(r"\d+(?=\D*$)", r"\\d+", re.escape(os.path.basename(path)))) else [path]
            for stored, fault in part_faults(thing.filepath, path, parts):
                yield kind, thing.name, thing.filepath if len(parts) == 1 and parts[0] == path else stored, fault
    for who, tree in trees_in(used):
        for node in tree.nodes:
            if node.type in {"TEX_IES", "SCRIPT"} and getattr(node, "mode", "") == "EXTERNAL" and node.filepath and is_linked(node):
                fault = file_fault(located(node.filepath, tree))
                if fault:
                    yield "node of " + who, node.name, node.filepath, fault
    for scene in scenes:
        for fault in strip_faults(scene):
            yield fault
    for fault in cache_faults(scenes, used):
        yield fault

def gone_data(used):
    # Data-blocks that their library does not have any more. Blender puts an empty one in their place.
    listed = {}
    for thing in used:
        library = thing.library
        if library is None or getattr(library, "is_archive", False):
            continue
        if hasattr(thing, "is_missing"):
            is_gone = thing.is_missing
        else:
            if library not in listed:
                path = located(library.filepath, None)
                listed[library] = None
                if file_fault(path) is None:
                    with bpy.data.libraries.load(path, link=True) as (source, _):
                        listed[library] = {name: set(getattr(source, name)) for name in dir(source)}
            names = listed[library]
            collection = next((name for name in names or () if thing.name in getattr(bpy.data, name, ())
                               and thing in set(getattr(bpy.data, name))), None)
            is_gone = names is not None and collection is not None and thing.name not in names[collection]
        if is_gone and file_fault(located(library.filepath, None)) is None and not is_packed(library):
            yield thing

def check_files(scenes, used):
    said, allowed = [], []
    for kind, name, stored, fault in all_faults(scenes, used):
        text = "missing file '%s' (%s \"%s\")" % (shown(stored), kind, name)
        if fault != "missing":
            text = "unreadable file '%s' (%s \"%s\"): it %s" % (shown(stored), kind, name, fault)
        into = allowed if is_allowed(stored, name) else said
        if text not in into:
            into.append(text)
    for thing in gone_data(used):
        text = "%s is not in its library '%s' any more" % (called(thing), shown(thing.library.filepath))
        (allowed if is_allowed(thing.library.filepath, thing.name) else said).append(text)
    for text in allowed[:20]:
        warn(text + ": allowed")
    for path in list(other_paths(used))[:5]:
        warn("the file names '%s', which is not there; whether the picture needs it is not known" % path)
    # One line: the first fatal line is the reason that people are shown. Missing files come first, because the
    # command line says what to do about those.
    said.sort(key=lambda text: not text.startswith("missing"))
    if said:
        more = ["and %d more" % (len(said) - 20)] if len(said) > 20 else []
        stop("; ".join(said[:20] + more))

def other_paths(used):
    # A second look, by Blender's own list: what the checks above do not know. Whether the render needs it is not
    # known either. The list has the assets of Blender itself, too.
    known = {""}
    for collection in ("images", "sounds", "texts", "libraries", "fonts", "movieclips", "cache_files", "volumes"):
        known.update(located(thing.filepath, thing) for thing in getattr(bpy.data, collection, ()) if thing.filepath)
    for thing in bpy.data.objects:
        for modifier in thing.modifiers:
            for holder in (modifier, getattr(modifier, "domain_settings", None), getattr(modifier, "point_cache", None)):
                known.update(located(stored, thing) for stored in (
                    getattr(holder, "filepath", ""), getattr(holder, "cache_directory", "")) if stored)
    known.update(located(brush.icon_filepath, brush) for brush in bpy.data.brushes if getattr(brush, "icon_filepath", ""))
    known.update(located(node.filepath, group) for group in bpy.data.node_groups for node in group.nodes
                 if getattr(node, "filepath", ""))
    for scene in bpy.data.scenes:
        known.update(located(strip.filepath, scene) for strip in strips_of(scene) if getattr(strip, "filepath", ""))
        known.update(located(os.path.join(strip.directory, element.filename), scene)
                     for strip in strips_of(scene) if strip.type == "IMAGE" for element in strip.elements)
    # By their names alone: a path of another system is not the same text in Blender's list.
    known = {os.path.basename(path.replace("\\", "/")) for path in known}
    folders = [os.path.normpath(bpy.utils.resource_path(kind)) for kind in ("LOCAL", "SYSTEM", "USER")]
    for path in bpy.utils.blend_paths(absolute=True, packed=False):
        path = os.path.normpath(path) if path else ""
        # Brushes of the Blender of another machine.
        if "datafiles/assets/" in path.replace("\\", "/"):
            continue
        if os.path.basename(path) not in known and not os.path.exists(path) and not any(path.startswith(f) for f in folders if len(f) > 1):
            yield path

# Simulations

def is_packed_bake(bake, modifier, owner):
    # Blender shows no script whether a bake is packed into the file (4.3 and later). Its operator that packs knows:
    # for a bake that is packed it has nothing to do and succeeds, and else it looks for a folder, here one that
    # cannot be there. The report of that is no error of the scene, so it is not printed.
    if not hasattr(bake, "bake_target"):
        return False
    import contextlib
    import io
    kept = (bake.use_custom_path, bake.directory)
    bake.use_custom_path, bake.directory = True, os.devnull
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return "FINISHED" in bpy.ops.object.geometry_node_bake_pack_single(
                session_uid=owner.session_uid, modifier_name=modifier.name, bake_id=bake.bake_id)
    except RuntimeError:
        return False
    finally:
        bake.use_custom_path, bake.directory = kept

def is_baked_zone(bake, modifier, owner):
    own = bake.directory if bake.use_custom_path else os.path.join(modifier.bake_directory, str(bake.bake_id))
    folder = os.path.join(located(own, owner), "meta")
    return os.path.isdir(folder) and len(os.listdir(folder)) > 0 or is_packed_bake(bake, modifier, owner)

def are_zones_baked(modifier, owner):
    # A bake node is among the bakes, too; what it has not baked is computed without the frames before.
    zones = [bake for bake in getattr(modifier, "bakes", ())
             if getattr(bake.node, "bl_idname", "") != "GeometryNodeBake"]
    return len(zones) > 0 and all(is_baked_zone(bake, modifier, owner) for bake in zones)

def simulate(scene, scenes, used):
    # A simulation that is not baked depends on the frames before. Without those, a frame would be another one in
    # each lease. So they are gone through, from the start of the simulation to the last frame of the lease.
    found = [(who, owner, cache.frame_start) for who, owner, cache in caches_in(scenes, used)
             if not cache.is_baked and not cache.use_external]
    zones = {tree for _, tree in trees_in(used) for node in tree.nodes if node.bl_idname == "GeometryNodeSimulationOutput"}
    def has_zone(tree, seen=()):
        return tree in zones or any(
            node.type == "GROUP" and node.node_tree is not None and node.node_tree not in seen
            and has_zone(node.node_tree, (*seen, tree)) for node in tree.nodes)
    for thing in used:
        for modifier in thing.modifiers if isinstance(thing, bpy.types.Object) else []:
            if not modifier.show_render:
                continue
            who = '%s of object "%s"' % (modifier.name, thing.name)
            if modifier.type == "NODES" and zones and modifier.node_group is not None and has_zone(modifier.node_group):
                if not are_zones_baked(modifier, thing):
                    found.append((who, thing, scene.frame_start))
            elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                domain = modifier.domain_settings
                if domain.cache_type == "REPLAY":
                    found.append((who, thing, domain.cache_frame_start))
                elif not domain.has_cache_baked_data:
                    warn("the fluid (%s) is not baked: it is rendered without its simulation" % who)
    last = max(lease_frames())
    found = [(who, owner, start) for who, owner, start in found if start < last]
    if not found:
        return
    start = min(start for _, _, start in found)
    names = sorted({who for who, _, _ in found})
    more = " and %d more" % (len(names) - 3) if len(names) > 3 else ""
    warn("simulated anew in each lease, from frame %d on, unless it is baked: %s%s. Bake it to save the time"
         % (start, "; ".join(names[:3]), more))
    if bpy.context.window is not None and bpy.context.window.scene != scene:
        bpy.context.window.scene = scene
    for _, owner, _ in found:
        if isinstance(owner, bpy.types.Object) and owner.library is None:
            owner.hide_viewport = False
            for modifier in owner.modifiers:
                modifier.show_viewport = modifier.show_viewport or modifier.show_render
    for frame in range(start, last + 1):
        for one in scenes:
            one.frame_set(frame)
`;
