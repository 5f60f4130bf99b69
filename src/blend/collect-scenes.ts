/** What scenes, objects and texts say of themselves. */
import type { Collectors, DataBlock, SceneFacts, Survey } from "./facts.ts";
import type { Owner } from "./owners.ts";
import { listFirst, type StructView } from "./struct-view.ts";
import type { SceneSummary } from "./types.ts";

/** Names that Blender's Python has for values of `ImageFormatData.imtype`. */
const FORMATS: Record<number, string> = {
  0: "TARGA",
  1: "IRIS",
  4: "JPEG",
  7: "IRIS",
  14: "TARGA_RAW",
  15: "AVI_RAW",
  16: "AVI_JPEG",
  17: "PNG",
  20: "BMP",
  21: "HDR",
  22: "TIFF",
  23: "OPEN_EXR",
  24: "FFMPEG",
  26: "CINEON",
  27: "DPX",
  28: "OPEN_EXR_MULTILAYER",
  29: "DDS",
  30: "JPEG2000",
  31: "FFMPEG",
  32: "FFMPEG",
  33: "FFMPEG",
  35: "WEBP",
  36: "FFMPEG",
  37: "AVIF",
};
const MEDIA_TYPES = ["IMAGE", "MULTI_LAYER_IMAGE", "VIDEO"] as const;
const VIDEO_FORMATS = new Set(["FFMPEG", "AVI_RAW", "AVI_JPEG"]);

/** `RenderData.scemode` */
const USE_SEQUENCER = 1 << 0;
const USE_COMPOSITOR = 1 << 6;
const MULTIVIEW = 1 << 21;
/** `ViewLayer.flag` */
const VIEW_LAYER_RENDER = 1 << 0;
/** `Object.restrictflag` */
const OBJECT_HIDE_RENDER = 1 << 2;
/** `flag` of constraints that follow a clip */
const CLIP_OF_SCENE = 1 << 0;
/** `Text.flags` */
const TEXT_REGISTER = 1 << 4;

async function scene(owner: Owner, view: StructView, block: DataBlock, survey: Survey): Promise<void> {
  const number = (path: string): number => view.number(path) ?? 0;
  const mode = number("r.scemode");
  const format = FORMATS[number("r.im_format.imtype")];
  const editing = await owner.follow(view.pointer("ed"));
  const strips = editing ? listFirst(editing, "seqbase") !== undefined : false;
  const mediaType = view.number("r.im_format.media_type");
  const camera = view.pointer("camera");
  const viewLayers = await owner.list(listFirst(view, "view_layers"));
  const markers: SceneFacts["markers"] = [];
  for (const marker of await owner.list(listFirst(view, "markers"))) {
    const address = marker.pointer("camera");
    const target = address === undefined ? undefined : survey.byAddress.get(address);
    if (target !== undefined) markers.push({ frame: marker.number("frame") ?? 0, camera: target });
  }
  const hasSequencer = strips && (mode & USE_SEQUENCER) !== 0;
  const clip = view.pointer("clip");
  if (clip !== undefined) block.clip = survey.byAddress.get(clip);
  // Blender 5 also writes the compositor in the way of Blender 4, for that to read.
  if (view.pointer("compositing_node_group") !== undefined) block.nodes.isCopy = true;
  block.scene = {
    start: number("r.sfra"),
    end: number("r.efra"),
    step: Math.max(1, number("r.frame_step")),
    fps: number("r.frs_sec") / (number("r.frs_sec_base") || 1),
    engine: view.text("r.engine") ?? "",
    width: number("r.xsch"),
    height: number("r.ysch"),
    percentage: number("r.size"),
    outputPath: view.text("r.pic") ?? "",
    ...(format !== undefined && { format, mediaType: MEDIA_TYPES[mediaType ?? -1] ?? mediaTypeOf(format) }),
    viewLayers: viewLayers.map((layer) => ({
      name: layer.text("name") ?? "",
      render: ((layer.number("flag") ?? 0) & VIEW_LAYER_RENDER) !== 0,
    })),
    hasSequencer,
    usesCompositor: (mode & USE_COMPOSITOR) !== 0 && hasCompositor(view),
    multiview: (mode & MULTIVIEW) !== 0,
    ...(camera !== undefined && { camera: survey.byAddress.get(camera) }),
    markers,
  };
}

const mediaTypeOf = (format: string): SceneSummary["mediaType"] =>
  VIDEO_FORMATS.has(format) ? "VIDEO" : format === "OPEN_EXR_MULTILAYER" ? "MULTI_LAYER_IMAGE" : "IMAGE";

/** Blender 5 has the compositor as a node group; before, a scene had one of its own, and a switch. */
function hasCompositor(view: StructView): boolean {
  if (view.pointer("compositing_node_group") !== undefined) return true;
  return view.pointer("nodetree") !== undefined && (view.number("use_nodes") ?? 0) !== 0;
}

/** A hidden object that neither acts on others nor can be shown by an animation is not rendered. */
async function object(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  block.type = view.number("type");
  const restrictions = view.number("restrictflag") ?? view.number("visibility_flag") ?? 0;
  if ((restrictions & OBJECT_HIDE_RENDER) === 0) return;
  // Force field and collision.
  const physics = await owner.follow(view.pointer("pd"));
  const acts = (physics?.number("forcefield") ?? 0) !== 0 || (physics?.number("deflect") ?? 0) !== 0;
  block.hidden =
    !acts &&
    ["adt", "rigidbody_object", "rigidbody_constraint", "soft"].every((field) => view.pointer(field) === undefined) &&
    listFirst(view, "modifiers") === undefined &&
    listFirst(view, "particlesystem") === undefined;
}

/** Constraints that follow a clip: the one of the scene, or one of their own. */
async function tracking(_owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  if (((view.number("flag") ?? 0) & CLIP_OF_SCENE) !== 0) block.usesClipOfScene = true;
}

async function text(_owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  const register = ((view.number("flags") ?? 0) & TEXT_REGISTER) !== 0;
  // Blender runs only texts with this ending.
  block.text = { register: register && /\.py$/i.test(block.name) };
}

async function global(_owner: Owner, view: StructView, _block: DataBlock, survey: Survey): Promise<void> {
  const address = view.pointer("curscene");
  const number = address === undefined ? undefined : survey.byAddress.get(address);
  if (number !== undefined) survey.activeScene = number;
}

export const sceneCollectors: Collectors = [
  ["Scene", scene],
  ["Object", object],
  ["bFollowTrackConstraint", tracking],
  ["bCameraSolverConstraint", tracking],
  ["bObjectSolverConstraint", tracking],
  ["Text", text],
  ["FileGlobal", global],
];
