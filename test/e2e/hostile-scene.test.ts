/**
 * A malicious scene on real Blender: what it can do without the owner's permission, and what it
 * cannot.
 */
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect } from "vitest";
import { temporaryFolder } from "../support/folders.ts";
import { makeBlend, testWith } from "../support/programs.ts";
import { runPlan } from "../support/run-plan.ts";

const temporary = temporaryFolder("hostile-scene");
const folder = temporary.path;
afterAll(() => temporary.remove());

const blenderTest = testWith("blender");

/**
 * Render frame 1 of a scene made by this Python; `{folder}` stands for a folder outside the
 * lease's.
 */
function render(name: string, python: string, settings: Record<string, unknown> = {}) {
  const scenes = path.join(folder, name);
  const out = path.join(scenes, "out");
  mkdirSync(out, { recursive: true });
  const file = `${name}.blend`;
  makeBlend(scenes, file, python.replaceAll("{folder}", folder));
  const asset = { path: file, sha256: "0".repeat(64), size: 1 };
  return runPlan("blender_render", { file, assets: [asset], ...settings }, [1], scenes, out);
}

const SCRIPTS = `
text = bpy.data.texts.new("run.py")
text.from_string("open('{folder}/script-MARK', 'w').close()")
text.use_module = True
driver = bpy.data.objects["Cube"].driver_add("location", 0).driver
driver.expression = "(__import__('os').close(__import__('os').open('{folder}/driver-MARK', 65)) or 1) and 1"
`;

describe("P9: a scene", () => {
  for (const autoexec of [false, true]) {
    blenderTest(`runs its text blocks and drivers only when scripts are on: ${autoexec}`, () => {
      const mark = autoexec ? "on" : "off";
      const { status, files, names } = render(`scripts-${mark}`, SCRIPTS.replaceAll("MARK", mark), { autoexec });
      expect({ status, files }).toEqual({ status: 0, files: names });
      expect(existsSync(path.join(folder, `script-${mark}`))).toBe(autoexec);
      expect(existsSync(path.join(folder, `driver-${mark}`))).toBe(autoexec);
    });
  }

  blenderTest("writes no file beside its frames: File Output nodes are switched off, also those in groups", () => {
    const { status, files, names } = render(
      "file-outputs",
      `
scene.use_nodes = True
def file_output(tree, name):
    node = tree.nodes.new("CompositorNodeOutputFile")
    node.base_path = "{folder}/elsewhere"
    node.file_slots[0].path = "../" + name
    return node
layers = next(node for node in scene.node_tree.nodes if node.type == "R_LAYERS")
scene.node_tree.links.new(layers.outputs[0], file_output(scene.node_tree, "plain_").inputs[0])
group = bpy.data.node_groups.new("Group", "CompositorNodeTree")
group.inputs.new("NodeSocketColor", "Image")
entry = group.nodes.new("NodeGroupInput")
group.links.new(entry.outputs[0], file_output(group, "grouped_").inputs[0])
user = scene.node_tree.nodes.new("CompositorNodeGroup")
user.node_tree = group
scene.node_tree.links.new(layers.outputs[0], user.inputs[0])
`,
    );
    expect({ status, files }).toEqual({ status: 0, files: names });
    expect(existsSync(path.join(folder, "plain_0001.png"))).toBe(false);
    expect(existsSync(path.join(folder, "grouped_0001.png"))).toBe(false);
    expect(existsSync(path.join(folder, "elsewhere"))).toBe(false);
  });
});
