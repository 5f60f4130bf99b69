"""Python inside the file, and what an add-on has left in it."""
import bpy

from common import cube, fresh, move, save, text_block, write


def driven(root, expression, **driver):
    fresh()
    curve = cube().driver_add("location", 0)
    curve.driver.use_self = driver.get("use_self", False)
    curve.driver.expression = expression
    save(root + "/shot.blend")


def driver_bpy(root):
    """Blender runs this expression only where scripts may run."""
    driven(root, "bpy.context.scene.frame_current / 5")


def driver_self(root):
    driven(root, "self.location.z + frame / 5", use_self=True)


def driver_namespace(root):
    """The function comes from a registered text block."""
    fresh()
    text_block(
        "wobble.py",
        "import bpy, math\nbpy.app.driver_namespace['wobble'] = lambda frame: math.sin(frame) * 2\n",
        register=True,
    )
    cube().driver_add("location", 0).driver.expression = "wobble(frame)"
    save(root + "/shot.blend")


def driver_simple(root):
    """Blender computes these expressions without Python, or has them on its list of safe ones."""
    fresh()
    cube().driver_add("location", 0).driver.expression = "sin(frame / 3) * 2"
    cube().driver_add("location", 2).driver.expression = "[0, 1, 2][int(frame) % 3]"
    save(root + "/shot.blend")


def interface_script(root):
    """Rigify leaves such a text block: buttons for the animator, nothing for the picture."""
    fresh()
    move(cube())
    text_block(
        "rig_ui.py",
        "import bpy\n"
        "class RigPanel(bpy.types.Panel):\n"
        "    bl_label, bl_space_type, bl_region_type = 'Rig', 'VIEW_3D', 'UI'\n"
        "    def draw(self, context):\n"
        "        self.layout.label(text='IK')\n"
        "bpy.utils.register_class(RigPanel)\n",
        register=True,
    )
    save(root + "/shot.blend")


def handler_error(root):
    """Fails in every frame; Blender goes on, and exits 0."""
    fresh()
    text_block(
        "pose.py",
        "import bpy\n"
        "def pose(scene, *_):\n"
        "    raise KeyError('left_elbow')\n"
        "bpy.app.handlers.frame_change_post.append(pose)\n",
        register=True,
    )
    save(root + "/shot.blend")


def osl_off(root):
    """A node with a script in a file that is not there: with OSL off, Cycles renders as if it were not there."""
    scene = fresh()
    scene.cycles.shading_system = False
    script_node(root)


def osl_on(root):
    scene = fresh()
    scene.cycles.shading_system = True
    write(root + "/shaders/paint.osl", "shader paint(output color Out = 0) { Out = color(1, 0, 0); }\n")
    script_node(root)


def script_node(root):
    tree = cube().data.materials[0].node_tree
    node = tree.nodes.new("ShaderNodeScript")
    node.mode, node.filepath = "EXTERNAL", "//shaders/paint.osl"
    save(root + "/shot.blend")


def addon_engine(root):
    """A render engine that this Blender does not have."""

    class Engine(bpy.types.RenderEngine):
        bl_idname, bl_label = "FOO_ENGINE", "Foo"

        def render(self, depsgraph):
            pass

    scene = fresh()
    bpy.utils.register_class(Engine)
    scene.render.engine = "FOO_ENGINE"
    save(root + "/shot.blend")
    fresh()
    bpy.utils.unregister_class(Engine)


def addon_node(root):
    """A shader node that this Blender does not have."""

    class Node(bpy.types.ShaderNode):
        bl_idname, bl_label = "FooNode", "Foo"

        def init(self, context):
            self.outputs.new("NodeSocketColor", "Color")

    fresh()
    bpy.utils.register_class(Node)
    material = cube().data.materials[0]
    material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(tree.nodes.new("FooNode").outputs[0], shader.inputs["Base Color"])
    save(root + "/shot.blend")
    # Blender crashes later when the class goes while a node of it is there.
    fresh()
    bpy.utils.unregister_class(Node)
