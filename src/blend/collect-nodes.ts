/** Nodes of shaders, compositor and geometry: what they name outside the file, and who brings them. */
import { addFile, addImageUser } from "./collect-files.ts";
import type { Collectors, DataBlock, NodeFacts, Survey } from "./facts.ts";
import type { Owner } from "./owners.ts";
import { listFirst, type StructView } from "./struct-view.ts";

/** Node trees that Blender itself evaluates. Others belong to add-ons, with all their nodes. */
const BUILT_IN_TREES = /^(Shader|Compositor|Geometry|Texture)NodeTree$/;
/** Names of Blender's own nodes. Others are registered by add-ons. */
const BUILT_IN_NODES = /^(Shader|Compositor|Geometry|Texture|Function)Node|^Node/;
/** `bNode.flag` */
const NODE_MUTED = 1 << 9;
/** `mode` of IES and script nodes: a file, not a text block. */
const MODE_EXTERNAL = 1;

async function tree(_owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  block.nodes.tree = view.text("idname") ?? "";
}

async function node(owner: Owner, view: StructView, block: DataBlock, survey: Survey): Promise<void> {
  const idname = view.text("idname") ?? "";
  const facts = block.nodes;
  if (!BUILT_IN_NODES.test(idname) && BUILT_IN_TREES.test(facts.tree ?? "") && !facts.addons.includes(idname)) {
    facts.addons.push(idname);
  }
  if (idname === "GeometryNodeSimulationOutput") facts.simulates = true;
  if (idname.startsWith("GeometryNodeImport")) await importedFile(owner, view, block);
  const storage = view.pointer("storage");
  if (storage === undefined) return;
  if (idname === "ShaderNodeTexIES" || idname === "ShaderNodeScript") {
    const settings = await owner.follow(storage);
    const kind = idname === "ShaderNodeTexIES" ? "ies" : "osl";
    // With a text block the path is left over.
    const more = settings?.number("mode") === MODE_EXTERNAL ? {} : { unused: true };
    addFile(block, kind, settings?.text("filepath"), settings?.place("filepath"), more);
  } else if (idname === "CompositorNodeOutputFile") await fileOutput(owner, view, storage, facts);
  else if (view.pointer("id") !== undefined) {
    const settings = await owner.follow(storage);
    const user = settings?.struct.name === "ImageUser" ? settings : settings?.inside("iuser")[0];
    addImageUser(survey, view.pointer("id"), user);
  }
}

async function fileOutput(owner: Owner, view: StructView, storage: number, facts: NodeFacts): Promise<void> {
  if (((view.number("flag") ?? 0) & NODE_MUTED) !== 0) return;
  const settings = await owner.follow(storage);
  // Blender 5 has folder and name apart.
  const folder = settings?.text("base_path") ?? (await owner.text(settings?.pointer("directory")))?.text ?? "";
  const name = (await owner.text(settings?.pointer("file_name")))?.text ?? "";
  const separator = folder === "" || name === "" || /[/\\]$/.test(folder) ? "" : "/";
  facts.fileOutputs.push({ name: view.text("name") ?? "", path: folder + separator + name });
}

/** Nodes of Blender 4.5 and later that read a file while geometry is made. */
async function importedFile(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  for (const socket of await owner.list(listFirst(view, "inputs"))) {
    if (socket.text("identifier") !== "Path") continue;
    const value = await owner.follow(socket.pointer("default_value"));
    addFile(block, "import", value?.text("value"), value?.place("value"));
  }
}

/** A texture of the old kind (brushes, particles, displacement) shows its picture itself. */
async function texture(_owner: Owner, view: StructView, _block: DataBlock, survey: Survey): Promise<void> {
  addImageUser(survey, view.pointer("ima"), view.inside("iuser")[0]);
}

export const nodeCollectors: Collectors = [
  ["bNodeTree", tree],
  ["bNode", node],
  ["Tex", texture],
];
